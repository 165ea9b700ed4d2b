"""The counterparts of all nodes: operations first, then the tensors that they read, then derivatives."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence

from ..records import GraphRecord, NodeRecord, Role
from .matching import Pairs, match_operations
from .modules import Tree


def match_nodes(first: Tree, second: Tree) -> Pairs:
    """Return the counterparts of the nodes of one graph in another.

    Parameters and buffers that are shown inside their operation have none of their own: they follow it.
    """
    pairs = match_operations(first, second)
    matched = set(pairs.values())
    free = (_tensors(first), _tensors(second))

    def pair(found: Iterable[tuple[int, int]]) -> None:
        for i, j in found:
            if i not in pairs and j not in matched:
                pairs[i] = j
                matched.add(j)

    pair(_by_key(*free, lambda node: None if node.role is Role.CONSTANT else (node.role, node.label)))
    shown = {node.id for node in free[0]}, {node.id for node in free[1]}
    pair((i, j) for i, j in _by_reader(first.graph, second.graph, pairs) if i in shown[0] and j in shown[1])
    for role in (Role.INPUT, Role.OUTPUT):
        left = (
            [node.id for node in free[0] if node.role is role and node.id not in pairs],
            [node.id for node in free[1] if node.role is role and node.id not in matched],
        )
        pair(zip(*left, strict=False))
    pair(_derivatives(first, second, pairs))
    return pairs


def hidden(tree: Tree) -> set[int]:
    """Return the ids of the tensors that are shown inside operations."""
    return {leaf.id for leaves in tree.docked.values() for leaf in leaves}


def _tensors(tree: Tree) -> list[NodeRecord]:
    inside = hidden(tree)
    return [
        node
        for node in tree.graph.nodes
        if node.role.is_tensor and node.derivative_of is None and node.id not in inside
    ]


def _by_key(
    first: Sequence[NodeRecord], second: Sequence[NodeRecord], key: Callable[[NodeRecord], Hashable]
) -> list[tuple[int, int]]:
    """Pair the nodes of which each graph has exactly one of a key."""
    counts = Counter(key(node) for node in first), Counter(key(node) for node in second)
    places = {key(node): node.id for node in second}
    return [
        (node.id, places[word])
        for node in first
        if (word := key(node)) is not None and counts[0][word] == counts[1][word] == 1
    ]


def _by_reader(first: GraphRecord, second: GraphRecord, pairs: Pairs) -> list[tuple[int, int]]:
    """Pair tensors of one role that are the same argument of operations that are each other's counterparts."""
    read = {(edge.head, edge.argument): edge.tail for edge in reversed(second.edges)}
    found = []
    for edge in first.edges:
        tail, other = first.nodes[edge.tail], read.get((pairs.get(edge.head, -1), edge.argument))
        if tail.role.is_tensor and other is not None and second.nodes[other].role is tail.role:
            found.append((tail.id, other))
    return found


def _derivatives(first: Tree, second: Tree, pairs: Pairs) -> list[tuple[int, int]]:
    """Pair the derivatives of counterparts."""
    known = dict(pairs)
    for i, leaves in first.docked.items():
        if i in pairs:
            others = {short_name(leaf): leaf.id for leaf in second.docked.get(pairs[i], ())}
            known.update((leaf.id, others[short_name(leaf)]) for leaf in leaves if short_name(leaf) in others)
    inside = hidden(first), hidden(second)
    candidates: dict[Hashable, list[int]] = defaultdict(list)
    for node in second.graph.nodes:
        if node.derivative_of is not None and node.id not in inside[1]:
            candidates[node.derivative_of, node.role].append(node.id)
    taken: Counter[Hashable] = Counter()
    found = []
    for node in first.graph.nodes:
        if node.derivative_of in known and node.id not in inside[0]:
            key = (known[node.derivative_of], node.role)
            if taken[key] < len(candidates[key]):
                found.append((node.id, candidates[key][taken[key]]))
                taken[key] += 1
    return found


def short_name(leaf: NodeRecord) -> str:
    """Return a parameter's name inside its module."""
    return leaf.label.rpartition(".")[2]
