"""The backward pass: iterative, each node once, newest first."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..backend import renew_in_children
from ..backend.capturing import refuse_host_operand
from ..dtypes import is_number
from ..errors import ArgumentError, DeviceError, DTypeError, GraphError, ShapeError, explain
from ..kernels import kernels_of
from .apply import edge_of
from .autocast import autocast
from .modes import enable_grad, no_grad
from .node import Leaf, Node, Saved
from .value import Value

# Several threads may run backward passes that end in the same parameters.
_accumulating = threading.Lock()


def _renew_lock() -> None:
    global _accumulating
    _accumulating = threading.Lock()


renew_in_children(_renew_lock)


def backward(
    output: Any, gradient: Any = None, *, retain_graph: bool | None = None, create_graph: bool = False
) -> None:
    """Add the gradient of `output` with respect to every leaf that requires one to that leaf's `.grad`.

    Args:
        output: a tensor of one element, or of any shape if `gradient` is given.
        gradient: the gradient to start from, of the output's shape; 1 by default.
        retain_graph: keep what was saved for the backward pass, so that it can be used again; defaults to
            `create_graph`.
        create_graph: record the backward pass itself, so that its results can be differentiated.

    Raises:
        GraphError: nothing requires a gradient, the graph was used before, or a saved value has changed.
        ShapeError: the output has several elements and no gradient is given, or one of another shape.
    """
    start = _starting_gradient("backward", output, gradient)
    keep = create_graph if retain_graph is None else retain_graph
    found, unshared = _run([(output, start)], None, keep, create_graph)
    for leaf, total in found.items():
        _accumulate(leaf.tensor, total, create_graph, leaf in unshared)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    *,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Any, ...]:
    """Return the gradients of the outputs' sum with respect to each input; no `.grad` is touched.

    Arguments as in `torch.autograd.grad`: one tensor or a sequence each; inputs may be leaves or computed.

    Raises:
        GraphError: an input does not require grad, or took no part in the outputs (unless `allow_unused`, which
            returns None for it).

    >>> import tinygrad_bn as tg
    >>> x = tg.tensor(3.0, requires_grad=True)
    >>> (slope,) = tg.grad(x * x, x, create_graph=True)
    >>> (curvature,) = tg.grad(slope, x)
    >>> slope.item(), curvature.item()
    (6.0, 2.0)
    """
    outputs, inputs = _tensors("outputs", outputs), _tensors("inputs", inputs)
    if grad_outputs is None:
        grad_outputs = [None] * len(outputs)
    elif not isinstance(grad_outputs, list | tuple):
        grad_outputs = [grad_outputs]
    if len(grad_outputs) != len(outputs):
        raise ArgumentError(explain("grad", f"{len(outputs)} grad_outputs, one per output", str(len(grad_outputs))))
    for tensor in inputs:
        if not tensor.requires_grad:
            raise GraphError(explain("grad", "inputs that require grad", f"{tensor!r}", "use requires_grad_() before"))
    roots = [(o, _starting_gradient("grad", o, g)) for o, g in zip(outputs, grad_outputs, strict=True)]
    keep = create_graph if retain_graph is None else retain_graph
    edges = [edge_of(tensor) for tensor in inputs]
    found, unshared = _run(roots, set(edges), keep, create_graph)
    if not allow_unused:
        for tensor, edge in zip(inputs, edges, strict=True):
            if edge not in found:
                raise GraphError(
                    explain("grad", "inputs that the outputs depend on", f"{tensor!r}", "pass allow_unused=True")
                )
    if create_graph:
        return tuple(found.get(edge) for edge in edges)
    # Otherwise copies, because several inputs may have got the same array, or the caller's own.
    once = unshared if len(set(edges)) == len(edges) else set()
    return tuple(
        None if (part := found.get(edge)) is None else part.detach() if edge in once else part.detach().copy()
        for edge in edges
    )


def _tensors(what: str, values: Any) -> list[Any]:
    tensors = list(values) if isinstance(values, Iterable) and not isinstance(values, Value) else [values]
    for tensor in tensors:
        if not isinstance(tensor, Value):
            raise DTypeError(explain("grad", f"{what} that are Tensors", type(tensor).__name__))
    return tensors


def _starting_gradient(where: str, output: Any, gradient: Any) -> Any:
    if not output.requires_grad:
        raise GraphError(
            explain(
                where,
                "a result that requires grad",
                f"{output!r}",
                "mark a leaf with requires_grad_() and compute outside no_grad()",
            )
        )
    if gradient is None:
        if output.data.size != 1:
            raise ShapeError(
                explain(
                    where,
                    "one element",
                    f"shape {output.shape}",
                    "pass a gradient, or reduce with sum() or mean()",
                )
            )
        return output.wrap(output.device.use().ones(output.shape, dtype=output.dtype))
    if not isinstance(gradient, Value):
        refuse_host_operand(gradient)
        gradient = output.wrap(_as_array(where, gradient, output))
    if gradient.device is not output.device:
        raise DeviceError(explain(where, f"a gradient on {output.device}", str(gradient.device), "use to()"))
    if gradient.data.shape != output.shape:
        raise ShapeError(explain(where, f"a gradient of the output's shape {output.shape}", str(gradient.data.shape)))
    if gradient.dtype != output.dtype:
        raise DTypeError(
            explain(where, f"a gradient of the output's dtype {output.dtype}", str(gradient.dtype), "use astype")
        )
    return gradient


def _as_array(where: str, values: Any, like: Any) -> Any:
    """Return numbers, or an array, as an array of a tensor's device and dtype."""
    like.device.use()
    if not isinstance(values, like.device.array_type):
        try:
            values = np.asarray(values)
        except ValueError as error:
            raise ShapeError(explain(where, "a gradient of a regular shape", str(error))) from error
        if is_number(values.dtype):
            values = like.device.from_host(values)
    if not is_number(values.dtype):
        raise DTypeError(explain(where, "a gradient of numbers", str(values.dtype)))
    with np.errstate(all="ignore"):
        return values.astype(like.dtype)


