"""DOT text for Netron: what its reader (source/dot.js) asks of nodes, edges and strings."""

from __future__ import annotations

import json
import re

import pytest

from tinygrad_bn import nn
from tinygrad_bn.errors import ArgumentError
from tinygrad_bn.viz import Drawing, draw

_NODE = re.compile(r'\t"([^"]*)" \[label="([^"]*)"\]\n')
_EDGE = re.compile(r'\t"([^"]*)" -> "([^"]*)" \[label="[^"]*"\]\n')
_OPENING = 'digraph "{}" {{\n\tnode [shape=record fontname="Helvetica,Arial,sans-serif" fontsize=11]\n'


def read(text: str, title: str) -> tuple[dict[str, tuple[str, dict[str, str]]], list[tuple[str, str]]]:
    """Return type and attributes of each node, and the edges, by the rules of Netron's reader."""
    opening = _OPENING.format(title)
    assert text.startswith(opening)
    assert text.endswith("}\n")
    nodes, edges = {}, []
    for line in text.removeprefix(opening).removesuffix("}\n").splitlines(keepends=True):
        if edge := _EDGE.fullmatch(line):
            edges.append((edge[1], edge[2]))
            continue
        node = _NODE.fullmatch(line)
        assert node is not None, line
        name, label = node[1], node[2]
        assert label[0] == "{"
        assert label[-1] == "}"
        fields = label[1:-1].split("|")
        assert len(fields) == 3
        assert fields[0] == name
        assert fields[1].startswith("op_code=")
        attributes = {}
        for attribute in filter(None, fields[2].split("\\l")):
            key, value = attribute.split(":")
            assert not (value.strip().startswith("(") and value.strip().endswith(")"))
            attributes[key.strip()] = value.strip()
        assert name not in nodes
        nodes[name] = (fields[1].removeprefix("op_code="), attributes)
    assert all(end in nodes for edge in edges for end in edge)
    return nodes, edges


def test_operations_are_typed_and_have_their_attributes(model: nn.Module) -> None:
    drawing = draw(model, (2, 1, 8, 8))
    nodes, edges = read(drawing.pipe("netron.dot", encoding="utf-8"), "Sequential")
    kind, attributes = nodes["0.conv#conv2d"]
    assert kind == "conv2d"
    assert attributes["kernel"] == "3×3"
    assert attributes["module"] == "0.conv"
    assert json.loads(attributes["shape"]) == [2, 4, 8, 8]
    assert nodes["0.norm#batch_norm"][0] == "batch_norm"
    assert ("0.act#tanh", "0.norm#batch_norm") in edges


def test_parameters_are_tensors_with_a_type(model: nn.Module) -> None:
    nodes, edges = read(draw(model, (2, 1, 8, 8)).pipe("netron.dot", encoding="utf-8"), "Sequential")
    assert nodes["0.conv.weight"][0] == "get_parameter float32[4,1,3,3]"
    assert [edge for edge in edges if edge[0] == "0.conv.weight"] == [("0.conv.weight", "0.conv#conv2d")]


def test_closed_modules_repeats_and_derivatives_are_typed_too() -> None:
    model = nn.Sequential(*(nn.ConvBlock(4, 4, 3, padding=1, order="swap", activation="tanh") for _ in range(3)))
    nodes, _ = read(draw(model, (2, 4, 8, 8), depth=1).pipe("netron.dot", encoding="utf-8"), "Sequential")
    kind, attributes = nodes["0#ConvBlock"]
    assert (kind, attributes["repeat"]) == ("ConvBlock", "3")
    nodes, _ = read(draw(model, (2, 4, 8, 8), backward=True).pipe("netron.dot", encoding="utf-8"), "Sequential")
    assert nodes["0.act#∂tanh"][0] == "∂ tanh"


@pytest.mark.parametrize("name", ['"]; evil [', "{a|b}", "<b>", "(1, 2", "a:b:c", "\\l\\", "\n\x00\ud800", "重み", " "])
def test_no_name_breaks_out(name: str) -> None:
    model = nn.Sequential()
    model.add_module(name.replace(".", "_"), nn.Linear(3, 3))
    text = draw(model, (2, 3), name="x").pipe("netron.dot", encoding="utf-8")
    nodes, edges = read(text, "x")
    assert len(nodes) == 5
    assert len(edges) == 4
    title = draw(model, (2, 3), name=name).pipe("netron.dot", encoding="utf-8").partition("\n")[0]
    assert re.fullmatch(r'digraph "[^"\\]+" {', title)
    pygraphviz = pytest.importorskip("pygraphviz")
    assert len(pygraphviz.AGraph(string=text).nodes()) == 5


def test_the_same_graph_gives_the_same_bytes_and_other_drawings_none(model: nn.Module) -> None:
    first, second = (draw(model, (2, 1, 8, 8)).pipe("netron.dot") for _ in range(2))
    assert first == second
    with pytest.raises(ArgumentError, match=r"made by draw\(\)"):
        Drawing().pipe("netron.dot")
