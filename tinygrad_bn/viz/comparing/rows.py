"""The two graphs as one list of rows: each row is a block of the one, of the other, or of both laid over each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np

from ..records import GraphRecord, NodeRecord, Role
from .matching import trees_of
from .modules import Part, Tree
from .records import Change, Diff, Pair
from .sequences import align

LONGEST = 9
"""Operations in one row, where they can be divided."""

MOST_ROWS = 26
"""Rows that fit on a screen; where there are more, blocks are joined to larger ones, and equal ones are rolled up."""


class State(StrEnum):
    """What became of an operation."""

    SAME = "same"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"
    MOVED = "moved"  #: its new place
    LEFT = "left"  #: its old place


@dataclass(frozen=True)
class Cell:
    """An operation in a row.

    Attributes:
        node: of the second graph; of the first for what was removed or has left.
        state: what became of it.
        pair: with its counterpart, if it has one.
    """

    node: NodeRecord
    state: State
    pair: Pair | None = None

    @property
    def changes(self) -> tuple[Change, ...]:
        """In what the pair differs; told at the new place."""
        return self.pair.changes if self.pair is not None and self.state is not State.LEFT else ()


@dataclass(frozen=True)
class Row:
    """A block of one graph, or of both.

    Attributes:
        name: the module's path, as `named_modules` writes it; of several, the first and the last.
        label: the module's class.
        cells: its operations.
        first, second: ids of the nodes of each graph that it stands for.
        repeat: how many alike follow each other here.
    """

    name: str
    label: str
    cells: tuple[Cell, ...]
    first: frozenset[int]
    second: frozenset[int]
    repeat: int = 1

    @property
    def state(self) -> State:
        """Return ADDED or REMOVED for a block of one graph alone, otherwise SAME."""
        states = {cell.state for cell in self.cells}
        return next(iter(states)) if states in ({State.ADDED}, {State.REMOVED}) else State.SAME


@dataclass(frozen=True)
class _Block:
    name: str
    label: str
    operations: tuple[int, ...]


def rows_of(diff: Diff, depth: int | None = None) -> list[Row]:
    """Return the rows of a diff, in the order of the computation; derivatives are left out.

    Args:
        diff: what differs.
        depth: modules at this depth are one row each; by default as small blocks as fit on a screen.
    """
    trees = trees_of(diff.first, diff.second)
    rows = _rows(diff, *(_blocks(tree, _Grain(depth)) for tree in trees))
    if depth is None and len(rows) > MOST_ROWS:
        rows = _rows(diff, *(_blocks(tree, _Grain(coarse=True)) for tree in trees))
        if len(rows) > MOST_ROWS:
            rows = _rolled(rows)
    return rows


# Blocks


@dataclass(frozen=True)
class _Grain:
    """How large blocks are."""

    depth: int | None = None
    coarse: bool = False

    def ends_at(self, part: Part, level: int) -> bool:
        if self.depth is not None:
            return level >= self.depth
        if self.coarse and level and part.kinds.total() <= LONGEST:
            return True
        return all(inner.operation is not None for inner in part.parts)


def _blocks(tree: Tree, grain: _Grain) -> list[_Block]:
    nodes = tree.graph.nodes
    found: list[_Block] = []
    waiting: list[tuple[Part, tuple[str, ...], int]] = [(tree.root, (), 0)]
    while waiting:
        part, path, level = waiting.pop()
        if grain.ends_at(part, level):
            found += _divided(".".join(path), part.label, sorted(part.operations()), nodes)
            continue
        run: list[Part] = []
        for inner in (*part.parts, None):
            if inner is not None and inner.operation is not None:
                run.append(inner)
                continue
            if run:
                name = ".".join((*path, run[0].name)) if len(run) == 1 and run[0].name else ".".join(path)
                label = tree.classes.get(run[0].operation or 0, "") if len(run) == 1 else part.label
                ids = sorted(i for leaf in run for i in leaf.operations())
                found += _divided(name, label, ids, nodes)
                run = []
            if inner is not None:
                waiting.append((inner, (*path, inner.name), level + 1))
    return sorted(found, key=lambda block: block.operations)


def _divided(name: str, label: str, ids: Sequence[int], nodes: Sequence[NodeRecord]) -> Iterator[_Block]:
    """Yield a block whole, or, if it is long, in pieces that begin at operations with weights."""
    piece: list[int] = []
    for i in ids:
        if piece and len(ids) > LONGEST and (nodes[i].role is Role.WEIGHT or len(piece) == LONGEST):
            yield _Block(name, label, tuple(piece))
            piece = []
        piece.append(i)
    if piece:
        yield _Block(name, label, tuple(piece))


def _with_tensors(blocks: Sequence[_Block], graph: GraphRecord, shown: Mapping[int, bool]) -> list[_Block]:
    """Return the blocks with inputs before and outputs after them, and other tensors that are `shown` inside."""
    nodes = graph.nodes
    ends = {role: tuple(i for i in shown if nodes[i].role is role) for role in (Role.INPUT, Role.OUTPUT)}
    read: dict[int, list[int]] = {}
    placed: set[int] = set()
    for edge in graph.edges:
        if shown.get(edge.tail) and edge.tail not in placed and nodes[edge.tail].role is not Role.INPUT:
            placed.add(edge.tail)
            read.setdefault(edge.head, []).append(edge.tail)
    inner = [replace(b, operations=tuple(k for i in b.operations for k in (*read.get(i, ()), i))) for b in blocks]
    first, last = ([_Block("", "", ids)] if ids else [] for ids in ends.values())
    return [*first, *inner, *last]


# Rows


@dataclass
class _Sides:
    """A diff, by id in either graph."""

    diff: Diff
    by_first: dict[int, Pair] = field(init=False)
    by_second: dict[int, Pair] = field(init=False)

    def __post_init__(self) -> None:
        self.by_first = {pair.first: pair for pair in self.diff.pairs}
        self.by_second = {pair.second: pair for pair in self.diff.pairs}

    def cell_of_first(self, i: int) -> Cell | None:
        """Return the cell of what is not shown at its new place alone."""
        pair, node = self.by_first.get(i), self.diff.first.nodes[i]
        if pair is None:
            return Cell(node, State.REMOVED)
        return Cell(node, State.LEFT, pair) if pair.moved else None

    def cell_of_second(self, j: int) -> Cell:
        pair, node = self.by_second.get(j), self.diff.second.nodes[j]
        if pair is None:
            return Cell(node, State.ADDED)
        state = State.MOVED if pair.moved else State.CHANGED if pair.changes else State.SAME
        return Cell(node, state, pair)


def _rows(diff: Diff, first: Sequence[_Block], second: Sequence[_Block]) -> list[Row]:
    sides = _Sides(diff)
    first = _with_tensors(first, diff.first, _tensors(diff.first, sides.by_first, diff.removed))
    second = _with_tensors(second, diff.second, _tensors(diff.second, sides.by_second, diff.added))
    places = {j: number for number, block in enumerate(second) for j in block.operations}
    common = []
    for block in first:
        found = [sides.by_first[i] for i in block.operations if i in sides.by_first]
        common.append(Counter(places[p.second] for p in found if not p.moved and p.second in places))

    def scores(i: int, low: int, high: int) -> Any:
        return np.array([common[i][j] for j in range(low, high)], np.int64)

    rows = []
    i = j = 0
    for a, b in (*align(len(first), len(second), scores), (len(first), len(second))):
        rows += [_row(sides, block, None) for block in first[i:a]]
        rows += [_row(sides, None, block) for block in second[j:b]]
        rows += [_row(sides, first[a], second[b])] if a < len(first) else []
        i, j = a + 1, b + 1
    return [row for row in rows if row.cells]


def _tensors(graph: GraphRecord, pairs: Mapping[int, Pair], alone: Sequence[int]) -> dict[int, bool]:
    """Return the tensors that are not shown inside an operation, and whether anything about them differs."""
    ids = sorted((*pairs, *alone))
    found = [i for i in ids if graph.nodes[i].role.is_tensor and graph.nodes[i].derivative_of is None]
    return {i: i not in pairs or bool(pairs[i].changes) for i in found}


def _row(sides: _Sides, first: _Block | None, second: _Block | None) -> Row:
    ours, theirs = (block.operations if block is not None else () for block in (first, second))
    place = {j: number for number, j in enumerate(theirs)}
    stays = [-1 if (p := sides.by_first.get(i)) is None or p.moved else place.get(p.second, -1) for i in ours]
    both = align(len(ours), len(theirs), lambda k, low, high: (np.arange(low, high) == stays[k]).astype(np.int64))
    cells: list[Cell] = []
    i = j = 0
    for a, b in (*both, (len(ours), len(theirs))):
        cells += [cell for k in ours[i:a] if (cell := sides.cell_of_first(k)) is not None]
        cells += [sides.cell_of_second(k) for k in theirs[j : b + 1]]
        i, j = a + 1, b + 1
    block = second or first
    assert block is not None
    return Row(block.name, block.label, tuple(cells), frozenset(ours), frozenset(theirs))


# Repeats


def _rolled(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with those as one that follow each other and look the same."""
    where = {
        cell.pair.second: k
        for k, row in enumerate(rows)
        for cell in row.cells
        if cell.pair and cell.state is State.MOVED
    }
    found: list[Row] = []
    previous: Any = None
    for k, row in enumerate(rows):
        # What has left for another row is an arrow of its own.
        inside = all(where[c.pair.second] == k for c in row.cells if c.pair is not None and c.pair.moved)
        look = (
            [(c.node.label, c.node.attributes, c.node.shape, c.state, c.changes) for c in row.cells] if inside else None
        )
        if look is not None and look == previous:
            last = found.pop()
            name = f"{last.name.partition(' … ')[0]} … {row.name}"
            row = replace(
                last, name=name, first=last.first | row.first, second=last.second | row.second, repeat=last.repeat + 1
            )
        found.append(row)
        previous = look
    return found
