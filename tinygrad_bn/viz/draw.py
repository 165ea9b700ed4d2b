"""`draw`: one call from a tensor or a model to a drawing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..checks import as_index, check_text
from ..errors import ArgumentError, DTypeError, explain
from ..nn import Module
from ..tensor import Tensor
from .beside import side_by_side
from .dot import body, graph_attributes
from .drawing import Drawing
from .fold import fold
from .painting import QUANTITIES
from .records import GraphRecord
from .scene import Scene
from .trace import Input, Model, record_model, record_tensor
from .view import View


def draw(
    tensor_or_model: Tensor | Model | Mapping[str, Tensor | Model],
    input: Input | None = None,
    *,
    depth: int | None = None,
    roll: bool = True,
    expand: Iterable[str] | str = (),
    direction: str = "TB",
    parameters: str = "inside",
    show_shapes: bool | str = True,
    show_attributes: bool = True,
    show_costs: bool = False,
    show_values: bool = False,
    colour_by: str = "role",
    theme: str = "light",
    legend: bool = True,
    backward: bool = False,
    observe: bool = False,
    checks: bool = True,
    target: Any = None,
    name: str | None = None,
) -> Drawing:
    """Draw the graph that a tensor was computed from, or what a model computes from an input.

    A model is traced in the mode it is in, and is afterwards as it was before: running statistics, modes, gradients and
    random state. The same graph always gives the same bytes of DOT.

    Args:
        tensor_or_model: a Tensor (a loss, say; also after `backward`), a Module, a function of Tensors, or several of
            them by name, which are drawn side by side: {"convention": ..., "swap": ...}.
        input: for a model: a Tensor, a tuple of them, or the shape of one, such as (1, 3, 32, 32).
        depth: how many levels of modules are opened: 1 shows each module directly inside the model as one node, None
            shows every operation.
        roll: show consecutive modules that are built alike as one, with how many they are; nothing is rolled up where
            each has its own measured values to show.
        expand: fused operations to be shown as what they consist of, such as "batch_norm" or ("batch_norm", "tanh").
        direction: in which the computation runs: "TB" (from top to bottom), "BT", "LR" or "RL".
        parameters: parameters and buffers "inside" the operation that reads them, as "nodes" of their own, or "hidden".
        show_shapes: write shapes beside the edges, or "inside" the operations that compute them, which takes less room.
        show_attributes: write attributes (kernel, stride, eps, ...) into the operations.
        show_costs: write floating-point operations, parameters and memory kept for backward into the operations.
        show_values: show small tensors (also parameters) as tables of their numbers, beside their gradients; needs
            `observe`.
        colour_by: "role", or a number: "flops", "parameters", "memory" (kept for backward), and with `observe` "time",
            "saturation", "skewness", "zeros", "mean", "variance" or "gradient" (its norm).
        theme: "light", "dark", or "auto": an SVG that is dark where its reader prefers dark pages.
        legend: write what the colours mean under the title.
        backward: also draw the derivatives, beside their operations, and what is kept for them.
        observe: measure what is computed, and its gradients, while the model runs.
        checks: when observing, also time each operation and check its derivative, for the page; that is most of the
            time that observing takes.
        target: labels, shape (N,): the drawing then ends in the cross-entropy of the model's result.
        name: title of the drawing, and default name of its file; by default the model's class or the tensor's name.

    Returns:
        A `graphviz.Digraph` that Jupyter shows; `.render(path, format="svg")` writes it, `.source` is the DOT text,
        `.document()` what the interactive page reads.

    Raises:
        ArgumentError: a model without an input, a tensor with one, an unknown word, or numbers to show that were not
            observed.
        DTypeError: something that cannot be drawn.

    >>> import tinygrad_bn as tg
    >>> x = tg.tensor([1.0, 2.0], requires_grad=True, name="x")
    >>> drawing = draw((x * x).sum())
    >>> [node.label for node in drawing.record.nodes]
    ['x', 'mul', 'sum', 'output']
    """
    view = View(
        direction,
        parameters,
        shapes=_where_shapes_stand(show_shapes),
        attributes=show_attributes,
        costs=show_costs,
        values=show_values,
        legend=legend,
        theme=theme,
        colour_by=colour_by,
    )
    if depth is not None:
        depth = as_index("draw", "depth", depth, minimum=0)
    if name is not None:
        check_text("draw", "name", name)
    if show_values and not observe:
        raise ArgumentError(explain("draw", "observed values to show", "none", "pass observe=True"))
    measured = show_values or (colour_by in QUANTITIES and QUANTITIES[colour_by].measured)
    settings = {"expand": expand, "backward": backward, "target": target, "observe": observe, "checks": checks}
    if isinstance(tensor_or_model, Mapping):
        subjects = _named(tensor_or_model)
        recordings = {key: _record(subject, input, title=key, **settings) for key, subject in subjects.items()}
        folded = {key: fold(record, depth, rolled=roll and not measured) for key, record in recordings.items()}
        graph = side_by_side(name or " and ".join(folded), folded)
    else:
        record = _record(tensor_or_model, input, title=name, **settings)
        recordings = {record.title: record}
        graph = fold(record, depth, rolled=roll and not measured)
    scene = Scene(graph, view)
    attributes = graph_attributes(scene)
    drawing = Drawing(
        # Also the default file name, so neither may hold anything that means something to DOT or to a file system.
        name=re.sub(r"\W+", "_", graph.title, flags=re.ASCII),
        graph_attr=attributes["graph"],
        node_attr=attributes["node"],
        edge_attr=attributes["edge"],
        body=body(scene),
    )
    drawing.record = graph
    drawing.recordings = recordings
    drawing.both_themes = theme == "auto"
    return drawing


def _where_shapes_stand(show_shapes: bool | str) -> str:
    if isinstance(show_shapes, bool):
        return "edges" if show_shapes else "hidden"
    if show_shapes != "inside":
        raise ArgumentError(explain("draw", "show_shapes to be True, False or 'inside'", repr(show_shapes)[:80]))
    return show_shapes


def _named(subjects: Mapping[Any, Any]) -> dict[str, Any]:
    if not subjects or not all(isinstance(name, str) for name in subjects):
        given = repr(list(subjects))[:80]
        raise DTypeError(explain("draw", "models by their names, such as {'convention': ..., 'swap': ...}", given))
    return dict(subjects)


def _record(subject: Any, input: Any, *, target: Any, observe: bool, checks: bool, **settings: Any) -> GraphRecord:
    if isinstance(subject, Tensor):
        for what, value in (("input", input), ("target", target), ("observe", observe or None)):
            if value is not None:
                remedy = "its graph is already there; draw the model to observe it"
                raise ArgumentError(explain("draw", f"no {what} beside a tensor", "one", remedy))
        return record_tensor(subject, **settings)
    if isinstance(subject, type) or not (isinstance(subject, Module) or callable(subject)):
        raise DTypeError(explain("draw", "a Tensor, a Module or a function of Tensors", repr(subject)[:80]))
    if input is None:
        raise ArgumentError(
            explain("draw", "an input for the model", "none", "give a Tensor or a shape: draw(model, (1, 3, 32, 32))")
        )
    return record_model(subject, input, target=target, observe=observe, checks=checks, **settings)
