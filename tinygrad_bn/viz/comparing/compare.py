"""From two graphs to what differs between them."""

from __future__ import annotations

from typing import Any

from ..records import GraphRecord
from .changes import changed_inputs, changes_of
from .counterparts import hidden, match_nodes
from .matching import trees_of
from .moves import describe_moves, find_moves
from .records import Diff, Pair


def compare(first: GraphRecord, second: GraphRecord, names: tuple[str, str] = ("first", "second")) -> Diff:
    """Find which node of one graph is which node of the other, and what differs.

    Held the other way round, two graphs give the same pairs and moves, with removed and added exchanged.

    Args:
        first, second: the graphs.
        names: what to call them.
    """
    ours, theirs = trees_of(first, second)
    # Where several pairings are equally good, the choice must not depend on which graph comes first.
    if _order(second) < _order(first):
        exchanged = match_nodes(theirs, ours)
        pairs = {i: j for j, i in exchanged.items()}
        moved = frozenset(exchanged[j] for j in find_moves(theirs, ours, exchanged))
    else:
        pairs = match_nodes(ours, theirs)
        moved = find_moves(ours, theirs, pairs)
    moves = describe_moves(ours, theirs, pairs, moved)
    rewired = changed_inputs(ours, theirs, {i: j for i, j in pairs.items() if i not in moved})
    found = []
    for i, j in sorted(pairs.items()):
        changes = (*changes_of(ours, theirs, i, j), *((rewired[i],) if i in rewired else ()))
        found.append(Pair(i, j, i in moved, moves.get(i, ""), changes))
    absent = set(pairs) | hidden(ours), set(pairs.values()) | hidden(theirs)
    return Diff(
        first,
        second,
        names,
        tuple(found),
        removed=tuple(node.id for node in first.nodes if node.id not in absent[0]),
        added=tuple(node.id for node in second.nodes if node.id not in absent[1]),
    )


def _order(graph: GraphRecord) -> Any:
    """Return something that any two graphs can be put in order by."""
    return (
        len(graph.nodes),
        [(node.label, node.path, node.role, node.shape, node.dtype, node.attributes) for node in graph.nodes],
        [(edge.tail, edge.head, edge.argument) for edge in graph.edges],
        [(cluster.path, cluster.label, cluster.role) for cluster in graph.clusters],
        [-1 if node.cluster is None else node.cluster for node in graph.nodes],
    )
