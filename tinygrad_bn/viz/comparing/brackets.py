"""Arrows from one cell of a table's row to another, drawn with the borders of thin rows above it.

Graphviz lays cells out, but draws no arrow inside a table. Each cell below is two columns wide, so that a line between
columns can stand over its middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ..markup import font

Move = tuple[int, int]
"""From which cell to which other one of the row."""


def brackets(moves: Sequence[Move], cells: int, colour: str) -> list[str]:
    """Return the rows of a table that draw arrows over a row of cells, the heads in the last one.

    Args:
        moves: each from and to another place.
        cells: how many cells the row has.
        colour: of the arrows.
    """
    levels = _levels(moves)
    rows = []
    for level in reversed(range(len(levels))):
        # The legs of the arrows that run further up go through.
        through = [move for higher in levels[level:] for move in higher]
        bars = [(2 * min(move) + 1, 2 * max(move) + 1) for move in levels[level]]
        rows.append(_line(2 * cells, _legs(through), bars, colour))
    arriving = {new for _, new in moves}
    leaving = [leg for old, new in moves for leg in _legs([(old, new)]) if leg[0] == 2 * old + 1]
    head = f'<TD COLSPAN="2" HEIGHT="7" CELLPADDING="0">{font("▼", size=7, colour=colour)}</TD>'
    rows.append(
        "".join(
            head
            if place in arriving
            else _line(2, [(x - 2 * place, side) for x, side in leaving if x == 2 * place + 1], [], colour)
            for place in range(cells)
        )
    )
    return rows


Leg = tuple[int, str]
"""Before which column a vertical line is, and of which cell it is a side: "L" of the next, "R" of the one before."""


def _legs(moves: Sequence[Move]) -> list[Leg]:
    return sorted(leg for move in moves for leg in ((2 * min(move) + 1, "L"), (2 * max(move) + 1, "R")))


def _line(columns: int, legs: Sequence[Leg], bars: Sequence[tuple[int, int]], colour: str) -> str:
    """Return a thin row with vertical lines at `legs` and horizontal ones over `bars`."""
    cells = []
    cuts = [0, *(x for x, _ in legs), columns]
    for low, high in pairwise(cuts):
        sides = "".join(
            side
            for side, drawn in (
                ("L", (low, "L") in legs),
                ("T", any(start <= low < end for start, end in bars)),
                ("R", (high, "R") in legs),
            )
            if drawn
        )
        border = f' BORDER="2" SIDES="{sides}" COLOR="{colour}"' if sides else ""
        cells.append(f'<TD COLSPAN="{high - low}" HEIGHT="7" CELLPADDING="0"{border}></TD>')
    return "".join(cells)


def _levels(moves: Sequence[Move]) -> list[list[Move]]:
    """Return the moves by how far up they run, lowest first; short ones lie below long ones, and none meet."""
    levels: list[list[Move]] = []
    for move in sorted(moves, key=lambda move: (abs(move[0] - move[1]), move)):
        free = next((level for level in levels if not any(_meet(move, other) for other in level)), None)
        if free is None:
            levels.append([move])
        else:
            free.append(move)
    return levels


def _meet(move: Move, other: Move) -> bool:
    return max(min(move), min(other)) <= min(max(move), max(other))
