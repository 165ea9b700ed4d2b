"""The JSON document of a graph: its schema, its references, and the same bytes twice."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.viz import record_model, record_tensor
from tinygrad_bn.viz.document import CHANNEL_DIGITS, frame_document, graph_document, node_keys, number, page_document

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "graph-format.schema.json").read_text(encoding="utf-8"))


def images(count: int = 4) -> tg.Tensor:
    return tg.tensor(np.random.default_rng(0).standard_normal((count, 1, 28, 28)).astype("float32"))


def small_cnn(**settings: Any) -> nn.Module:
    tg.manual_seed(0)
    return nn.SmallCNN(width=2, activation="tanh", **settings)


def document(**settings: Any) -> dict[str, Any]:
    labels = tg.tensor(np.arange(4))
    graph = record_model(small_cnn(), images(), target=labels, checks=False, **settings)
    return page_document("SmallCNN", [graph_document(graph, "convention")])


@pytest.mark.parametrize(
    "settings",
    [{}, {"backward": True}, {"observe": True}, {"observe": True, "backward": True, "expand": ("batch_norm", "tanh")}],
)
def test_documents_fit_the_schema_and_refer_to_what_exists(settings: dict[str, Any]) -> None:
    found = document(**settings)
    jsonschema.validate(found, SCHEMA)
    [graph] = found["graphs"]
    ids = {node["id"] for node in graph["nodes"]}
    keys = {node["key"] for node in graph["nodes"]}
    keys |= {parameter["key"] for node in graph["nodes"] for parameter in node["parameters"]}
    assert len(ids) == len(graph["nodes"])
    assert all(edge["tail"] in ids and edge["head"] in ids for edge in graph["edges"])
    assert all(node["derivative_of"] in {None, *ids} for node in graph["nodes"])
    assert [cluster["id"] for cluster in graph["clusters"]] == list(range(len(graph["clusters"])))
    assert all(cluster["parent"] is None or cluster["parent"] < cluster["id"] for cluster in graph["clusters"])
    assert all(node["cluster"] is None or node["cluster"] < len(graph["clusters"]) for node in graph["nodes"])
    assert len(graph["frames"]) == (1 if settings.get("observe") else 0)
    assert all(key in keys for frame in graph["frames"] for key in frame["nodes"])


@pytest.mark.parametrize("backward", [False, True])
def test_what_is_totalled(backward: bool) -> None:
    model = small_cnn()
    [graph] = document(backward=backward)["graphs"]
    assert graph["totals"]["parameters"] == sum(parameter.size for parameter in model.parameters())
    assert graph["totals"]["flops"] == sum(node["flops"] for node in graph["nodes"])
    assert graph["totals"]["kept_bytes"] > 0
    assert graph["mode"] == "training"


def test_the_same_graph_gives_the_same_bytes() -> None:
    settings = {"observe": True, "backward": True}
    assert json.dumps(document(**settings)) == json.dumps(document(**settings))


def test_keys_are_the_same_in_another_recording_and_differ_from_each_other() -> None:
    first, second = (node_keys(record_model(small_cnn(), images(n), backward=True)) for n in (2, 4))
    assert first == second
    assert len(set(first)) == len(first)


def test_the_frames_of_a_training_take_the_place_of_the_graphs_own() -> None:
    graph = record_model(small_cnn(), images(), observe=True, checks=False)
    frames = [frame_document(graph, name) for name in ("start", "epoch 1")]
    found = page_document("x", [graph_document(graph, "x", frames)])
    jsonschema.validate(found, SCHEMA)
    assert [frame["name"] for frame in found["graphs"][0]["frames"]] == ["start", "epoch 1"]


def test_parameters_lie_in_their_operation_and_shared_ones_stand_by_themselves() -> None:
    x = tg.tensor([[1.0, 2.0]])
    weight = tg.tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True, name="weight")
    graph = graph_document(record_tensor((x @ weight) @ weight), "shared")
    assert [node["label"] for node in graph["nodes"] if node["role"] == "parameter"] == ["weight"]
    layer = graph_document(record_model(nn.Linear(2, 3), (1, 2)), "docked")
    [linear] = [node for node in layer["nodes"] if node["label"] == "linear"]
    assert [(p["name"], p["shape"], p["size"]) for p in linear["parameters"]] == [
        ("weight", [3, 2], 6),
        ("bias", [3], 3),
    ]


def test_numbers_are_those_of_json() -> None:
    assert [number(value) for value in (None, math.nan, math.inf, 1 / 3, 2.0, -0.0, 123456.0, 1e300)] == [
        *(None, None, None, 0.3333, 2, 0, 123500.0, 1e300)
    ]
    assert number(1 / 3, CHANNEL_DIGITS) == 0.333
    broken = tg.tensor(np.array([[np.nan, np.inf], [1.0, 2.0]], dtype="float32"))
    graph = graph_document(record_model(nn.Tanh(), broken, observe=True), "broken")
    json.dumps(graph, allow_nan=False)
    jsonschema.validate(page_document("broken", [graph]), SCHEMA)
