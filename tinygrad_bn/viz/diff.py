"""`diff`: what differs between two networks, as records, as a picture and as a page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ..checks import as_index, check_text
from ..errors import ArgumentError, DTypeError, explain, unknown_choice
from ..nn import Module
from ..tensor import Tensor
from .comparing.compare import compare
from .comparing.picture import body, graph_attributes
from .comparing.records import Diff
from .comparing.rows import rows_of
from .drawing import Drawing
from .records import GraphRecord
from .style import THEMES
from .trace import record_model, record_tensor


class DiffDrawing(Drawing):
    """The picture of what differs between two graphs.

    Attributes:
        diff: what differs, as plain records.
    """

    diff: Diff

    @property
    def summary(self) -> str:
        """One sentence about what differs."""
        return self.diff.summary

    def document(self) -> dict[str, Any]:
        """Return both graphs and what differs, as JSON values; docs/graph-format.md says what is in them."""
        return self.diff.document()


def diff(
    first: Any,
    second: Any,
    input: Any = None,
    *,
    names: tuple[str, str] | None = None,
    depth: int | None = None,
    expand: Iterable[str] | str = (),
    theme: str = "light",
    legend: bool = True,
    backward: bool = False,
    observe: bool = False,
    checks: bool = True,
    target: Any = None,
) -> DiffDrawing:
    """Hold two networks against each other: what has moved, and what was added, removed or changed.

    Operations are paired by module, role and place, so that a BatchNorm on the other side of the activation is one
    move. The two may be any: of another depth, another architecture, or with renamed modules. Models are afterwards as
    they were before.

    Args:
        first, second: each a Module or a function of Tensors, a Tensor with its graph, a GraphRecord, or a Drawing.
        input: for models: as in `draw`, for both; or a tuple of two such inputs, one for each.
        names: what to call the two, such as ("convention", "swap").
        depth: modules at this depth are one row of the picture each, 1 those directly inside the model; by default as
            small ones as fit on a screen.
        expand: fused operations to be shown as what they consist of.
        theme: "light", "dark", or "auto": an SVG that is dark where its reader prefers dark pages.
        legend: write what the marks mean under the title.
        backward, observe, checks, target: of models: what else the page and the document hold, as in `draw`.

    Returns:
        A drawing that Jupyter shows. `.render(path, format=...)` writes "svg", "png", "pdf", "dot", "html" or "json";
        `.summary` is one sentence, `.diff` holds everything as plain records.

    Raises:
        ArgumentError: a model without an input, a tensor with one, or an unknown word.
        DTypeError: something that cannot be drawn.

    >>> from tinygrad_bn import nn
    >>> convention, swap = (nn.SmallCNN(order=order, activation="tanh") for order in ("convention", "swap"))
    >>> diff(convention, swap, (8, 1, 28, 28), names=("convention", "swap")).summary
    '5 batch_norm moved from before tanh to after it'
    """
    if theme not in THEMES:
        raise unknown_choice("diff", "theme", theme, THEMES)
    if names is not None and (len(names) != 2 or names[0] == names[1]):
        raise ArgumentError(explain("diff", "two different names", repr(names)[:80]))
    if depth is not None:
        depth = as_index("diff", "depth", depth, minimum=0)
    if names is not None:
        _check_names(names)
    settings = {"expand": expand, "backward": backward, "observe": observe, "checks": checks, "target": target}
    graphs = [_record(subject, own, settings) for subject, own in zip((first, second), _inputs(input), strict=True)]
    found = compare(graphs[0], graphs[1], names or _names(*graphs))
    rows = rows_of(found, depth)
    colours = THEMES[theme]
    attributes = graph_attributes(found, rows, colours, legend)
    drawing = DiffDrawing(
        name=re.sub(r"\W+", "_", f"{found.title} {' '.join(found.names)}", flags=re.ASCII),
        graph_attr=attributes["graph"],
        node_attr=attributes["node"],
        edge_attr=attributes["edge"],
        body=body(found, rows, colours),
    )
    drawing.diff = found
    drawing.record = graphs[1]
    drawing.recordings = dict(zip(found.names, graphs, strict=True))
    drawing.both_themes = theme == "auto"
    return drawing


def _check_names(names: Any) -> None:
    if not isinstance(names, tuple | list) or len(names) != 2:
        raise ArgumentError(explain("diff", "names to be a pair", repr(names)[:80]))
    for name in names:
        check_text("diff", "a name", name)


def _names(first: GraphRecord, second: GraphRecord) -> tuple[str, str]:
    return (first.title, second.title) if first.title != second.title else ("first", "second")


def _inputs(input: Any) -> tuple[Any, Any]:
    """Return the input of each model: two may be given, which are not just the sizes of a shape."""
    both = isinstance(input, tuple | list) and len(input) == 2 and not isinstance(input[0], int)
    return (input[0], input[1]) if both else (input, input)


def _record(subject: Any, input: Any, settings: dict[str, Any]) -> GraphRecord:
    if isinstance(subject, Drawing) and subject.record is not None:
        recorded = list((subject.recordings or {}).values())
        return recorded[0] if len(recorded) == 1 else subject.record
    if isinstance(subject, GraphRecord):
        return subject
    if isinstance(subject, Tensor):
        if input is not None:
            raise ArgumentError(explain("diff", "no input beside a tensor", "one", "its graph is already there"))
        return record_tensor(subject, expand=settings["expand"], backward=settings["backward"])
    if isinstance(subject, type) or not (isinstance(subject, Module) or callable(subject)):
        raise DTypeError(explain("diff", "two models, Tensors, GraphRecords or Drawings", repr(subject)[:80]))
    if input is None:
        remedy = "give a Tensor or a shape: diff(first, second, (8, 3, 32, 32))"
        raise ArgumentError(explain("diff", "an input for the models", "none", remedy))
    return record_model(subject, input, **settings)
