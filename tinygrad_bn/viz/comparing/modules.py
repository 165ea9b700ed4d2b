"""The nodes of a graph in the tree of their modules, with what the parts of such trees are compared by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

from ..docking import docked
from ..records import GraphRecord, NodeRecord, Role, Shape

WEIGHTS: dict[Role, int] = {
    Role.NORM: 200,
    Role.ACTIVATION: 300,
    Role.POOL: 400,
    Role.SHAPE: 400,
    Role.ARITHMETIC: 400,
    Role.LOSS: 800,
    Role.WEIGHT: 800,
    Role.MODULE: 800,
}
"""How unwilling an operation is to be the one that has moved: BatchNorm first, then activations, weights last."""

EXCHANGEABLE = (Role.WEIGHT, Role.NORM, Role.ACTIVATION, Role.POOL, Role.LOSS, Role.MODULE)
"""Roles in which one operation may have taken the place of another, as relu that of tanh."""


@dataclass(frozen=True)
class Kind:
    """What two operations must have in common to be held against each other: the role, mostly also the label."""

    role: Role
    label: str

    @classmethod
    def of(cls, node: NodeRecord) -> Kind:
        """Return the kind of an operation."""
        return cls(node.role, "" if node.role in EXCHANGEABLE else node.label)


@dataclass(eq=False)
class Part:
    """An operation, or a module with the parts that it calls, in the order of the computation.

    Attributes:
        name: of a module, inside the one around it; "" of an operation.
        label: the module's class or the operation's name.
        parts: of a module.
        operation: id of the node, where this is an operation or a module of one operation alone.
        kinds: how many operations of each kind are in it.
        shape: of the tensor that it returns.
        detail: attributes and shapes of parameters; equal for parts that are alike.
    """

    name: str
    label: str
    parts: list[Part] = field(default_factory=list)
    operation: int | None = None
    kinds: Counter[Kind] = field(default_factory=Counter)
    shape: Shape = ()
    detail: int = 0

    def operations(self) -> Iterator[int]:
        """Yield the ids of all operations in it."""
        waiting = [self]
        while waiting:
            part = waiting.pop()
            if part.operation is not None:
                yield part.operation
            waiting += reversed(part.parts)


class Tree:
    """One graph as a tree of modules.

    Attributes:
        graph: the records.
        docked: parameters and buffers that one operation alone reads, by its id.
        operations: the nodes that compute something in the forward pass, in their order.
        weights: by id of the operation, how unwilling it is to be the one that has moved.
        classes: by id of an operation that is all there is of a module, that module's class.
        root: everything.
    """

    def __init__(self, graph: GraphRecord, numbers: dict[Hashable, int]) -> None:
        """Arrange a graph; `numbers` gives equal details equal numbers, also those of another tree."""
        self.graph = graph
        self.numbers = numbers
        self.docked = docked(graph)
        self.operations = [node for node in graph.nodes if not node.role.is_tensor and node.derivative_of is None]
        self.weights = self._weights()
        self.classes: dict[int, str] = {node.id: node.module for node in self.operations if node.module}
        self.root = self._tree()

    def _weights(self) -> dict[int, int]:
        opened = [node.cluster for node in self.operations if self._role_around(node) is not Role.MODULE]
        sizes = Counter(opened)
        # What an opened operation consists of weighs together what the operation itself would weigh.
        return {
            node.id: WEIGHTS[node.role]
            if (role := self._role_around(node)) is Role.MODULE
            else max(1, WEIGHTS[role] // sizes[node.cluster])
            for node in self.operations
        }

    def _role_around(self, node: NodeRecord) -> Role:
        return Role.MODULE if node.cluster is None else self.graph.clusters[node.cluster].role

    def _places(self) -> list[tuple[str, ...]]:
        """Return the names of the modules and opened operations around each operation, outermost first."""
        names: list[tuple[str, ...]] = []  # of the opened operations, for each cluster
        seen: Counter[tuple[str, str, tuple[str, ...]]] = Counter()
        for cluster in self.graph.clusters:
            outer = () if cluster.parent is None else names[cluster.parent]
            if cluster.role is not Role.MODULE:
                key = (cluster.path, cluster.label, outer)
                seen[key] += 1
                outer = (*outer, f"{cluster.label} {seen[key]} opened")
            names.append(outer)
        places = []
        for node in self.operations:
            path = node.path
            if self.graph.root and (path + "/").startswith(self.graph.root + "/"):
                path = path[len(self.graph.root) + 1 :]
            opened = () if node.cluster is None else names[node.cluster]
            places.append((*(path.split("/") if path else ()), *opened))
        return places

    def _tree(self) -> Part:
        labels = {cluster.path: cluster.label for cluster in self.graph.clusters if cluster.role is Role.MODULE}
        root = Part("", "")
        found: dict[tuple[str, ...], Part] = {(): root}
        for node, place in zip(self.operations, self._places(), strict=True):
            depth = len(place)
            while place[:depth] not in found:
                depth -= 1
            for end in range(depth + 1, len(place) + 1):
                path = "/".join((*((self.graph.root,) if self.graph.root else ()), *place[:end]))
                module = Part(place[end - 1], labels.get(path, ""))
                found[place[: end - 1]].parts.append(module)
                found[place[:end]] = module
            found[place].parts.append(Part("", node.label, operation=node.id))
        self._summarise(root)
        return root

    def _summarise(self, root: Part) -> None:
        order, waiting = [], [root]
        while waiting:
            part = waiting.pop()
            order.append(part)
            waiting += part.parts
        for part in reversed(order):
            if part.operation is not None:
                node = self.graph.nodes[part.operation]
                part.kinds[Kind.of(node)] = 1
                part.shape = node.shape
                stored = tuple((leaf.role, leaf.shape) for leaf in self.docked.get(node.id, ()))
                part.detail = self._number((node.label, node.attributes, node.contents, stored))
            elif len(part.parts) == 1 and (operation := part.parts[0].operation) is not None and not part.parts[0].name:
                (inner,) = part.parts
                self.classes.setdefault(operation, part.label)
                part.parts, part.operation, part.label = [], inner.operation, inner.label
                part.kinds, part.shape, part.detail = inner.kinds, inner.shape, inner.detail
            else:
                for inner in part.parts:
                    part.kinds.update(inner.kinds)
                part.shape = part.parts[-1].shape if part.parts else ()
                part.detail = self._number(tuple(sorted(inner.detail for inner in part.parts)))

    def _number(self, detail: Hashable) -> int:
        return self.numbers.setdefault(detail, len(self.numbers))
