"""Colouring by a number, costs in the nodes, and heat maps."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.errors import ArgumentError
from tinygrad_bn.viz import GraphRecord, NodeRecord, Role, draw, record_model
from tinygrad_bn.viz.dot import body, graph_attributes
from tinygrad_bn.viz.heatmap import MOST_PANELS, heat_maps
from tinygrad_bn.viz.observation import Facts, Histogram, Observation
from tinygrad_bn.viz.painting import QUANTITIES
from tinygrad_bn.viz.scale import diverging, sequential, text_on
from tinygrad_bn.viz.scene import Scene
from tinygrad_bn.viz.view import View


def facts(values: Any = None, **statistics: Any) -> Facts:
    given = dict.fromkeys(("mean", "variance", "minimum", "maximum", "skewness", "saturation", "zeros", "norm"), 0.5)
    numbers = None if values is None else tuple(np.ravel(values).tolist())
    return Facts(**(given | statistics), not_finite=0, histogram=Histogram(0, 1, (1,)), values=numbers)


def observed(graph: GraphRecord, **statistics: list[float]) -> GraphRecord:
    """Return the records with statistics of their operations, in their order."""
    columns = [dict(zip(statistics, numbers, strict=True)) for numbers in zip(*statistics.values(), strict=True)]
    operations = [node.id for node in graph.nodes if not node.role.is_tensor]
    found = dict(zip(operations, columns, strict=True))
    nodes = tuple(
        replace(node, observation=Observation(facts(**found[node.id]))) if node.id in found else node
        for node in graph.nodes
    )
    return replace(graph, nodes=nodes)


def lines(graph: GraphRecord, **view: Any) -> list[str]:
    shown = View(**view)
    scene = Scene(graph, shown)
    return [graph_attributes(scene)["graph"]["label"], *body(scene)]


@pytest.fixture
def small() -> GraphRecord:
    return record_model(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Tanh()), (2, 1, 5, 5))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_number_becomes_a_colour_and_the_scale_says_which(small: GraphRecord, theme: str) -> None:
    text = lines(observed(small, saturation=[0.0, 0.2, 0.8]), colour_by="saturation", theme=theme)
    (norm,) = (line for line in text if "<B>batch_norm</B>" in line)
    fill = sequential(0.25, theme)
    assert f'fillcolor="{fill}"' in norm
    assert f'fontcolor="{text_on(fill)}"' in norm
    assert "penwidth=2.4" in norm
    assert "saturation: mean |x| / max |x|: 0.2" in norm
    heading = text[0]
    assert "saturation: mean |x| / max |x|" in heading
    for position, number in ((0, "0"), (0.5, "0.4"), (1, "0.8")):
        colour = sequential(position, theme)
        assert (
            f'BGCOLOR="{colour}" HEIGHT="16" WIDTH="14"><FONT POINT-SIZE="8" COLOR="{text_on(colour)}">{number}<'
            in (heading)
        )


def test_signed_numbers_have_0_in_the_middle(small: GraphRecord) -> None:
    text = lines(observed(small, mean=[-1.0, 0.0, 4.0]), colour_by="mean")
    found = [diverging(position) for position in (-0.25, 0.0, 1.0)]
    assert all(any(f'fillcolor="{fill}"' in line for line in text) for fill in found)
    assert ">−4</FONT>" in text[0]


def test_what_has_no_number_stays_blank(small: GraphRecord) -> None:
    text = lines(observed(small, skewness=[float("nan"), 1.0, 2.0]), colour_by="skewness")
    (convolution,) = (line for line in text if "<B>conv2d</B>" in line)
    assert 'fillcolor="#ffffff"' in convolution


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_every_quantity_can_be_drawn(quantity: str) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())
    source = draw(model, tg.rand(2, 1, 5, 5), colour_by=quantity, observe=True).source
    assert QUANTITIES[quantity].title.replace("'", "&#x27;") in source


@pytest.mark.parametrize("quantity", [name for name, quantity in QUANTITIES.items() if quantity.measured])
def test_what_was_not_measured_cannot_be_drawn(quantity: str) -> None:
    with pytest.raises(ArgumentError, match=f"whose {quantity} was measured.*observe=True"):
        draw(nn.Tanh(), (2, 3), colour_by=quantity)


def test_measured_layers_are_not_rolled_up() -> None:
    model = nn.Sequential(*(nn.Tanh() for _ in range(3)))
    assert draw(model, (2, 3)).source.count("tanh × 3</B>") == 1
    assert draw(model, (2, 3), roll=False).source.count("<B>tanh</B>") == 3
    assert draw(model, tg.ones(2, 3), colour_by="saturation", observe=True).source.count("<B>tanh</B>") == 3
    assert draw(model, tg.ones(2, 3), show_values=True, observe=True).source.count("<B>tanh</B>") == 3


def test_costs_are_those_of_the_records(small: GraphRecord) -> None:
    node = next(node for node in small.nodes if node.label == "conv2d")
    nodes = tuple(replace(n, flops=2_345_678, kept_bytes=1400) if n is node else n for n in small.nodes)
    text = lines(replace(small, nodes=nodes), costs=True)
    assert any("2.35 MFLOPs · 20 parameters · 1.4 kB kept" in line for line in text)
    assert not any("kept</FONT>" in line for line in lines(small))


# -- heat maps --------------------------------------------------------------------------------------------


def node(shape: tuple[int, ...], role: Role = Role.ACTIVATION, values: Any = None, gradient: Any = None) -> NodeRecord:
    observation = Observation(facts(values), None if gradient is None else facts(gradient))
    return NodeRecord(0, role, "tanh", "", shape, "float32", observation=observation)


def maps(node: NodeRecord) -> str:
    observation = node.observation
    assert observation is not None
    return heat_maps(node, {"output": observation.value, "gradient": observation.gradient}, "light", "#000")


def test_a_heat_map_shows_the_numbers_and_their_gradients() -> None:
    source = maps(node((1, 1, 2, 2), values=[[1.0, -2.0], [0.0, 0.5]], gradient=np.full(4, 1e-9)))
    assert [word in source for word in (">1.00<", ">−2.00<", ">0<", ">0.50<", ">1e−9<", ">gradient<")] == [True] * 6
    assert f'BGCOLOR="{diverging(-1)}"' in source
    assert f'BGCOLOR="{diverging(0)}"' in source
    assert source.count("WIDTH=") == 8


@pytest.mark.parametrize(
    ("shape", "role", "cells", "note"),
    [
        ((), Role.LOSS, 1, ">output<"),
        ((5,), Role.PARAMETER, 5, ">output<"),
        ((3, 4), Role.WEIGHT, 12, ">output<"),
        ((2, 3, 2, 2), Role.ACTIVATION, 12, "output, example 1 of 2<"),
        ((2, 6, 2, 2), Role.ACTIVATION, 4 * MOST_PANELS, f"output, example 1 of 2, first {MOST_PANELS} of 6<"),
        ((3, 2, 2, 2), Role.PARAMETER, 4 * MOST_PANELS, f"output, first {MOST_PANELS} of 6<"),
    ],
)
def test_large_tensors_are_shown_in_part(shape: tuple[int, ...], role: Role, cells: int, note: str) -> None:
    source = maps(node(shape, role, np.ones(shape)))
    assert source.count("WIDTH=") == cells
    assert note in source


def test_what_is_not_finite_is_written_and_colours_nothing() -> None:
    source = maps(node((3,), values=[float("nan"), float("inf"), 2.0]))
    assert all(word in source for word in (">nan<", ">∞<", ">2.00<"))
    assert source.count(diverging(0)) == 2


def test_unknown_values_have_no_heat_map() -> None:
    assert maps(node((3,))) == ""


def test_small_negative_numbers_are_not_written_as_minus_nothing() -> None:
    assert ">0.00<" in maps(node((2,), values=[-0.001, 2.0]))


def test_a_drawing_shows_the_values_of_inputs_parameters_and_operations() -> None:
    image = tg.tensor(np.arange(9.0, dtype=np.float32).reshape(1, 1, 3, 3), name="image", requires_grad=True)
    drawing = draw(nn.Conv2d(1, 1, 2), image, observe=True, show_values=True)
    (shown,) = (line for line in drawing.body if "<B>image</B>" in line)
    assert shown.count("WIDTH=") == 18
    assert "shape=box" in shown
    (convolution,) = (line for line in drawing.body if "<B>conv2d</B>" in line)
    assert convolution.count("WIDTH=") == 2 * (4 + 4 + 1)
    assert convolution.count(">value<") == 2
    assert convolution.count(">output<") == 1
    with pytest.raises(ArgumentError, match="observe=True"):
        draw(nn.Conv2d(1, 1, 2), image, show_values=True)


def test_gradients_stand_in_the_derivatives_where_these_are_drawn() -> None:
    image = tg.tensor(np.arange(9.0, dtype=np.float32).reshape(1, 1, 3, 3), name="image", requires_grad=True)
    drawing = draw(nn.Conv2d(1, 1, 2), image, observe=True, show_values=True, backward=True)
    counts = {}
    for name in ("image", "∂ image", "conv2d", "∂ conv2d", "output", "∂ output"):
        (line,) = (line for line in drawing.body if f"<B>{name}</B>" in line)
        counts[name] = (len(re.findall(">gradient( of the output)?<", line)), line.count("WIDTH="))
    assert counts == {
        "image": (0, 9),
        "∂ image": (1, 9),
        "conv2d": (0, 9),
        "∂ conv2d": (3, 9),
        "output": (0, 4),
        "∂ output": (1, 4),
    }
