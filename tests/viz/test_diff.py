"""The picture of what differs between two networks, and the call that makes it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn, viz
from tinygrad_bn.errors import ArgumentError, DTypeError
from tinygrad_bn.viz.comparing.brackets import brackets
from tinygrad_bn.viz.comparing.compare import compare
from tinygrad_bn.viz.comparing.rows import LONGEST, MOST_ROWS, Row, State, rows_of
from tinygrad_bn.viz.diff import DiffDrawing

NAMES = ("convention", "swap")


def model(name: str, **settings: Any) -> nn.Module:
    return nn.build_model(name, **{"width": 4, **settings})


def small(order: str, **settings: Any) -> nn.Module:
    return model("small_cnn", order=order, activation="tanh", **settings)


def difference(name: str, *orders: str, shape: tuple[int, ...] = (2, 3, 32, 32), **settings: Any) -> DiffDrawing:
    first, second = (model(name, order=order) for order in orders)
    return viz.diff(first, second, shape, names=orders, **settings)


def texts(drawing: viz.Drawing) -> str:
    return " ".join(ET.fromstring(drawing.pipe("svg", encoding="utf-8")).itertext())


def states(rows: list[Row]) -> list[list[str]]:
    return [[f"{cell.node.label} {cell.state}" for cell in row.cells] for row in rows]


@pytest.fixture
def drawing() -> DiffDrawing:
    return viz.diff(small("convention"), small("swap"), (2, 1, 28, 28), names=NAMES)


def test_each_moved_batch_norm_is_shown_at_both_places_with_one_arrow(drawing: DiffDrawing) -> None:
    rows = rows_of(drawing.diff)
    assert [row.name for row in rows] == [
        "",
        *(f"features.{k}" for k in range(6)),
        *(f"classifier.{k}" for k in range(3)),
        "",
    ]
    assert states(rows)[1] == ["conv2d same", "batch_norm left", "tanh same", "batch_norm moved"]
    assert drawing.summary == "5 batch_norm moved from before tanh to after it"
    picture = texts(drawing)
    assert picture.count("batch_norm") == 10 + 1  # and the summary
    assert picture.count("▼") == 5 + 1  # and the legend
    assert "SmallCNN: convention → swap" in picture
    assert "where it was in convention" in picture


def test_what_is_the_same_is_pale_and_what_moved_is_not(drawing: DiffDrawing) -> None:
    label = re.search(r"\tr1 \[label=<(.*?)> tooltip", drawing.source)
    assert label is not None
    cells = re.findall(r'<TABLE BORDER="(\d)" [^>]*?BGCOLOR="(.*?)" COLOR="(.*?)" STYLE="(.*?)">', label[1])
    same, left, _, moved = cells
    assert same == ("1", "#f5f7fa", "#c3ccd6", "ROUNDED")
    assert left == ("1", "#ffffff", "#7a3ea1", "ROUNDED,DASHED")
    assert moved == ("2", "#ffc65c", "#7a3ea1", "ROUNDED")


def test_signs_tell_what_was_added_removed_and_changed() -> None:
    removed = texts(difference("small_cnn", "convention", "no-norm", shape=(2, 1, 28, 28)))
    assert removed.count("− batch_norm") == 5
    added = texts(difference("small_cnn", "no-norm", "convention", shape=(2, 1, 28, 28)))
    assert added.count("+ batch_norm") == 5
    wider = texts(viz.diff(small("swap"), small("swap", width=8), (2, 1, 28, 28)))
    assert wider.count("≠ conv2d") == 4
    assert "weight 4×4 → 8×8" in wider
    assert texts(viz.diff(small("swap"), model("small_cnn", order="swap"), (2, 1, 28, 28))).count("≠ tanh → relu") == 5


def test_the_legend_explains_what_is_there_and_nothing_else(drawing: DiffDrawing) -> None:
    assert "only in" not in drawing.source
    assert "changed" not in drawing.source
    bare = viz.diff(small("convention"), small("swap"), (2, 1, 28, 28), names=NAMES, legend=False)
    assert "where it was" not in bare.source


@pytest.mark.parametrize(
    ("name", "orders"),
    [
        ("vgg16", ("convention", "swap")),
        ("resnet20", ("convention", "preact")),
        ("resnet18", ("swap", "no-norm")),
        ("mobilenet", ("no-norm", "norm-weight-act")),
    ],
)
def test_every_operation_is_in_the_picture_once(name: str, orders: tuple[str, str]) -> None:
    diff = difference(name, *orders).diff
    rows = rows_of(diff)
    assert len(rows) <= MOST_ROWS
    assert all(row.repeat == 1 for row in rows)
    cells = [cell for row in rows for cell in row.cells]
    shown = {state: sorted(cell.node.id for cell in cells if cell.state is state) for state in State}
    by_second = {pair.second: pair for pair in diff.pairs}
    operations = [
        sorted(node.id for node in graph.nodes if node.role not in (viz.Role.PARAMETER, viz.Role.BUFFER))
        for graph in (diff.first, diff.second)
    ]
    at_new_place = sorted(shown[State.SAME] + shown[State.CHANGED] + shown[State.MOVED] + shown[State.ADDED])
    assert at_new_place == operations[1]
    staying = [by_second[j].first for j in shown[State.SAME] + shown[State.CHANGED]]
    assert sorted(staying + shown[State.LEFT] + shown[State.REMOVED]) == operations[0]


def test_a_move_to_another_block_is_an_arrow_between_rows() -> None:
    drawing = viz.diff(model("resnet20"), model("preresnet20"), (2, 3, 32, 32), names=("original", "pre-activation"))
    rows = [row.name for row in rows_of(drawing.diff)]
    stem, head = rows.index("stem"), rows.index("head")
    arrows = re.findall(r"\tr(\d+):c(\d) -> r(\d+):c(\d) ", drawing.source)
    assert arrows == [(str(stem), "1", str(head), "0"), (str(stem), "2", str(head), "1")]


def test_deep_networks_are_rolled_up() -> None:
    rows = rows_of(difference("resnet110", "convention", "swap").diff)
    assert [row.repeat for row in rows] == [1, 1, 18, 1, 17, 1, 17, 1, 1]
    assert rows[2].name == "stages.0.0 … stages.0.17"


def test_modules_at_a_depth_are_rows() -> None:
    diff = difference("vgg16", "convention", "swap").diff
    names = [row.name for row in rows_of(diff, depth=1)]
    assert set(names) == {"", "features", "classifier"}
    assert max(len(ids) for row in rows_of(diff, depth=1) for ids in (row.first, row.second)) <= LONGEST
    assert "features.3" in [row.name for row in rows_of(diff, depth=2)]


def test_a_long_picture_is_broken_into_columns_that_one_edge_joins() -> None:
    source = difference("vgg16", "convention", "swap").source
    assert len(re.findall(r":out:e -> r\d+:name:w \[.*constraint=false", source)) == 1
    assert "constraint=false" not in difference("mlp", "convention", "swap", shape=(2, 1, 28, 28)).source


def test_networks_that_have_little_in_common() -> None:
    drawing = viz.diff(model("vgg16"), model("mobilenet"), (2, 3, 32, 32))
    assert drawing.diff.names == ("VGG", "MobileNet")
    assert "VGG and MobileNet: VGG → MobileNet" in texts(drawing)
    rows = rows_of(drawing.diff)
    assert [row.state for row in rows].count(State.REMOVED) == 5
    assert rows[1].name == "stem"
    assert rows[1].state is State.ADDED


def test_a_constant_that_differs_is_shown_beside_its_reader() -> None:
    def plus(count: int) -> Any:
        noise = tg.tensor(np.ones((1, count), np.float32))
        return lambda x: (x + noise).tanh()

    rows = rows_of(viz.diff(plus(1), plus(4), (2, 4)).diff)
    assert states(rows)[1] == ["constant changed", "add same", "tanh same"]


def test_all_formats(drawing: DiffDrawing, tmp_path: Path) -> None:
    for format, start in (
        ("svg", b"<?xml"),
        ("png", b"\x89PNG"),
        ("pdf", b"%PDF"),
        ("dot", b"digraph"),
        ("html", b"<!doc"),
    ):
        path = Path(drawing.render(tmp_path / "diff", format=format))
        assert path == tmp_path / f"diff.{format}"
        assert path.read_bytes().startswith(start)
    document = json.loads(Path(drawing.render(tmp_path / "diff", format="json")).read_text(encoding="utf-8"))
    assert document == drawing.document()
    assert document["diff"]["summary"] == drawing.summary
    assert "image/svg+xml" in drawing._repr_mimebundle_()


def test_without_an_engine_there_is_the_page(drawing: DiffDrawing, tmp_path: Path, without_engine: None) -> None:
    with pytest.warns(RuntimeWarning, match="pygraphviz"):
        path = drawing.render(tmp_path / "diff")
    assert path == str(tmp_path / "diff.html")
    assert "5 batch_norm moved" in Path(path).read_text(encoding="utf-8")


def test_dark_and_automatic_themes() -> None:
    dark = difference("mlp", "convention", "swap", shape=(2, 1, 28, 28), theme="dark")
    assert "#c79be6" in dark.source
    assert "#7a3ea1" not in dark.source
    both = difference("mlp", "convention", "swap", shape=(2, 1, 28, 28), theme="auto").pipe("svg", encoding="utf-8")
    assert '[stroke="#7a3ea1"]{stroke:#c79be6}' in both


def test_names_cannot_break_out(tmp_path: Path) -> None:
    names = ('<b>"]; \\N', "a -> b\n</TD>")
    hostile = [nn.Sequential({'x"<i>&': nn.LinearBlock(4, 4), "y\\": nn.LinearBlock(4, 4)}) for _ in range(2)]
    drawing = viz.diff(*hostile, (2, 4), names=names)
    assert '<b>"]; \\N' in texts(drawing)
    assert 'x"<i>&' in texts(drawing)
    assert Path(drawing.render(tmp_path / "page", format="html")).exists()


def test_the_same_networks_give_the_same_bytes() -> None:
    program = (
        "from tinygrad_bn import nn, viz\n"
        "models = nn.build_model('resnet20', width=4), nn.build_model('vgg11', width=4, order='swap')\n"
        "print(viz.diff(*models, (2, 3, 32, 32)).source)"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert len(runs[0]) > 5_000


# What can be given


def test_tensors_records_and_drawings() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True, name="x")
    assert viz.diff(F.tanh(x).sum(), F.relu(x).sum()).summary == "1 tanh became relu"
    first, second = small("convention"), small("swap")
    records = [viz.record_model(one, (2, 1, 28, 28)) for one in (first, second)]
    drawings = [viz.draw(one, (2, 1, 28, 28), depth=1) for one in (first, second)]
    expected = compare(*records)
    assert viz.diff(*records).diff == expected
    assert viz.diff(*drawings).diff == expected  # of all that was recorded, not of what is closed
    assert viz.diff(first, records[1], (2, 1, 28, 28)).diff == expected


def test_an_input_for_each_model() -> None:
    both = ((2, 1, 28, 28), (2, 3, 32, 32))
    drawing = viz.diff(model("small_cnn"), model("vgg11"), both)
    assert [node.shape for node in (drawing.diff.first.nodes[0], drawing.diff.second.nodes[0])] == list(both)


def test_models_are_left_as_they_were() -> None:
    first = small("convention")
    before = {name: value.numpy().copy() for name, value in first.state_dict().items()}
    viz.diff(first, small("swap"), (2, 1, 28, 28), observe=True, backward=True)
    assert all(np.array_equal(before[name], value.numpy()) for name, value in first.state_dict().items())
    assert all(parameter.grad is None for parameter in first.parameters())


def test_the_page_of_a_diff_can_hold_the_backward_pass() -> None:
    drawing = viz.diff(small("convention"), small("swap"), (2, 1, 28, 28), names=NAMES, backward=True)
    assert drawing.summary == "5 batch_norm moved from before tanh to after it"
    plain = viz.diff(small("convention"), small("swap"), (2, 1, 28, 28), names=NAMES)
    assert drawing.source == plain.source  # the picture is of the forward pass
    derivatives = [
        pair for pair in drawing.diff.pairs if drawing.diff.first.nodes[pair.first].derivative_of is not None
    ]
    assert sum(pair.moved for pair in derivatives) == 5
    assert all(not pair.changes for pair in derivatives)
    assert (drawing.diff.added, drawing.diff.removed) == ((), ())


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "words"),
    [
        ((nn.Tanh(), nn.ReLU()), {}, ArgumentError, "an input for the models"),
        ((nn.Tanh(), 3, (2, 3)), {}, DTypeError, "two models, Tensors, GraphRecords or Drawings"),
        ((nn.Tanh(), nn.ReLU, (2, 3)), {}, DTypeError, "two models"),
        ((nn.Tanh(), nn.ReLU(), (2, 3)), {"theme": "pink"}, ArgumentError, "theme to be one of light, dark"),
        ((nn.Tanh(), nn.ReLU(), (2, 3)), {"names": ("a", "a")}, ArgumentError, "two different names"),
        ((nn.Tanh(), nn.ReLU(), (2, 3)), {"depth": -1}, ArgumentError, "depth"),
        ((nn.Tanh(), nn.ReLU(), (2, 3)), {"expand": "thinking"}, ArgumentError, "expand"),
        ((tg.tensor([1.0]), tg.tensor([1.0]), (2, 3)), {}, ArgumentError, "no input beside a tensor"),
    ],
)
def test_what_cannot_be_compared(
    arguments: tuple[Any, ...], settings: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        viz.diff(*arguments, **settings)


# Arrows made of cells


@pytest.mark.parametrize(
    ("moves", "lines"),
    [([(1, 3)], 2), ([(3, 1)], 2), ([(3, 0), (4, 1)], 3), ([(0, 1), (2, 3)], 2), ([(0, 4), (1, 3)], 3)],
)
def test_arrows_end_over_their_cells(moves: list[tuple[int, int]], lines: int) -> None:
    rows = brackets(moves, 5, "#000000")
    assert len(rows) == lines
    for row in rows:
        assert sum(map(int, re.findall(r'COLSPAN="(\d)"', row))) == 10
    position, heads = 0, []
    for span, content in re.findall(r'<TD COLSPAN="(\d)".*?>(.*?)</TD>', rows[-1]):
        heads += [position // 2] if "▼" in content else []
        position += int(span)
    assert heads == sorted(new for _, new in moves)
