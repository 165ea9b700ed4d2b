"""The numbers of a small tensor as a table of coloured cells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

from .docking import STORED
from .markup import cell, font, table
from .observation import Facts
from .records import NodeRecord
from .scale import diverging, text_on
from .units import number_text

T = TypeVar("T")
Matrix = Sequence[Sequence[float]]

MOST_PANELS = 4
MOST_COLUMNS = 12
_SIZE = 7.5


def heat_maps(node: NodeRecord, known: Mapping[str, Facts | None], theme: str, faint: str) -> str:
    """Return tables of numbers beside each other; "" where the numbers of none are known.

    Of a batch the first example is shown, and of many channels the first few. Blue is negative, orange positive, and
    white (on dark ground, dark) is 0; each table has a scale of its own.

    Args:
        node: whose shape the tensors have.
        known: what was measured of each tensor, by its caption.
        theme: "light" or "dark".
        faint: colour of the captions.
    """
    maps = [
        cell(_captioned(caption, node, facts.values, theme, faint))
        for caption, facts in known.items()
        if facts is not None and facts.values
    ]
    return table(["".join(maps)], spacing=3) if maps else ""


def _captioned(caption: str, node: NodeRecord, values: Sequence[float], theme: str, faint: str) -> str:
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    panels, notes = _panels(node, values)
    drawn = table(["".join(cell(_panel(rows, largest, theme)) for rows in panels)], spacing=2)
    return table([cell(font(", ".join((caption, *notes)), size=_SIZE, colour=faint)), cell(drawn)])


def _panels(node: NodeRecord, values: Sequence[float]) -> tuple[list[Matrix], list[str]]:
    """Return the first few matrices along the last two axes, and what is to be said about the rest."""
    if len(node.shape) < 2:
        return [_cut(values, MOST_COLUMNS)], []
    matrices = _cut(_cut(values, node.shape[-1]), node.shape[-2])
    batch = node.shape[0] if len(node.shape) == 4 and node.role not in STORED else 1
    notes = [f"example 1 of {batch}"] if batch > 1 else []
    shown = matrices[: len(matrices) // batch]
    if len(shown) > MOST_PANELS:
        notes.append(f"first {MOST_PANELS} of {len(shown)}")
    return list(shown[:MOST_PANELS]), notes


def _cut(items: Sequence[T], length: int) -> list[Sequence[T]]:
    return [items[start : start + length] for start in range(0, len(items), length)]


def _panel(rows: Matrix, largest: float, theme: str) -> str:
    return table(["".join(_number_cell(value, largest, theme) for value in row) for row in rows], spacing=1)


def _number_cell(value: float, largest: float, theme: str) -> str:
    fill = diverging(value / largest if largest and math.isfinite(value) else 0.0, theme)
    text = font(_written(value, largest), size=_SIZE, colour=text_on(fill))
    return f'<TD BGCOLOR="{fill}" WIDTH="24" HEIGHT="15">{text}</TD>'


def _written(value: float, largest: float) -> str:
    """Write a number with as many decimals as three digits of the largest have, so that columns can be compared."""
    if value == 0 or not math.isfinite(value) or not 1e-3 <= largest < 1e5:
        return number_text(value)
    decimals = max(0, 2 - math.floor(math.log10(largest)))
    written = f"{value:.{decimals}f}"
    return written.replace("-", "−" if float(written) else "")
