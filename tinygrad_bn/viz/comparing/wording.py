"""What is written into the picture of a diff."""

from __future__ import annotations

from ..operations import sign_of
from ..units import shape_text
from .records import Change, Diff
from .rows import Cell, Row, State

_MOST_LINES = 3
"""Changes that are written into a cell; the tooltip of the row tells all."""

SIGNS = {State.ADDED: "+", State.REMOVED: "−", State.CHANGED: "≠"}


def cell_texts(content: Cell) -> tuple[str, list[str]]:
    """Return the title of a cell and what is written below it."""
    changes = list(content.changes)
    became = next((change for change in changes if change.what == "operation"), None)
    label = sign_of(content.node.label)
    if became is not None:
        label = f"{sign_of(became.before)} → {sign_of(became.after)}"
        changes.remove(became)
    lines = [said(change) for change in changes if change.what != "flops"]
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], f"and {len(lines) - _MOST_LINES + 1} more"]
    sign = SIGNS[State.CHANGED] if content.changes else SIGNS.get(content.state, "")
    return f"{sign} {label}".strip(), lines


def said(change: Change) -> str:
    """Say a change, of shapes only the part that differs.

    >>> said(Change("weight", "64×3×3×3", "128×3×3×3")), said(Change("stride", "none", "2"))
    ('weight 64 → 128', 'stride none → 2')
    """
    before, after = change.before.split("×"), change.after.split("×")
    if len(before) == len(after) > 1:
        differs = [k for k in range(len(before)) if before[k] != after[k]]
        before, after = (sizes[differs[0] : differs[-1] + 1] for sizes in (before, after))
    return f"{change.what} {'×'.join(before)} → {'×'.join(after)}"


def row_name(row: Row) -> str:
    """Return the name of a row's block, or of the first and the last of several."""
    return f"{row.name} × {row.repeat}" if row.repeat > 1 else row.name


def row_shapes(diff: Diff, row: Row) -> str:
    """Return the shape of what a row computes, in both graphs if they differ."""
    ends = [graph.nodes[max(ids)].shape for graph, ids in ((diff.first, row.first), (diff.second, row.second)) if ids]
    return " → ".join(dict.fromkeys(map(shape_text, ends)))


def row_tooltip(row: Row) -> list[str]:
    """Return the lines of a row's tooltip: all that differs in it."""
    lines = [f"{row.name} {row.label}".strip()]
    for content in row.cells:
        if content.state is State.MOVED and content.pair is not None:
            lines.append(f"{content.node.label} moved {content.pair.move}")
        elif content.state in (State.ADDED, State.REMOVED):
            lines.append(f"{content.node.label} {content.state}")
        lines += [f"{content.node.label}: {c.what} {c.before} → {c.after}" for c in content.changes]
    return lines