def _run(
    roots: list[tuple[Any, Any]], targets: set[Node | Leaf] | None, retain_graph: bool, create_graph: bool
) -> tuple[dict[Any, Any], set[Node | Leaf]]:
    """Send gradients from the roots down the graph; return what arrives at the targets (None: at all leaves).

    Returned beside it: the leaves whose gradient has memory of its own that nobody else knows.
    """
    nodes = _reachable([edge_of(output) for output, _ in roots])
    useful = _leading_to(targets, nodes) if targets is not None else None
    arriving: dict[Any, Any] = {}
    for output, gradient in roots:
        _add(arriving, edge_of(output), gradient)
    found: dict[Any, Any] = {}
    unshared: set[Node | Leaf] = set()
    mode = enable_grad if create_graph else no_grad
    with mode(), autocast(enabled=False), np.errstate(all="ignore"):
        # Every node was created after its inputs, so newest first is an order in which all of a node's gradient has
        # arrived before the node is visited.
        for node in reversed(nodes):
            gradient = arriving.pop(node, None)
            if gradient is None or (useful is not None and node not in useful):
                continue
            gradient = _call_hooks(node.hooks, gradient, node.op.name)
            if targets is None and node.retain_grad is not None and (tensor := node.retain_grad()) is not None:
                _accumulate(tensor, gradient, create_graph)
            if targets is not None and node in targets:
                found[node] = gradient
            if useful is not None and useful.isdisjoint(node.edges):
                continue
            node.check_usable()
            for edge, part in zip(node.edges, _input_gradients(node, gradient, create_graph), strict=True):
                if part is not None and edge is not None:
                    is_sum = _add(arriving, edge, part)
                    if (is_sum or node.op.gradients_are_new) and isinstance(edge, Leaf):
                        unshared.add(edge)
            if not retain_graph:
                node.free()
        for edge, gradient in arriving.items():
            # What is left arrived at leaves, or at nodes that lead to no target.
            if isinstance(edge, Leaf) and edge.tensor is not None and (targets is None or edge in targets):
                if edge.tensor._hooks:  # a hook may keep what it sees, and remove itself
                    unshared.discard(edge)
                found[edge] = _call_hooks(edge.tensor._hooks, gradient, edge.name or "a leaf")
    return found, unshared


def _reachable(starts: list[Node | Leaf]) -> list[Node]:
    """Return all nodes below the starts that a gradient flows through, oldest first."""
    seen: set[Node] = set()
    stack = [edge for edge in starts if isinstance(edge, Node)]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        stack.extend(
            edge for edge, need in zip(node.edges, node.op.needs, strict=True) if need and isinstance(edge, Node)
        )
    return sorted(seen, key=lambda node: node.index)


