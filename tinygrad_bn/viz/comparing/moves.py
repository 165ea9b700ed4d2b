"""Which of two graphs' counterparts have moved, and from where to where."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..records import Flow
from .counterparts import hidden
from .matching import Pairs
from .modules import Tree
from .sequences import heaviest_increasing

Neighbours = frozenset[int]
"""Ids in the first graph."""


@dataclass(frozen=True)
class Surroundings:
    """What stays in its place next to an operation, in the direction of the data.

    Attributes:
        before, after: the nearest that it depends on, and the nearest that depend on it.
    """

    before: Neighbours
    after: Neighbours


def find_moves(first: Tree, second: Tree, pairs: Pairs) -> frozenset[int]:
    """Return the ids, in the first graph, of what has moved: what is outside the heaviest part that kept its order.

    An operation that is computed earlier or later than before, between the same neighbours, has not moved: independent
    branches may be computed in any order. A derivative has moved where its operation has.
    """
    known = sorted((node.id, pairs[node.id]) for node in first.operations if node.id in pairs)
    weights = [first.weights[i] for i, _ in known]
    staying = {known[k][0] for k in heaviest_increasing([j for _, j in known], weights)}
    suspects = {i for i, _ in known} - staying
    old, new = _around(first, second, pairs, suspects)
    moved = {i for i in suspects if old[i] != new[i]}
    return frozenset(
        moved | {node.id for node in first.graph.nodes if node.derivative_of in moved and node.id in pairs}
    )


def describe_moves(first: Tree, second: Tree, pairs: Pairs, moved: frozenset[int]) -> dict[int, str]:
    """Say of each moved operation from where to where it went, such as "from before tanh to after it"."""
    old, new = _around(first, second, pairs, set(moved))

    def said(i: int) -> str:
        if max(new[i].before, default=-1) > i:
            there = "it" if old[i].after == new[i].before else names_of_new(new[i].before, "the input")
            return f"from before {_labels(first, old[i].after, 'the end')} to after {there}"
        there = "it" if old[i].before == new[i].after else names_of_new(new[i].after, "the end")
        return f"from after {_labels(first, old[i].before, 'the input')} to before {there}"

    def names_of_new(ids: Neighbours, none: str) -> str:
        return _labels(second, (pairs[k] for k in ids), none)

    return {i: said(i) for i in sorted(moved) if first.graph.nodes[i].derivative_of is None}


def _labels(tree: Tree, ids: Iterable[int], none: str) -> str:
    return " and ".join(dict.fromkeys(tree.graph.nodes[i].label for i in sorted(ids))) or none


def _around(
    first: Tree, second: Tree, pairs: Pairs, moving: set[int]
) -> tuple[dict[int, Surroundings], dict[int, Surroundings]]:
    """Return what is around each node of `moving` in both graphs, but for others of them, by ids of the first graph."""
    fixed = {i: i for i in pairs if i not in moving}
    names = {pairs[i]: i for i in fixed}
    old = _surroundings(first, moving, fixed)
    new = _surroundings(second, {pairs[i] for i in moving}, names)
    return old, {i: new[pairs[i]] for i in moving}


def _surroundings(tree: Tree, wanted: set[int], fixed: Mapping[int, int]) -> dict[int, Surroundings]:
    """Return the nearest fixed nodes around each wanted one; `fixed` gives their names by id."""
    if not wanted:
        return {}
    before: dict[int, list[int]] = defaultdict(list)
    after: dict[int, list[int]] = defaultdict(list)
    inside = hidden(tree)
    for edge in tree.graph.edges:
        if edge.flow is Flow.VALUE and edge.tail not in inside:
            before[edge.head].append(edge.tail)
            after[edge.tail].append(edge.head)
    order = [node.id for node in tree.graph.nodes]
    back, forth = _nearest(order, before, fixed), _nearest(order[::-1], after, fixed)
    return {i: Surroundings(back(i), forth(i)) for i in wanted}


def _nearest(
    order: Sequence[int], neighbours: Mapping[int, Sequence[int]], fixed: Mapping[int, int]
) -> Callable[[int], Neighbours]:
    """Return a function that gives the nearest fixed nodes in one direction; `order` has neighbours first."""
    beyond: dict[int, Neighbours] = {}

    def around(i: int) -> Neighbours:
        found = [frozenset((fixed[k],)) if k in fixed else beyond.get(k, frozenset()) for k in neighbours.get(i, ())]
        return found[0] if len(found) == 1 else frozenset().union(*found)

    for i in order:
        if i not in fixed:
            beyond[i] = around(i)
    return around
