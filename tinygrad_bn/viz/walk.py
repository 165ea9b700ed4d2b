"""From tensors to records: walking the autograd graph of a result, iteratively, oldest operation first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..autograd import FusedOp, Leaf, Node, Op, Saved, enable_grad, grad, trace
from ..nn import Module
from ..tensor import Tensor
from . import operations
from .backward import Computed, add_backward
from .observe import Observer
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
    results: Sequence[Tensor],
    title: str,
    names: Names,
    opened: Iterable[str],
    mode: str = "",
    root: str = "",
    *,
    observer: Observer | None = None,
    backward: bool = False,
) -> GraphRecord:
    """Record everything that some tensors were computed from.

    Args:
        results: the tensors; each becomes an output.
        title, mode, root: as in the record.
        names: names of leaves and modules, as far as they are known.
        opened: names of the fused operations to be replaced by the operations that they consist of.
        observer: has watched the computation and its backward pass; every node gets its observation.
        backward: also record the derivatives that a backward pass from the results computes.
    """
    builder = _Builder(names, frozenset(opened), observer)
    sources = [_source_of(result) for result in results]
    for node in _reachable(sources):
        builder.add_operation(node, node.scope, tuple(node.scope.split("/")) if node.scope else ())
    for number, (result, source) in enumerate(zip(results, sources, strict=True)):
        name = result.name if isinstance(source, Node) else None
        label = name or ("output" if len(results) == 1 else f"output {number}")
        builder.add_output(source, label)
    if backward:
        add_backward(builder.nodes, builder.edges, builder.computed)
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

    def __init__(self, names: Names, opened: frozenset[str], observer: Observer | None) -> None:
        self.names = names
        self.opened = opened
        self.observer = observer
        self.nodes: list[NodeRecord] = []
        self.edges: list[EdgeRecord] = []
        self.clusters: list[ClusterRecord] = []
        self.computed: list[Computed] = []
        self._ids: dict[Source, int] = {}
        self._kept: set[int] = set()
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
        ids = [None if edge is None else self._ids[edge] for edge in node.edges]
        self.computed.append(Computed(node, identifier, ids))

    def add_output(self, source: Source, label: str) -> None:
        """Add an end of the graph."""
        self._enter(())
        tail = self._id_of(source, "", "", None)
        observation = self.nodes[tail].observation
        self.nodes.append(
            NodeRecord(
                len(self.nodes), Role.OUTPUT, label, "", source.shape, str(source.dtype), observation=observation
            )
        )
        self.edges.append(EdgeRecord(tail, len(self.nodes) - 1, "", source.shape, str(source.dtype)))

    def _add(
        self, source: Source, role: Role, label: str, name: str, cluster: int | None, attributes: Attributes = ()
    ) -> int:
        identifier = len(self.nodes)
        flops = kept_bytes = 0
        if isinstance(source, Node):
            shapes = [() if edge is None else edge.shape for edge in source.edges]
            flops, kept_bytes = source.op.flops(shapes, source.shape), self._kept_bytes(source)
        self.nodes.append(
            NodeRecord(
                identifier,
                role,
                label,
                name,
                source.shape,
                str(source.dtype),
                attributes,
                cluster,
                flops=flops,
                kept_bytes=kept_bytes,
                observation=self.observer.observe(source, role) if self.observer is not None else None,
            )
        )
        self._ids[source] = identifier
        return identifier

    def _kept_bytes(self, node: Node) -> int:
        """Return the memory that a node's derivative needs and none before it; what was given counts for nobody."""
        kept = node.op.kept if isinstance(node.op.kept, tuple) else (node.op.kept,)
        computed = (
            s.array for s in (*node.saved, node.output) if isinstance(s, Saved) and not isinstance(s.edge, Leaf)
        )
        total = 0
        for array in (*computed, *kept):
            if hasattr(array, "nbytes") and id(_owner(array)) not in self._kept:
                self._kept.add(id(_owner(array)))
                total += int(array.nbytes)
        return total

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
        inputs = [self._stand_in(node, position) for position in range(len(node.edges))]
        expanded = self._computed_again(node, op, inputs)
        result = _source_of(expanded)
        for edge, stand_in in zip(node.edges, inputs, strict=True):
            if edge is not None and stand_in is not None:
                for source in (stand_in, *stand_in.detached):
                    self._ids[_source_of(source)] = self._ids[edge]
        for inner in _reachable([result]):
            self.add_operation(inner, scope, (*place, key))
        self._ids[node] = self._ids[result]

    def _computed_again(self, node: Node, op: FusedOp, inputs: Sequence[_StandIn | None]) -> Tensor:
        """Return what an opened operation computes, with the graph of its expansion; gradients flow through it too."""
        observer = self.observer
        with enable_grad(), trace(None if observer is None else observer.watch):
            result: Tensor = op.expand(*inputs)
        gradient = None if observer is None else observer.gradient_of(node)
        needed = [value for value in inputs if value is not None and value.requires_grad]
        if gradient is not None and needed:
            grad(result, needed, result.wrap(gradient), retain_graph=True, allow_unused=True)
        return result

    def _stand_in(self, node: Node, position: int) -> _StandIn | None:
        """Return a tensor in the place of an operation's input: with its values if they are known, else with zeros."""
        edge = node.edges[position]
        if edge is None:
            return None
        value = None if self.observer is None else self.observer.value_of(edge)
        if value is None:
            value = node.device.use().zeros(edge.shape, dtype=edge.dtype)
        return _StandIn(value, device=node.device, requires_grad=bool(node.op.needs) and node.op.needs[position])


class _StandIn(Tensor):
    """An input of an opened operation. It knows what was detached from it, so that the drawing shows its use."""

    __slots__ = ("detached",)

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.detached: list[Tensor] = []

    def detach(self) -> Tensor:
        result = super().detach()
        self.detached.append(result)
        return result


def _owner(array: Any) -> Any:
    """Return the array whose memory a view looks at."""
    while isinstance(getattr(array, "base", None), type(array)):
        array = array.base
    return array


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