def _leading_to(targets: set[Node | Leaf], nodes: list[Node]) -> set[Node | Leaf | None]:
    """Return the targets and those of the nodes, given oldest first, from which a target can be reached."""
    useful: set[Node | Leaf | None] = set(targets)
    for node in nodes:
        if not useful.isdisjoint(node.edges):
            useful.add(node)
    return useful


def _input_gradients(node: Node, gradient: Any, create_graph: bool) -> list[Any]:
    """Return the gradient of each input of a node, checked, in the input's shape and dtype."""
    op = node.op
    if op.backward_arrays is not None and not create_graph:
        arrays = op.backward_arrays(
            kernels_of(node.device),
            gradient.data,
            [value.array if isinstance(value, Saved) else value for value in node.saved],
            node.output.array if node.output is not None else None,
        )
        as_array = node.device.xp.asarray  # NumPy returns scalars from arithmetic without dimensions
        parts = [None if array is None else gradient.wrap(as_array(array)) for array in arrays]
    else:
        inputs = [_restored(value, gradient) if isinstance(value, Saved) else value for value in node.saved]
        output = None
        if node.output is not None:
            output = gradient.wrap(node.output.array, node=node, version=node.output.version, requires_grad=True)
        parts = list(op.backward(gradient, inputs, output))
    if len(parts) != len(node.edges):
        raise GraphError(explain(f"backward of {op.name!r}", f"{len(node.edges)} gradients", str(len(parts))))
    for i, (edge, part) in enumerate(zip(node.edges, parts, strict=True)):
        if part is None or edge is None or not op.needs[i]:
            parts[i] = None
        elif part.data.shape != edge.shape or part.data.dtype != edge.dtype:
            if not op.broadcasts:
                raise GraphError(
                    explain(
                        f"backward of {op.name!r}",
                        f"a gradient of shape {edge.shape} and dtype {edge.dtype} for input {i}",
                        f"shape {part.data.shape} and dtype {part.data.dtype}",
                    )
                )
            parts[i] = sum_to(part, edge.shape).astype(edge.dtype)
    return parts


def sum_to(gradient: Any, shape: tuple[int, ...]) -> Any:
    """Sum a gradient over the axes along which an input of `shape` was broadcast."""
    if gradient.shape == shape:
        return gradient
    extra = gradient.ndim - len(shape)
    stretched = [i + extra for i, n in enumerate(shape) if n == 1 and gradient.shape[i + extra] != 1]
    return gradient.sum(axis=(*range(extra), *stretched), keepdims=True).reshape(shape)


def _restored(saved: Saved, like: Any) -> Any:
    """Return a saved input as a tensor at its place in the graph."""
    if isinstance(saved.edge, Leaf):
        if saved.edge.tensor is not None:
            return saved.edge.tensor
        return like.wrap(saved.array, version=saved.version)
    return like.wrap(
        saved.array,
        node=saved.edge,
        version=saved.version,
        requires_grad=saved.edge is not None and saved.edge.needs_grad,
    )


def _add(arriving: dict[Any, Any], edge: Node | Leaf, gradient: Any) -> bool:
    """Add a gradient to what has arrived at an edge, and return whether there was something to add it to."""
    earlier = arriving.get(edge)
    arriving[edge] = gradient if earlier is None else earlier + gradient
    return earlier is not None


def _call_hooks(hooks: dict[int, Any] | None, gradient: Any, name: str) -> Any:
    for hook in list(hooks.values()) if hooks else ():
        changed = hook(gradient)
        if changed is not None:
            like = gradient.data
            if not isinstance(changed, Value) or (changed.data.shape, changed.data.dtype) != (like.shape, like.dtype):
                expected = f"None or a tensor of shape {gradient.shape} and dtype {gradient.dtype}"
                raise GraphError(explain(f"gradient hook of {name}", expected, repr(changed)))
            gradient = changed
    return gradient


def _accumulate(tensor: Any, gradient: Any, create_graph: bool, unshared: bool = False) -> None:
    # Otherwise a copy, because the same array may also have gone to another leaf, or be a view.
    with _accumulating:
        if create_graph:
            with enable_grad():
                tensor.grad = gradient.copy() if tensor.grad is None else tensor.grad + gradient
        elif tensor.grad is None:
            tensor.grad = gradient if unshared else gradient.wrap(tensor.device.copy(gradient.data))
        else:
            tensor.grad = tensor.grad.detach() + gradient.detach()
