"""The recorded graph: nodes for computed values, leaves for given ones."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any
from weakref import ReferenceType

from ..errors import GraphError, explain
from .op import Op

_creation_order = itertools.count()


class Version:
    """Counts the in-place changes of one piece of memory; tensors that share memory share it."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class InputVersion(Version):
    """That of a captured step's input, which the step must not change: a replay would not change the caller's."""

    __slots__ = ()


class Leaf:
    """A tensor that was given, not computed: a parameter, a buffer, an input.

    Attributes:
        tensor: the tensor, when it collects a gradient; None otherwise, so that the graph does not keep it alive.
    """

    __slots__ = ("__weakref__", "dtype", "name", "shape", "tensor")

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor if tensor.requires_grad else None
        self.shape: tuple[int, ...] = tensor.shape
        self.dtype = tensor.dtype
        self.name: str | None = tensor.name


class Saved:
    """An input or output kept for the backward pass, with the version its memory had."""

    __slots__ = ("array", "count", "edge", "version")

    def __init__(self, array: Any, edge: Node | Leaf | None, version: Version) -> None:
        self.array = array
        self.edge = edge
        self.version = version
        self.count = version.count

    @property
    def is_replaced(self) -> bool:
        """Whether this is the value of a leaf that has another array now."""
        leaf = self.edge
        return isinstance(leaf, Leaf) and leaf.tensor is not None and leaf.tensor.data is not self.array


class Node:
    """One recorded operation.

    Attributes:
        op: the operation with its attributes.
        edges: for each input, the Node that computed it, a Leaf, or None for a Python scalar or an absent input.
        scope: the module in whose call it was recorded, such as "features/0/conv".
        shape, dtype: of the output.
        index: creation order; every input's index is smaller.
        saved: for each input, what was kept of it: a Saved, a Python scalar (always kept, for drawings), or None.
    """

    __slots__ = (
        "__weakref__",
        "device",
        "dtype",
        "edges",
        "freed",
        "hooks",
        "index",
        "op",
        "output",
        "retain_grad",
        "saved",
        "scope",
        "shape",
    )

    def __init__(self, op: Op, edges: tuple[Node | Leaf | None, ...], scope: str, array: Any, device: Any) -> None:
        self.op = op
        self.edges = edges
        self.scope = scope
        self.shape: tuple[int, ...] = array.shape
        self.dtype = array.dtype
        self.device = device
        self.index = next(_creation_order)
        self.saved: tuple[Any, ...] = ()
        self.output: Saved | None = None
        self.hooks: dict[int, Callable[[Any], Any]] | None = None
        self.retain_grad: ReferenceType[Any] | None = None
        self.freed = False

    def __repr__(self) -> str:
        place = f" in {self.scope}" if self.scope else ""
        return f"<Node {self.op.name} {self.shape} {self.dtype}{place}>"

    @property
    def needs_grad(self) -> bool:
        """Whether a gradient can flow through this node."""
        return any(self.op.needs)

    @property
    def saved_bytes(self) -> int:
        """Memory kept for the backward pass, in bytes."""
        kept = self.op.kept if isinstance(self.op.kept, tuple) else (self.op.kept,)
        arrays = [s.array for s in (*self.saved, self.output) if isinstance(s, Saved)]
        return sum(int(getattr(a, "nbytes", 0)) for a in (*arrays, *kept))

    def check_usable(self) -> None:
        """Raise if the saved values are gone or were changed since.

        Raises:
            GraphError: a second backward pass, or an in-place change of a value that the derivative needs.
        """
        if self.freed:
            raise GraphError(
                explain(
                    f"backward through {self.op.name!r}",
                    "a graph that has not been used yet",
                    "one whose saved values were freed by an earlier backward pass",
                    "compute the result again, or pass retain_graph=True to the earlier pass",
                )
            )
        for value in (*self.saved, self.output):
            if isinstance(value, Saved) and value.is_replaced:
                raise GraphError(
                    explain(
                        f"backward through {self.op.name!r}",
                        "the leaf's data as they were in the forward pass",
                        "a leaf whose data were replaced since",
                        "call backward() first, or compute the result again",
                    )
                )
            if isinstance(value, Saved) and value.version.count != value.count:
                raise GraphError(
                    explain(
                        f"backward through {self.op.name!r}",
                        f"the value of shape {tuple(value.array.shape)} as it was in the forward pass",
                        f"a value changed in place {value.version.count - value.count} time(s) since",
                        "change a copy (x.detach().copy()), or call backward() first",
                    )
                )

    def free(self) -> None:
        """Drop everything kept for the backward pass."""
        self.freed = True
        self.saved = tuple(None if isinstance(value, Saved) else value for value in self.saved)
        self.output = None
        self.op.kept = None
