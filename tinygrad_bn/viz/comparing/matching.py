"""Which operation of one graph is which operation of another: by module, by role, and by place in the module.

1. Down the trees of modules: inside two modules that are each other's counterpart, modules of the same name are paired
   (whatever their order), and the others in the order in which they are most alike.
2. Up again: what is left over in two such modules is paired with what is left over at the same place, then with what is
   left over of its kind elsewhere in the module, so that a BatchNorm that left its layer for another one is found.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..records import GraphRecord, Role
from .modules import WEIGHTS, Kind, Part, Tree
from .sequences import MOST_CELLS, align, heaviest_increasing

REACH = 2
"""Over how many counterparts something may have moved where the two modules are not alike in what has weights."""

Pairs = dict[int, int]
"""Ids in the second graph by ids in the first."""


def match_operations(first: Tree, second: Tree) -> Pairs:
    """Return the counterparts of the forward operations of one graph in another."""
    matcher = _Matcher(first, second)
    modules = matcher.go_down()
    matcher.go_up(modules)
    return matcher.pairs


def trees_of(first: GraphRecord, second: GraphRecord) -> tuple[Tree, Tree]:
    """Return both graphs as trees whose details can be compared."""
    numbers: dict[Hashable, int] = {}
    return Tree(first, numbers), Tree(second, numbers)


class _Matcher:
    def __init__(self, first: Tree, second: Tree) -> None:
        self.first = first
        self.second = second
        self.pairs: Pairs = {}
        self.matched: set[int] = set()  # the operations of the second graph that have a counterpart
        found = (kind for tree in (first, second) for kind in tree.root.kinds)
        self.kinds = {kind: number for number, kind in enumerate(dict.fromkeys(found))}
        self.leaves: tuple[dict[int, Part], dict[int, Part]] = (_leaves(first.root), _leaves(second.root))

    # Down

    def go_down(self) -> list[tuple[Part, Part]]:
        """Pair modules and operations from the outermost module inwards; return the modules, outer ones first."""
        modules = []
        waiting = [(self.first.root, self.second.root)]
        while waiting:
            first, second = waiting.pop()
            if first.operation is not None and second.operation is not None:
                self._pair(first.operation, second.operation)
                continue
            modules.append((first, second))
            ours, theirs = (part.parts if part.operation is None else [part] for part in (first, second))
            waiting += [(ours[i], theirs[j]) for i, j in self._pairs_of_parts(ours, theirs)]
        return modules

    def _pair(self, first: int, second: int) -> None:
        self.pairs[first] = second
        self.matched.add(second)

    def _pairs_of_parts(self, first: Sequence[Part], second: Sequence[Part]) -> list[tuple[int, int]]:
        named = _by_name(first, second)
        weights = [self._weight(first[i]) for i, _ in named]
        staying = [named[k] for k in heaviest_increasing([j for _, j in named], weights)]
        taken = {i for i, _ in named}, {j for _, j in named}
        gaps = _gaps(
            [i for i in range(len(first)) if i not in taken[0]],
            [j for j in range(len(second)) if j not in taken[1]],
            staying,
        )
        pairs = named
        for ours, theirs in gaps:
            pairs = pairs + self._alike([first[i] for i in ours], [second[j] for j in theirs], ours, theirs)
        return pairs

    def _weight(self, part: Part) -> int:
        return sum(WEIGHTS[kind.role] * count for kind, count in part.kinds.items())

    def _alike(
        self, first: Sequence[Part], second: Sequence[Part], ours: Sequence[int], theirs: Sequence[int]
    ) -> list[tuple[int, int]]:
        """Pair parts in their order so that they are as alike as possible; `ours` and `theirs` are their numbers."""
        start = 0
        while start < min(len(first), len(second)) and _same(first[start], second[start]):
            start += 1
        end = 0
        # Elsewhere the earliest of equally good pairings is wanted, which keeps together what belongs together.
        large = (len(first) - start) * (len(second) - start) > MOST_CELLS
        while large and end < min(len(first), len(second)) - start and _same(first[-1 - end], second[-1 - end]):
            end += 1
        inner = first[start : len(first) - end], second[start : len(second) - end]
        found = align(len(inner[0]), len(inner[1]), _Likeness(*inner, self.kinds)) if all(inner) else []
        pairs = [(k, k) for k in range(start)]
        pairs += [(start + i, start + j) for i, j in found]
        pairs += [(len(first) - end + k, len(second) - end + k) for k in range(end)]
        return [(ours[i], theirs[j]) for i, j in pairs]

    # Up

    def go_up(self, modules: Sequence[tuple[Part, Part]]) -> None:
        """Pair what is left over inside each two modules, inner ones first."""
        for first, second in reversed(modules):
            inside = sorted(first.operations()), sorted(second.operations())
            left = [i for i in inside[0] if i not in self.pairs], [j for j in inside[1] if j not in self.matched]
            if all(left):
                self._pair_left_over(*left, first, second)

    def _pair_left_over(self, ours: list[int], theirs: list[int], first: Part, second: Part) -> None:
        known = sorted((i, self.pairs[i]) for i in first.operations() if i in self.pairs)
        weights = [self.first.weights[i] for i, _ in known]
        staying = [known[k] for k in heaviest_increasing([j for _, j in known], weights)]
        for gap in _gaps(ours, theirs, staying):
            parts = [[leaves[k] for k in numbers] for leaves, numbers in zip(self.leaves, gap, strict=True)]
            for i, j in self._alike(parts[0], parts[1], *gap):
                self._pair(i, j)
        for kind in first.kinds:
            mine = [i for i in ours if i not in self.pairs and Kind.of(self.first.graph.nodes[i]) == kind]
            other = [j for j in theirs if j not in self.matched and Kind.of(self.second.graph.nodes[j]) == kind]
            if mine and other:
                whole = first.kinds[kind] == second.kinds[kind] and _weights(first) == _weights(second)
                if whole or kind.role not in (Role.WEIGHT, Role.MODULE):
                    self._pair_elsewhere(mine, other, staying, whole)

    def _pair_elsewhere(self, ours: list[int], theirs: list[int], staying: list[tuple[int, int]], whole: bool) -> None:
        """Pair operations of one kind that stand at different places, between different ones of `staying`."""
        first, second = (
            [leaves[k].shape for k in ids] for leaves, ids in zip(self.leaves, (ours, theirs), strict=True)
        )
        codes = {shape: code for code, shape in enumerate(dict.fromkeys((*first, *second)))}
        shapes = [codes[shape] for shape in first], np.array([codes[shape] for shape in second], np.int64)
        before = [bisect_left(staying, (i,)) for i in ours], np.array(_places_of_second(theirs, staying), np.int64)
        reach = len(staying) if whole else REACH
        # One more pair outweighs whatever all the distances add up to.
        one = (reach + 1) * (min(len(ours), len(theirs)) + 1)

        def scores(i: int, low: int, high: int) -> Any:
            distance = np.abs(before[1][low:high] - before[0][i])
            allowed = (distance <= reach) & (whole | (shapes[1][low:high] == shapes[0][i]))
            return np.where(allowed, one + reach - distance, 0)

        for a, b in align(len(ours), len(theirs), scores):
            self._pair(ours[a], theirs[b])


def _leaves(root: Part) -> dict[int, Part]:
    found: dict[int, Part] = {}
    waiting = [root]
    while waiting:
        part = waiting.pop()
        if part.operation is not None:
            found[part.operation] = part
        waiting += part.parts
    return found


def _weights(part: Part) -> int:
    return sum(count for kind, count in part.kinds.items() if kind.role is Role.WEIGHT)


def _same(first: Part, second: Part) -> bool:
    return (
        first.name == second.name
        and first.label == second.label
        and first.shape == second.shape
        and first.detail == second.detail
        and (first.operation is None) == (second.operation is None)
        and first.kinds == second.kinds
    )


def _by_name(first: Sequence[Part], second: Sequence[Part]) -> list[tuple[int, int]]:
    """Pair modules of one name. Numbered ones only if the numbers mean the same: all are there, and all are alike."""
    places = {part.name: j for j, part in enumerate(second) if part.name}
    common = [(i, places[part.name]) for i, part in enumerate(first) if part.name in places]
    fitting = [(i, j) for i, j in common if _fit(first[i], second[j])]
    counted = [{part.name for part in parts if _is_numbered(part)} for parts in (first, second)]
    if counted[0] != counted[1] or len(fitting) < len(common):
        return [(i, j) for i, j in fitting if not _is_numbered(first[i])]
    return fitting


def _is_numbered(part: Part) -> bool:
    return part.name[-1:].isdecimal()


def _fit(first: Part, second: Part) -> bool:
    if first.operation is not None and second.operation is not None:
        return first.kinds == second.kinds
    if not _is_numbered(first):
        return True
    common = (first.kinds & second.kinds).total()
    return first.operation is second.operation is None and 2 * common >= max(first.kinds.total(), second.kinds.total())


def _gaps(
    first: Iterable[int], second: Iterable[int], staying: Sequence[tuple[int, int]]
) -> list[tuple[list[int], list[int]]]:
    """Return the numbers between each two of `staying` (both columns increasing), where there are some of both."""
    ours: dict[int, list[int]] = defaultdict(list)
    theirs: dict[int, list[int]] = defaultdict(list)
    for i in first:
        ours[bisect_left(staying, (i,))].append(i)
    numbers = list(second)
    for j, place in zip(numbers, _places_of_second(numbers, staying), strict=True):
        theirs[place].append(j)
    return [(ours[place], theirs[place]) for place in ours if place in theirs]


def _places_of_second(numbers: Iterable[int], staying: Sequence[tuple[int, int]]) -> list[int]:
    column = [j for _, j in staying]
    return [bisect_left(column, j) for j in numbers]


@dataclass
class _Table:
    """What the parts of one sequence are compared by, as arrays."""

    counts: Any
    total: Any
    leaf: Any
    words: tuple[Any, ...]


_BONUS = (4, 3, 3, 2)
"""For an equal label, shape, detail and name, added to 8."""

_MOST_ROWS = 64
"""Rows of a table of similarities that are kept for the next part of the same kinds."""


class _Likeness:
    """How alike the parts of two sequences are, row by row."""

    def __init__(self, first: Sequence[Part], second: Sequence[Part], kinds: dict[Kind, int]) -> None:
        used = sorted({kinds[kind] for parts in (first, second) for part in parts for kind in part.kinds})
        self.columns = {number: column for column, number in enumerate(used)}
        self.kinds = kinds
        self.codes: dict[Hashable, int] = {}
        self.first = self._table(first)
        self.second = self._table(second)
        self.rows: dict[tuple[bytes, bool], Any] = {}

    def _table(self, parts: Sequence[Part]) -> _Table:
        counts = np.zeros((len(parts), len(self.columns)), np.int64)
        for row, part in enumerate(parts):
            for kind, count in part.kinds.items():
                counts[row, self.columns[self.kinds[kind]]] = count * WEIGHTS[kind.role]
        words = (
            self._coded("label", (part.label for part in parts)),
            self._coded("shape", (part.shape for part in parts)),
            self._coded("detail", (part.detail for part in parts)),
            self._coded("name", (part.name for part in parts)),
        )
        leaf = np.array([part.operation is not None for part in parts])
        return _Table(counts, counts.sum(axis=1), leaf, words)

    def _coded(self, what: str, values: Iterable[Hashable]) -> Any:
        return np.array([self.codes.setdefault((what, value), len(self.codes)) for value in values], np.int64)

    def __call__(self, i: int, low: int, high: int) -> Any:
        bonus = np.full(high - low, 8, np.int64)
        for ours, theirs, weight in zip(self.first.words, self.second.words, _BONUS, strict=True):
            bonus += weight * (theirs[low:high] == ours[i])
        return self._of_kinds(i)[low:high] * bonus

    def _of_kinds(self, i: int) -> Any:
        """Return the similarity of one part's operations to those of all parts of the second sequence."""
        counts = self.first.counts[i]
        key = (counts.tobytes(), bool(self.first.leaf[i]))
        if key not in self.rows:
            if len(self.rows) >= _MOST_ROWS:
                self.rows.clear()
            common = np.minimum(counts, self.second.counts).sum(axis=1)
            total = self.second.total + counts.sum()
            alike = (4 * common >= total) & (self.second.leaf == self.first.leaf[i])
            self.rows[key] = np.where(alike, common * (32 * common // np.maximum(total, 1)), 0)
        return self.rows[key]
