"""Derivatives beside their operations, several graphs side by side, and SVG that knows both themes."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.errors import ArgumentError, DTypeError
from tinygrad_bn.viz import Drawing, draw
from tinygrad_bn.viz.page import page_html
from tinygrad_bn.viz.style import DARK, LIGHT

SVG = "{http://www.w3.org/2000/svg}"


def opened() -> Drawing:
    input = tg.ones(2, 3, 4, 4, requires_grad=True)
    return draw(nn.BatchNorm2d(3), input, expand="batch_norm", backward=True)


def positions(drawing: Drawing) -> dict[int, tuple[float, float]]:
    """Return where the engine puts the middle of each node, y downwards."""
    root = ET.fromstring(drawing.pipe("svg"))
    found = {}
    for group in root.iter(f"{SVG}g"):
        if group.get("class") == "node":
            name = group.findtext(f"{SVG}title") or ""
            numbers = [
                tuple(map(float, pair))
                for element in group.iter()
                for pair in re.findall(r"(-?[\d.]+),(-?[\d.]+)", element.get("points") or element.get("d") or "")
            ]
            numbers += [(float(e.get("cx", 0)), float(e.get("cy", 0))) for e in group.iter(f"{SVG}ellipse")]
            middles = [(min(axis) + max(axis)) / 2 for axis in zip(*numbers, strict=True)]
            found[int(name.removeprefix("n"))] = (middles[0], middles[1])
    return found


def beside(drawing: Drawing) -> Iterator[tuple[int, int]]:
    for line in drawing.body:
        if found := re.search(r"rank=same n(\d+) n(\d+)", line):
            yield int(found[1]), int(found[2])


@pytest.mark.parametrize("depth", [None, 1, 2])
def test_every_derivative_stands_at_the_right_of_its_operation(depth: int | None) -> None:
    pytest.importorskip("pygraphviz")
    model = nn.build_model("resnet20", order="swap", activation="tanh", width=4)
    drawings = [draw(model, (2, 3, 32, 32), backward=True, depth=depth), opened()]
    for drawing in drawings:
        places = positions(drawing)
        pairs = list(beside(drawing))
        assert pairs
        for operation, derivative in pairs:
            assert places[derivative][0] > places[operation][0]
            assert places[derivative][1] == pytest.approx(places[operation][1], abs=1)


def test_gradients_run_against_the_computation() -> None:
    drawing = opened()
    record = drawing.record
    assert record is not None
    gradients = [line for line in drawing.body if "dir=back" in line]
    assert gradients
    assert all(LIGHT.flows[edge.flow] in "".join(drawing.body) for edge in record.edges if edge.flow != "value")
    assert "∂ derivative" in drawing.graph_attr["label"]
    assert "value kept for it" in drawing.graph_attr["label"]
    assert "derivative" not in draw(nn.Tanh(), (2, 3)).source


def test_derivatives_have_dashed_lines_and_the_names_of_their_operations() -> None:
    source = draw(nn.Sequential(nn.Linear(3, 3), nn.Tanh()), (2, 3), backward=True).source
    assert "<B>∂ tanh</B>" in source
    assert "∂ weight" in source
    (line,) = (line for line in source.splitlines() if "∂ tanh</B>" in line)
    assert "dashed" in line
    assert f'fillcolor="{LIGHT.paper}"' in line


def test_the_sum_of_gradients_is_no_derivative() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True, name="x")
    source = draw((x.exp() * x).sum(), backward=True).source
    assert "<B>+</B>" in source
    assert "<B>∂ ×</B>" in source


# -- several graphs ---------------------------------------------------------------------------------------


def both(**view: object) -> Drawing:
    models = {order: nn.ConvBlock(1, 4, 3, order=order, activation="tanh") for order in ("convention", "swap")}
    return draw(models, (2, 1, 6, 6), **view)  # type: ignore[arg-type]


def test_models_by_name_stand_side_by_side() -> None:
    drawing = both()
    record = drawing.record
    assert record is not None
    assert record.title == "convention and swap"
    boxes = [cluster for cluster in record.clusters if cluster.parent is None]
    assert [box.label for box in boxes] == ["convention", "swap"]
    assert all(("", "48 parameters") in box.attributes for box in boxes)
    assert [node.id for node in record.nodes] == list(range(len(record.nodes)))
    assert {record.nodes[e.tail].cluster == record.nodes[e.head].cluster for e in record.edges} == {True}
    assert "48 parameters" not in drawing.graph_attr["label"]
    document = drawing.document()
    assert [graph["name"] for graph in document["graphs"]] == ["convention", "swap"]


def test_graphs_side_by_side_may_be_folded_observed_and_go_backward() -> None:
    drawing = both(depth=1, backward=True, observe=True, colour_by="saturation", name="both")
    assert drawing.record is not None
    assert all(
        drawing.record.nodes[node.derivative_of].label == node.label
        for node in drawing.record.nodes
        if node.derivative_of is not None and node.label != "add"
    )


@pytest.mark.parametrize("subjects", [{}, {1: nn.Tanh()}, {"a": 3}])
def test_wrong_names_and_wrong_models_are_refused(subjects: dict[str, nn.Module]) -> None:
    with pytest.raises(DTypeError):
        draw(subjects, (2, 3))


def test_a_target_ends_the_drawing_in_the_loss(model: nn.Module) -> None:
    drawing = draw(model, (2, 1, 8, 8), target=[0, 3], depth=0)
    assert drawing.record is not None
    assert [node.label for node in drawing.record.nodes][-2:] == ["cross_entropy", "loss"]


def test_a_tensor_cannot_be_observed_afterwards() -> None:
    with pytest.raises(ArgumentError, match="draw the model to observe it"):
        draw(tg.ones(2), observe=True)


# -- documents and SVG ------------------------------------------------------------------------------------


def test_pages_and_documents_hold_what_the_drawing_has_closed(model: nn.Module) -> None:
    drawing = draw(model, (2, 1, 8, 8), depth=0, name="half a pair \ud800 </script>")
    document = json.loads(drawing.pipe("json"))
    assert document == json.loads(json.dumps(drawing.document()))
    labels = [node["label"] for node in document["graphs"][0]["nodes"]]
    assert labels.count("conv2d") == 2
    assert drawing.pipe("html").decode("utf-8").startswith("<!doctype html>")
    assert drawing.pipe("html", encoding="utf-8") == page_html(drawing.document())


def test_an_svg_says_what_it_is_and_holds_no_comments(model: nn.Module) -> None:
    pytest.importorskip("pygraphviz")
    svg = draw(model, (2, 1, 8, 8), name='a "name" <b>').pipe("svg", encoding="utf-8")
    root = ET.fromstring(svg.encode())
    assert root.get("aria-label") == 'Graph of a "name" <b>'
    assert root.get("role") == "img"
    assert "<!--" not in svg
    assert "<style>" not in svg


def test_an_automatic_svg_turns_into_the_dark_one(model: nn.Module) -> None:
    pytest.importorskip("pygraphviz")
    drawings = {theme: draw(model, (2, 1, 8, 8), theme=theme, backward=True) for theme in ("light", "dark", "auto")}
    assert drawings["auto"].source == drawings["light"].source
    automatic, dark = (drawings[theme].pipe("svg", encoding="utf-8") for theme in ("auto", "dark"))
    style = re.search(r"<style>@media \(prefers-color-scheme:dark\){(.*)}</style>\n", automatic)
    assert style is not None
    turned = automatic.replace(style[0], "")
    rules = re.findall(r'(text|:not\(text\)|)\[(fill|stroke)="(#\w+)"\]{\w+:(#\w+)}', style[1])
    assert len(rules) == style[1].count("}")

    def dark_line(line: str) -> str:
        kind = "text" if line.startswith("<text") else ":not(text)"
        colours = {(a, light): dark for tag, a, light, dark in rules if tag in (kind, "")}
        return re.sub(
            r'(fill|stroke)="(#\w+)"', lambda found: f'{found[1]}="{colours.get((found[1], found[2]), found[2])}"', line
        )

    assert "\n".join(map(dark_line, turned.split("\n"))) == dark
    assert DARK.paper in dark
