"""The DOT text: golden files, the same bytes every time, and names that try to break out.

After a wanted change of the drawings, TINYGRAD_BN_UPDATE_GOLDEN=1 writes the golden files anew (see docs/graphs.md).
"""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn
from tinygrad_bn.errors import ArgumentError, DTypeError
from tinygrad_bn.viz import Drawing, draw
from tinygrad_bn.viz.markup import LONGEST, font, quoted, text

GOLDEN = Path(__file__).parent / "golden"


def block(order: str) -> nn.Module:
    return nn.ConvBlock(1, 4, 3, padding=1, order=order, activation="tanh")


def line() -> tg.Tensor:
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]], name="x")
    w = tg.tensor([[1.0], [2.0]], requires_grad=True, name="w")
    return ((x @ w - 1.5) ** 2).mean()


def residual() -> nn.Module:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(block("convention"), nn.Conv2d(4, 1, 1))

        def forward(self, input: tg.Tensor) -> tg.Tensor:
            return input + self.inner(input)

    return Residual()


CASES: dict[str, Callable[[], Drawing]] = {
    "swap": lambda: draw(block("swap"), (2, 1, 6, 6)),
    "convention-evaluation": lambda: draw(block("convention").eval(), (2, 1, 6, 6)),
    "opened": lambda: draw(nn.BatchNorm2d(3), (2, 3, 4, 4), expand="batch_norm"),
    "residual-depth-1": lambda: draw(residual(), (2, 1, 6, 6), depth=1),
    "nodes": lambda: draw(nn.BatchNorm1d(3).eval(), (2, 3), parameters="nodes", direction="LR", legend=False),
    "loss": lambda: draw(line(), name="loss"),
    "backward": lambda: draw(nn.Sequential(nn.Linear(2, 2), nn.Tanh()), (3, 2), backward=True, show_costs=True),
    "rolled-dark": lambda: draw(
        nn.Sequential(block("swap"), *(nn.Tanh() for _ in range(3))), (2, 1, 6, 6), theme="dark"
    ),
    "orders": lambda: draw({order: block(order) for order in ("convention", "swap")}, (2, 1, 6, 6), depth=1),
    "flops": lambda: draw(block("swap"), (2, 1, 6, 6), colour_by="flops"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_dot_text_is_that_of_the_golden_file(name: str) -> None:
    path = GOLDEN / f"{name}.gv"
    source = CASES[name]().source
    if os.environ.get("TINYGRAD_BN_UPDATE_GOLDEN") == "1":
        path.write_text(source, encoding="utf-8", newline="\n")
    assert source == path.read_text(encoding="utf-8")


def test_no_golden_file_is_left_over() -> None:
    assert sorted(path.stem for path in GOLDEN.iterdir()) == sorted(CASES)


def test_the_same_graph_gives_the_same_bytes_in_another_process() -> None:
    program = (
        "from tinygrad_bn import nn; from tinygrad_bn.viz import draw;"
        "print(draw(nn.SmallCNN(width=2, order='swap').eval(), (1, 1, 28, 28), expand='batch_norm').source)"
    )
    sources = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(sources) == 1
    assert len(sources.pop()) > 10_000


# -- what is shown ----------------------------------------------------------------------------------------


def test_shapes_attributes_legend_and_parameters_can_be_left_out(model: nn.Module) -> None:
    full = draw(model, (2, 1, 8, 8)).source
    for shown, argument in [
        ('label=" 2×4×8×8"', {"show_shapes": False}),
        ("kernel 3×3 · padding 1</FONT>", {"show_attributes": False}),
        ("parameter (trained)", {"legend": False}),
        ("0.conv.weight", {"parameters": "hidden"}),
    ]:
        assert shown in full
        assert shown not in draw(model, (2, 1, 8, 8), **argument).source  # type: ignore[arg-type]


def test_shapes_can_stand_inside_the_operations(model: nn.Module) -> None:
    source = draw(model, (2, 1, 8, 8), show_shapes="inside").source
    assert 'label=" 2×4×8×8"' not in source
    (pooling,) = (line for line in source.splitlines() if "<B>max_pool2d</B>" in line)
    assert "→ 2×4×4×4</FONT>" in pooling
    (block, _) = (line for line in draw(model, (2, 1, 8, 8), depth=1, show_shapes="inside").body if "ConvBlock" in line)
    assert "→ 2×4×8×8</FONT>" in block
    with pytest.raises(ArgumentError, match="True, False or 'inside'"):
        draw(model, (2, 1, 8, 8), show_shapes="insde")


def test_dtypes_are_said_where_they_differ() -> None:
    graph = draw(lambda x: (x.exp() > 0.5).astype("float64"), (3,))
    assert 'label=" 3  bool"' in graph.source
    assert "float32 unless said otherwise" in graph.source


def test_the_order_of_arguments_is_said_where_it_matters() -> None:
    a, b = tg.ones(2), tg.ones(2)
    a.name, b.name = "left", "right"
    assert 'label=" b"' in draw(lambda x, y: x - y, (a, b)).source
    assert 'label=" b"' not in draw(lambda x, y: x + y, (a, b)).source


def test_a_number_stands_beside_the_sign_of_its_operation() -> None:
    x = tg.tensor([1.0], requires_grad=True)
    source = draw(2.0 / (x * 0.5) - 1.0).source
    assert "<B>× 0.5</B>" in source
    assert "<B>2 ÷</B>" in source
    assert "<B>− 1</B>" in source


def test_parameters_as_nodes_have_their_full_names(model: nn.Module) -> None:
    source = draw(model.eval(), (2, 1, 8, 8), parameters="nodes").source
    names = [name for name, _ in model.named_parameters()]
    assert all(f"<B>{name}</B>" in source for name in names)
    assert "<B>2.norm.running_var</B>" in source


# -- names that try to break out --------------------------------------------------------------------------

HOSTILE = [
    '"]; evil [label="',
    "<b>bold</b>",
    "</TD></TR></TABLE>>]; evil [",
    "<>",
    "<<",
    "\\N",
    "\\\\l",
    "ends in \\",
    "&amp; & &lt;",
    "größe 重み 🙂",
    "two\nlines\tand\r\x00\x1b\u2028\ud800",
    "->",
    "x" * 5000,
    "",
    " ",
]


class Odd(nn.Module):
    """A model whose every name is hostile."""

    def __init__(self, name: str) -> None:
        super().__init__()
        inner = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
        name = name.replace(".", "_") or "empty"
        self.add_module(name, inner)
        self.register_parameter(name + "p", nn.Parameter([1.0, 2.0, 3.0]))
        self.names = name

    def forward(self, input: tg.Tensor) -> tg.Tensor:
        return self._modules[self.names](input) * self._parameters[self.names + "p"]  # type: ignore[misc]


def parsed(drawing: Drawing) -> ET.Element:
    return ET.fromstring(drawing.pipe("svg"))


@pytest.mark.parametrize("engine", ["dot", "pygraphviz"])
@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_no_name_breaks_out(name: str, engine: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("pygraphviz")
    if engine == "pygraphviz":
        monkeypatch.setenv("PATH", str(tmp_path))
    # Python itself refuses these two characters in the name of a class.
    model = type(name.replace("\x00", "").replace("\ud800", ""), (Odd,), {})(name)
    drawings = [
        draw(model, (2, 3), name=name),
        draw(model, (2, 3), depth=1, parameters="nodes"),
        draw(model(tg.tensor([[1.0, 2.0, 3.0]], name=name))),
        draw(model, (2, 3), backward=True, observe=True, show_values=True, show_costs=True, theme="auto", name=name),
        draw({name: model, "other": model}, (2, 3), colour_by="flops", depth=1),
    ]
    for drawing in drawings:
        record = drawing.record
        assert record is not None
        svg = parsed(drawing)
        groups = [g for g in svg.iter("{http://www.w3.org/2000/svg}g") if g.get("class") in ("node", "edge")]
        nodes = [g for g in groups if g.get("class") == "node"]
        assert 0 < len(nodes) <= len(record.nodes)
        titles = {(g.findtext("{http://www.w3.org/2000/svg}title") or "") for g in nodes}
        assert titles <= {f"n{node.id}" for node in record.nodes}


@pytest.mark.parametrize("name", ["\\N", "<b>bold</b>", '"]; evil [', "größe 重み"])
def test_a_name_is_shown_as_it_is(name: str) -> None:
    pytest.importorskip("pygraphviz")
    drawing = draw(tg.tensor([1.0], name=name))
    assert name in {(element.text or "").replace("\xa0", " ") for element in parsed(drawing).iter()}


def test_long_and_unprintable_text_is_shortened_and_spelled_out() -> None:
    assert len(text("x" * 5000)) == LONGEST
    assert text("a\nb\x00") == "a&#92;nb&#92;x00"
    assert quoted("a\n", 'b"\\') == '"a\\\\n\\nb\\"\\\\"'
    assert font("<", size=9, colour="red", bold=True) == '<FONT POINT-SIZE="9" COLOR="red"><B>&lt;</B></FONT>'


# -- wrong calls ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"direction": "down"}, ArgumentError, "direction to be one of TB, BT, LR, RL, got 'down'"),
        ({"parameters": "inisde"}, ArgumentError, "did you mean 'inside'"),
        ({"depth": -1}, ArgumentError, "depth"),
        ({"depth": 1.5}, DTypeError, "depth"),
        ({"expand": "conv2d"}, ArgumentError, "expand to be one of"),
        ({"theme": "drak"}, ArgumentError, "did you mean 'dark'"),
        ({"colour_by": "colour"}, ArgumentError, "colour_by to be one of role, time"),
        ({"input": None}, ArgumentError, r"give a Tensor or a shape: draw\(model, \(1, 3, 32, 32\)\)"),
    ],
)
def test_a_wrong_word_is_refused(model: nn.Module, arguments: dict[str, Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        draw(model, **{"input": (2, 1, 8, 8), **arguments})


@pytest.mark.parametrize("subject", [3, "model", None, nn.SmallCNN])
def test_what_is_no_tensor_and_no_model_is_refused(subject: Any) -> None:
    with pytest.raises(DTypeError, match="in draw: expected a Tensor, a Module or a function"):
        draw(subject, (1, 1, 28, 28))


def test_a_tensor_takes_no_input() -> None:
    with pytest.raises(ArgumentError, match="its graph is already there"):
        draw(F.relu(tg.ones(2)), (2,))
