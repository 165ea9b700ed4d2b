"""`diff`: what differs between two networks, as records, as a picture and as a page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from ..checks import as_index
from ..errors import ArgumentError, DTypeError, explain, unknown_choice
from ..nn import Module
from ..tensor import Tensor
from .comparing.compare import compare
from .comparing.picture import Paint, body, graph_attributes
from .comparing.records import Diff
from .comparing.rows import rows_of
from .drawing import Drawing
from .records import GraphRecord
from .style import THEMES
from .trace import record_model, record_tensor


class DiffDrawing(Drawing):
    """The picture of what differs between two graphs; `.render` also writes "html", the interactive page, and "json".

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

    def pipe(self, format: str | None = None, *args: Any, encoding: str | None = None, **settings: Any) -> Any:
        """Return the picture as bytes, or as text in an encoding; also as "html" or "json". See `Drawing.pipe`."""
        if format not in ("html", "json"):
            return super().pipe(format, *args, encoding=encoding, **settings)
        if format == "json":
            text = json.dumps(self.document(), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        else:
            from .page import page_html

            text = page_html(self.document())
        return text if encoding else text.encode("utf-8")


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
) -> DiffDrawing:
    """Hold two networks against each other: what has moved, and what was added, removed or changed.

    Operations are paired by module, role and place, so that a BatchNorm on the other side of the activation is one
    move. The two may be any: of another depth, another architecture, or with renamed modules. Models are afterwards as
    they were before.

    Args:
        first, second: each a Module or a function of Tensors, a Tensor with its graph, a GraphRecord, or a Drawing.
        input: for models: as in `draw`, for both; or a list of two, one for each.
        names: what to call the two, such as ("convention", "swap").
        depth: modules at this depth are one row of the picture each, 1 those directly inside the model; by default as
            small ones as fit on a screen.
        expand: fused operations to be shown as what they consist of.
        theme: "light" or "dark".
        legend: write what the marks mean under the title.

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
    if depth is not None:
        depth = as_index("diff", "depth", depth, minimum=0)
    inputs = input if isinstance(input, list) else [input, input]
    if len(inputs) != 2:
        raise ArgumentError(explain("diff", "one input, or a list of two", f"a list of {len(inputs)}"))
    graphs = [_record(subject, own, expand) for subject, own in zip((first, second), inputs, strict=True)]
    found = compare(graphs[0], graphs[1], names or _names(*graphs))
    rows = rows_of(found, depth)
    paint = Paint.of(theme)
    attributes = graph_attributes(found, rows, paint, legend)
    drawing = DiffDrawing(
        name=re.sub(r"\W+", "_", f"{found.title} {' '.join(found.names)}", flags=re.ASCII),
        graph_attr=attributes["graph"],
        node_attr=attributes["node"],
        edge_attr=attributes["edge"],
        body=body(found, rows, paint),
    )
    drawing.diff = found
    return drawing


def _names(first: GraphRecord, second: GraphRecord) -> tuple[str, str]:
    return (first.title, second.title) if first.title != second.title else ("first", "second")


def _record(subject: Any, input: Any, expand: Iterable[str] | str) -> GraphRecord:
    if isinstance(subject, Drawing) and subject.record is not None:
        subject = subject.record
    if isinstance(subject, GraphRecord | Tensor) and input is not None:
        raise ArgumentError(explain("diff", "no input beside a graph", "one", "it is already there"))
    if isinstance(subject, GraphRecord):
        return subject
    if isinstance(subject, Tensor):
        return record_tensor(subject, expand=expand)
    if isinstance(subject, type) or not (isinstance(subject, Module) or callable(subject)):
        raise DTypeError(explain("diff", "two models, Tensors, GraphRecords or Drawings", repr(subject)[:80]))
    if input is None:
        remedy = "give a Tensor or a shape: diff(first, second, (8, 3, 32, 32))"
        raise ArgumentError(explain("diff", "an input for the models", "none", remedy))
    return record_model(subject, input, expand=expand)
