"""What a drawing shows, as plain records: no tensors, no arrays, nothing of any renderer.

`trace` makes them, `fold` simplifies them, `dot` turns them into DOT text. Ids are counters in the order of the
computation, so that the same graph always gives the same records.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from .observation import Observation

Shape = tuple[int, ...]
Attributes = tuple[tuple[str, str], ...]


class Role(StrEnum):
    """What something in a drawing is for; its shape and colour follow from it."""

    WEIGHT = "weight"
    NORM = "norm"
    ACTIVATION = "activation"
    POOL = "pool"
    LOSS = "loss"
    ARITHMETIC = "arithmetic"
    SHAPE = "shape"
    MODULE = "module"
    INPUT = "input"
    CONSTANT = "constant"
    PARAMETER = "parameter"
    BUFFER = "buffer"
    OUTPUT = "output"

    @property
    def is_tensor(self) -> bool:
        """Whether it is a tensor rather than something that computes."""
        return self in _TENSORS


class Flow(StrEnum):
    """What an edge carries."""

    VALUE = "value"
    GRADIENT = "gradient"
    KEPT = "kept"  #: a value of the forward pass that a derivative reads


_TENSORS = (Role.INPUT, Role.CONSTANT, Role.PARAMETER, Role.BUFFER, Role.OUTPUT)


@dataclass(frozen=True)
class Content:
    """Some of what is inside a closed module: `count` operations of one kind."""

    role: Role
    label: str
    count: int


@dataclass(frozen=True)
class NodeRecord:
    """An operation, a tensor, or a closed module.

    Attributes:
        id: counter in the order of the computation.
        role: what it is for.
        label: the operation's name, the tensor's name, or the module's class.
        path: of the module in whose call it was computed, or that it is: "VGG/features/0".
        shape, dtype: of the tensor that it is or computes.
        attributes: what else there is to say, such as ("kernel", "3×3").
        cluster: id of the innermost cluster that it lies in; None outside all.
        contents: of a closed module: its operations, in the order of the computation.
        parameter_count: of a closed module: trained numbers in it.
        module: the class of a module that consists of this operation alone.
        flops: floating-point operations of the forward computation; of a closed module, their sum.
        kept_bytes: memory that is kept for its derivative and for none before it; of a closed module, their sum.
        derivative_of: id of the operation whose derivative it computes; None for what the forward pass computes.
        repeat: how many alike follow each other here, this one among them.
        observation: what was measured of it, if that was asked for.
    """

    id: int
    role: Role
    label: str
    path: str
    shape: Shape
    dtype: str
    attributes: Attributes = ()
    cluster: int | None = None
    contents: tuple[Content, ...] = ()
    parameter_count: int = 0
    module: str = ""
    flops: int = 0
    kept_bytes: int = 0
    derivative_of: int | None = None
    repeat: int = 1
    observation: Observation | None = None

    @property
    def size(self) -> int:
        """The number of elements of its tensor."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class EdgeRecord:
    """A tensor that flows from one node to another.

    Attributes:
        tail, head: ids of the nodes.
        argument: the name of the head's argument that it is, such as "weight".
        shape, dtype: of the tensor.
        flow: what the tensor is.
    """

    tail: int
    head: int
    argument: str
    shape: Shape
    dtype: str
    flow: Flow = Flow.VALUE


@dataclass(frozen=True)
class ClusterRecord:
    """One call of a module, or an operation opened into those that it consists of.

    Attributes:
        id: counter in the order of the computation.
        parent: id of the cluster that it lies in; None for an outermost one.
        path: the module's path, "VGG/features/0".
        label: the module's class, or the opened operation's name; "" where it is not known.
        role: of the opened operation; MODULE for a module.
        attributes: of the opened operation.
        repeat: how many alike follow each other here, this one among them.
    """

    id: int
    parent: int | None
    path: str
    label: str
    role: Role = Role.MODULE
    attributes: Attributes = ()
    repeat: int = 1


@dataclass(frozen=True)
class GraphRecord:
    """A whole drawing.

    Attributes:
        title: what is drawn.
        mode: "training", "evaluation", "mixed", or "" where there is no model.
        root: the path of the outermost module, if the drawing is of one: names are shown relative to it.
        nodes, edges, clusters: in the order of the computation; ids count from 0 and are positions in these tuples.
    """

    title: str
    mode: str
    root: str
    nodes: tuple[NodeRecord, ...]
    edges: tuple[EdgeRecord, ...]
    clusters: tuple[ClusterRecord, ...]
