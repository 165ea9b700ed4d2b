"""From tensors to records: walking the autograd graph of a result, iteratively, oldest operation first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..autograd import FusedOp, Leaf, Node, Op, no_grad, trace
from ..nn import Module
from ..tensor import Tensor
from . import operations
from .records import Attributes, ClusterRecord, EdgeRecord, GraphRecord, NodeRecord, Role

Source = Node | Leaf
Place = tuple[str, ...]
"""Where an operation lies: the parts of its scope, and one more for each opened operation around it."""


@dataclass
class Names:
    """What is known about a graph beyond the autograd graph itself.

    Attributes:
        leaves: role and name of leaves.
        modules: the module that bears a scope.
    """

    leaves: dict[Leaf, tuple[Role, str]] = field(default_factory=dict)
    modules: dict[str, Module] = field(default_factory=dict)


def record_graph(
    results: Sequence[Tensor], title: str, names: Names, opened: Iterable[str], mode: str = "", root: str = ""
) -> GraphRecord:
    """Record everything that some tensors were computed from.

    Args:
        results: the tensors; each becomes an output.
        title, mode, root: as in the record.
        names: names of leaves and modules, as far as they are known.
        opened: names of the fused operations to be replaced by the operations that they consist of.
    """
    builder = _Builder(names, frozenset(opened))
    sources = [_source_of(result) for result in results]
    for node in _reachable(sources):
        builder.add_operation(node, node.scope, tuple(node.scope.split("/")) if node.scope else ())
    for number, (result, source) in enumerate(zip(results, sources, strict=True)):
        name = result.name if isinstance(source, Node) else None
        label = name or ("output" if len(results) == 1 else f"output {number}")
        builder.add_output(source, label)
    return GraphRecord(title, mode, root, tuple(builder.nodes), tuple(builder.edges), tuple(builder.clusters))


def _source_of(tensor: Tensor) -> Source:
    # A leaf's record in the graph lives as long as something was computed from it; otherwise it gets one here.
    leaf = tensor._leaf() if tensor._leaf is not None else None
    return tensor._node or leaf or Leaf(tensor)


def _reachable(sources: Sequence[Source]) -> list[Node]:
    """Return all nodes that the sources depend on, in the order in which they were computed."""
    found: set[Node] = set()
    waiting = [source for source in sources if isinstance(source, Node)]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += [edge for edge in node.edges if isinstance(edge, Node) and edge not in found]
    return sorted(found, key=lambda node: node.index)


_STATISTICS = {"mean": "running_mean", "variance": "running_var"}
"""The arguments of batch_norm_eval and norm_act_eval that are buffers, and what modules call them."""


class _Builder:
    """Collects records; ids are positions in the lists."""

    def __init__(self, names: Names, opened: frozenset[str]) -> None:
        self.names = names
        self.opened = opened
        self.nodes: list[NodeRecord] = []
        self.edges: list[EdgeRecord] = []
        self.clusters: list[ClusterRecord] = []
        self._ids: dict[Source, int] = {}
        self._open_clusters: list[tuple[str, int]] = []

    def add_operation(self, node: Node, scope: str, place: Place) -> None:
        """Add an operation of a module, or those it consists of; all that it depends on has been added."""
        if node.op.name in self.opened and isinstance(node.op, FusedOp):
            self._add_opened(node, node.op, scope, place)
            return
        cluster = self._enter(place)
        op = node.op
        inputs = self._inputs(node, cluster)
        numbers = _numbers(node, operations.argument_names(op, len(node.edges)))
        attributes = (*operations.attributes_of(op), *numbers, *self._momentum(op, scope))
        identifier = self._add(node, operations.role_of(op), operations.label_of(op), scope, cluster, attributes)
        self.edges += [EdgeRecord(tail, identifier, a, e.shape, str(e.dtype)) for tail, a, e in inputs]

    def add_output(self, source: Source, label: str) -> None:
        """Add an end of the graph."""
        self._enter(())
        tail = self._id_of(source, "", "", None)
        self.nodes.append(NodeRecord(len(self.nodes), Role.OUTPUT, label, "", source.shape, str(source.dtype)))
        self.edges.append(EdgeRecord(tail, len(self.nodes) - 1, "", source.shape, str(source.dtype)))

    def _add(
        self, source: Source, role: Role, label: str, name: str, cluster: int | None, attributes: Attributes = ()
    ) -> int:
        identifier = len(self.nodes)
        self.nodes.append(
            NodeRecord(identifier, role, label, name, source.shape, str(source.dtype), attributes, cluster)
        )
        self._ids[source] = identifier
        return identifier

    def _inputs(self, node: Node, cluster: int | None) -> list[tuple[int, str, Source]]:
        """Return the id and the name of each input; a leaf is added when it is first read."""
        arguments = operations.argument_names(node.op, len(node.edges))
        return [
            (self._id_of(edge, argument, node.op.name, cluster), argument, edge)
            for edge, argument in zip(node.edges, arguments, strict=True)
            if edge is not None
        ]

    def _id_of(self, source: Source, argument: str, op_name: str, cluster: int | None) -> int:
        if source in self._ids or isinstance(source, Node):
            return self._ids[source]
        role, name = self.names.leaves.get(source) or _guess(source, argument, op_name)
        return self._add(source, role, name, "", None if role is Role.INPUT else cluster)

    def _momentum(self, op: Op, scope: str) -> Attributes:
        """Return what only the module knows: the momentum of BatchNorm's running averages."""
        momentum = getattr(self.names.modules.get(scope), "momentum", None)
        if operations.role_of(op) is not Role.NORM or momentum is None:
            return ()
        return (("momentum", f"{momentum:.6g}"),)

    # Clusters: a stack of what is open, because the operations of one module call follow each other

    def _enter(self, place: Place) -> int | None:
        """Close the clusters that do not contain a place, open those that do, and return the innermost."""
        opened = self._open_clusters
        common = 0
        while common < min(len(opened), len(place)) and opened[common][0] == place[common]:
            common += 1
        del opened[common:]
        for depth in range(common, len(place)):
            path = "/".join(place[: depth + 1])
            module = self.names.modules.get(path)
            label = type(module).__name__ if module is not None else ""
            self._open(place[depth], ClusterRecord(len(self.clusters), self._innermost, path, label))
        return self._innermost

    @property
    def _innermost(self) -> int | None:
        return self._open_clusters[-1][1] if self._open_clusters else None

    def _open(self, key: str, cluster: ClusterRecord) -> None:
        self.clusters.append(cluster)
        self._open_clusters.append((key, cluster.id))

    # Opened operations

    def _add_opened(self, node: Node, op: FusedOp, scope: str, place: Place) -> None:
        parent = self._enter(place)
        # What the operation reads lies outside the box that shows what it consists of.
        self._inputs(node, parent)
        key = f"{op.name} {len(self.clusters)}"  # two calls of one operation are two clusters
        attributes = (*operations.attributes_of(op), *self._momentum(op, scope))
        role, label = operations.role_of(op), operations.label_of(op)
        self._open(key, ClusterRecord(len(self.clusters), parent, scope, label, role, attributes))
        inputs = [None if edge is None else _stand_in(edge, node.device) for edge in node.edges]
        with no_grad(), trace():
            result = _source_of(op.expand(*inputs))
        for edge, stand_in in zip(node.edges, inputs, strict=True):
            if edge is not None and stand_in is not None:
                self._ids[_source_of(stand_in)] = self._ids[edge]
        for inner in _reachable([result]):
            self.add_operation(inner, scope, (*place, key))
        self._ids[node] = self._ids[result]


class _StandIn(Tensor):
    """An input of an opened operation. It stays itself when it is detached, so that the drawing shows its use."""

    __slots__ = ()

    def detach(self) -> Tensor:
        return self


def _stand_in(edge: Source, device: Any) -> _StandIn:
    return _StandIn(device.xp.zeros(edge.shape, dtype=edge.dtype))


def _guess(leaf: Leaf, argument: str, op_name: str) -> tuple[Role, str]:
    """Return role and name of a leaf of which no model is known."""
    if leaf.tensor is not None:
        return Role.PARAMETER, leaf.name or argument
    if op_name in ("batch_norm_eval", "norm_act_eval") and argument in _STATISTICS:
        return Role.BUFFER, leaf.name or _STATISTICS[argument]
    return (Role.INPUT, leaf.name) if leaf.name else (Role.CONSTANT, "constant")


def _numbers(node: Node, arguments: Sequence[str]) -> Attributes:
    """Return the Python scalars among an elementwise operation's inputs."""
    if not node.op.broadcasts:
        return ()
    return tuple(
        (argument, f"{value:.6g}")
        for argument, value in zip(arguments, node.saved, strict=True)
        if isinstance(value, int | float)
    )
