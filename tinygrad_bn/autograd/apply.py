"""Applying an operation to tensors: the one place where forward computation meets the graph."""

from __future__ import annotations

import threading
import weakref
from typing import Any

import numpy as np

from ..backend import recording as get_recording
from ..backend import renew_in_children
from ..backend.capturing import refuse_inside
from ..dtypes import FLOATING, is_floating, promoted
from ..errors import (
    ArgumentError,
    DeviceError,
    DTypeError,
    GraphError,
    ShapeError,
    TinygradBNError,
    explain,
)
from ..kernels import kernels_of
from .autocast import autocast_region
from .modes import current_scope, grad_mode, trace_mode
from .node import Leaf, Node, Saved, Version
from .op import Op
from .value import Value

# One tensor has one leaf, also when two threads use it first at the same time.
_making_leaves = threading.Lock()


def _renew_lock() -> None:
    global _making_leaves
    _making_leaves = threading.Lock()


renew_in_children(_renew_lock)


def apply(op: Op, *inputs: Any) -> Any:
    """Compute `op` of tensors and, if a gradient may be asked for, record it; returns a tensor.

    Args:
        op: a fresh instance; it is kept in the graph.
        inputs: Tensors on one device; Python scalars (they take the tensors' dtype) and None where the op allows it.

    Raises:
        DeviceError: the tensors live on different devices.
        ShapeError: the shapes do not broadcast together.
    """
    region = autocast_region.get()
    if region is not None and op.precision:
        inputs = region.operands(op.precision, inputs)
    tensors = [value for value in inputs if isinstance(value, Value)]
    like = tensors[0]
    device = like.device
    for tensor in tensors:
        if tensor.device is not device:
            raise DeviceError(
                explain(
                    op.name,
                    "operands on one device",
                    f"{device} and {tensor.device}",
                    "move one with .to(...)",
                )
            )
    kernels = kernels_of(device)
    under_way = get_recording()
    if under_way is not None:
        for tensor in tensors:
            under_way.uses(tensor)
    arrays = [value.data if isinstance(value, Value) else value for value in inputs]
    if op.broadcasts:
        arrays = _promoted(arrays, op.floating)
    recording = op.differentiable and grad_mode.get() and any(t._requires_grad for t in tensors)
    if recording:
        op.needs = tuple(isinstance(value, Value) and value._requires_grad for value in inputs)
    # Infinities and NaN are values like any other here, as in every tensor library.
    with np.errstate(all="ignore"):
        try:
            array = op.forward(kernels, *arrays)
        except (ValueError, TypeError, OverflowError) as error:
            foreign = op.broadcasts or isinstance(error, OverflowError)
            if isinstance(error, TinygradBNError) or not foreign:
                raise
            raise _translated(op.name, arrays, error) from error
    device = op.output_device or device
    if not isinstance(array, device.array_type):
        array = device.xp.asarray(array)  # NumPy returns scalars from reductions to zero dimensions
    tracing = trace_mode.get()
    if not (recording or tracing):
        return like.wrap(array, version=like.version if op.is_view else None, device=device)
    edges = tuple(edge_of(value) if isinstance(value, Value) else None for value in inputs)
    node = Node(op, edges, current_scope(), array, device)
    version = like.version if op.is_view else Version()
    if recording:
        _save(node, inputs, arrays, array, version)
    else:
        node.saved = tuple(None if isinstance(value, Value) else value for value in inputs)
    result = like.wrap(array, node=node, version=version, requires_grad=recording, device=device)
    if callable(tracing):
        tracing(result, arrays)
    return result


def _save(node: Node, inputs: Any, arrays: list[Any], array: Any, version: Version) -> None:
    """Keep of inputs and output what the operation's derivative reads."""
    op = node.op
    if not is_floating(array.dtype):
        raise DTypeError(explain(op.name, "a floating-point result", str(array.dtype), "use detach() first"))
    keep = op.retained_inputs()
    saved: list[Any] = list(inputs)
    for i, value in enumerate(inputs):
        if isinstance(value, Value):
            saved[i] = Saved(arrays[i], node.edges[i], value.version) if i in keep else None
    node.saved = tuple(saved)
    if op.retains_output():
        node.output = Saved(array, None, version)


def _translated(where: str, arrays: list[Any], error: Exception) -> Exception:
    """Return an array module's complaint about an elementwise operation as one of ours."""
    operands = [a for a in arrays if hasattr(a, "shape")]
    if isinstance(error, TypeError):
        return DTypeError(explain(where, "dtypes it is defined for", " and ".join(str(a.dtype) for a in operands)))
    try:
        np.broadcast_shapes(*(a.shape for a in operands))
    except ValueError:
        shapes = " and ".join(str(tuple(a.shape)) for a in operands)
        return ShapeError(explain(where, "shapes that broadcast together", shapes))
    return ArgumentError(explain(where, "operands it is defined for", str(error)))


def edge_of(tensor: Value) -> Node | Leaf:
    """Return where a tensor comes from: the node that computed it, or its leaf."""
    if tensor._node is not None:
        return tensor._node
    leaf = tensor._leaf() if tensor._leaf is not None else None
    if leaf is None:
        with _making_leaves:
            leaf = tensor._leaf() if tensor._leaf is not None else None
            if leaf is None:
                leaf = Leaf(tensor)
                tensor._leaf = weakref.ref(leaf)
    if leaf.tensor is None and tensor.requires_grad:
        leaf.tensor = tensor  # it asks for a gradient only since the leaf was made
    return leaf


def _promoted(arrays: list[Any], floating: bool) -> list[Any]:
    """Cast integers that meet floating-point numbers, so that they never widen them (PyTorch's rule).

    NumPy's own rules decide between dtypes of the same kind, but for the two of 16 bits, which meet in float32; Python
    scalars take the arrays' dtype. `floating` asks for a floating-point result also where all inputs are integers; it
    is then float32.
    """
    dtypes = [a.dtype for a in arrays if hasattr(a, "dtype")]
    floats = [d for d in dtypes if d.char in FLOATING]
    if len(floats) == len(dtypes):
        return arrays
    if floats:
        target, kinds = promoted(*floats), "iu"
    elif floating or any(isinstance(a, float) for a in arrays):
        target, kinds = np.dtype("float32"), "iub"
    else:
        return arrays
    return [a.astype(target) if hasattr(a, "dtype") and a.dtype.kind in kinds else a for a in arrays]


def check_writable(where: str, tensor: Value) -> None:
    """Raise if a tensor shares memory, of JAX for example, that must not be written.

    Raises:
        ArgumentError: it does.
    """
    if isinstance(tensor.data, np.ndarray) and not tensor.data.flags.writeable:
        raise ArgumentError(explain(where, "memory that may be written", "a read-only array's", "copy() the tensor"))


def check_in_place(where: str, tensor: Value) -> None:
    """Raise if a tensor must not be changed in place now.

    Raises:
        GraphError: a gradient is being recorded for it.
        ArgumentError: its memory is read-only.
        CaptureError: it is an input of the captured step that is running.
    """
    check_writable(where, tensor)
    if tensor.is_step_input:
        refuse_inside("inputs that stay as they are", f"one that {where} changes", "change a copy, and return it")
    if grad_mode.get() and tensor.requires_grad:
        kind = "a leaf that requires grad" if tensor._node is None else "a computed tensor that requires grad"
        raise GraphError(
            explain(
                where,
                "a tensor that needs no gradient",
                kind,
                "wrap the change in tg.no_grad(), or detach() first",
            )
        )
