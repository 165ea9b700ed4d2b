"""From rows to DOT text: both graphs laid over each other, what is the same pale, and an arrow for each move."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from textwrap import wrap

from ..markup import LONGEST, attribute_list, cell, font, quoted, table
from ..operations import sign_of
from ..records import Flow
from ..style import FONT, THEMES, Theme
from ..units import shape_text
from .brackets import brackets
from .records import Change, Diff
from .rows import Cell, Row, State

_SMALL = 9.0
_TINY = 8.0
_MOST_LINES = 3
"""Changes that are written into a cell; the tooltip holds all."""

SIGNS = {State.ADDED: "+", State.REMOVED: "−", State.CHANGED: "≠"}

STATES: dict[str, dict[State, str]] = {
    "light": {
        State.MOVED: "#7a3ea1",
        State.LEFT: "#7a3ea1",
        State.CHANGED: "#0063a0",
        State.ADDED: "#00704f",
        State.REMOVED: "#b84300",
    },
    "dark": {
        State.MOVED: "#c79be6",
        State.LEFT: "#c79be6",
        State.CHANGED: "#6fc0f2",
        State.ADDED: "#3fcf9f",
        State.REMOVED: "#ff9a5c",
    },
}
"""Colours of what differs, by theme: those of the interactive page."""


@dataclass(frozen=True)
class Paint:
    """The colours of one theme."""

    theme: Theme
    states: Mapping[State, str]

    @classmethod
    def of(cls, theme: str) -> Paint:
        """Return the colours of a theme by its name."""
        return cls(THEMES[theme], STATES[theme])


def graph_attributes(diff: Diff, rows: Sequence[Row], paint: Paint, legend: bool) -> dict[str, dict[str, str]]:
    """Return the attributes of the whole graph, of nodes and of edges, by "graph", "node" and "edge"."""
    return {
        "graph": {
            "bgcolor": paint.theme.paper,
            "fontcolor": paint.theme.ink,
            "fontname": FONT,
            "fontsize": "11",
            "label": f"<{_heading(diff, rows, paint, legend)}>",
            "labeljust": "l",
            "labelloc": "t",
            "nodesep": "0.3",
            "pad": "0.2",
            "ranksep": "0.1",
            "tooltip": " ",
        },
        "node": {"fontcolor": paint.theme.ink, "fontname": FONT, "fontsize": "11", "shape": "plain"},
        "edge": {"arrowsize": "0.5", "color": paint.theme.line, "fontname": FONT},
    }


def body(diff: Diff, rows: Sequence[Row], paint: Paint) -> list[str]:
    """Return the lines of the graph's body: a node for each row, then what flows, then what went to another row."""
    left = {
        content.pair.second: (number, place)
        for number, row in enumerate(rows)
        for place, content in enumerate(row.cells)
        if content.state is State.LEFT and content.pair is not None
    }
    return [*_nodes(diff, rows, paint, left), *_flows(diff, rows, paint), *_arrows(rows, paint, left)]


Places = Mapping[int, tuple[int, int]]
"""Row and cell of what has left, by its id in the second graph."""


def _nodes(diff: Diff, rows: Sequence[Row], paint: Paint, left: Places) -> Iterator[str]:
    widths = _widths(rows)
    total = max(map(sum, widths), default=0)
    sides = [[_name(row) for row in rows], [_shapes(diff, row) for row in rows]]
    margins = [max((_text_width(text, _SMALL) + 12 for text in texts), default=0) for texts in sides]
    for number, row in enumerate(rows):
        moves = [(left[j][1], place) for j, place in _arrived(row) if left.get(j, (-1, 0))[0] == number]
        lines = ["".join(_cell(content, k, widths[number][k], paint) for k, content in enumerate(row.cells))]
        if moves:
            lines = [*brackets(moves, len(row.cells), paint.states[State.MOVED]), *lines]
        # All rows are filled up to one width, so that they begin at one line.
        rest = margins[1] + total - sum(widths[number])
        entry = f'<TD PORT="in" CELLPADDING="0">{font("▸", size=_SMALL, colour=paint.theme.line)}</TD>'
        faint = paint.theme.faint
        name = _side(sides[0][number], margins[0], paint.states.get(row.state, faint))
        lines[-1] = f"{name}{entry}{lines[-1]}{_side(sides[1][number], rest, faint)}"
        lines[:-1] = [f"<TD></TD><TD></TD>{line}<TD></TD>" for line in lines[:-1]]
        attributes = {"label": f"<{table(lines, padding=0)}>", "tooltip": quoted(*_tooltip(row))}
        yield f"\tr{number} [{attribute_list(attributes)}]\n"


def _widths(rows: Sequence[Row]) -> list[list[int]]:
    """Return the widths of each row's cells: equal in each column of the rows in which something differs."""
    own = [[_width(content) for content in row.cells] for row in rows]
    differing = [k for k, row in enumerate(rows) if any(content.state is not State.SAME for content in row.cells)]
    columns = [max(column) for column in zip_longest(*(own[k] for k in differing), fillvalue=0)]
    for k in differing:
        own[k] = columns[: len(own[k])]
    return own


def _arrived(row: Row) -> Iterator[tuple[int, int]]:
    """Yield the id in the second graph and the place of what has moved to a row."""
    for place, content in enumerate(row.cells):
        if content.state is State.MOVED:
            yield content.node.id, place


def _side(text: str, width: int, colour: str) -> str:
    shown = font(text, size=_SMALL, colour=colour)
    return f'<TD ALIGN="LEFT" CELLPADDING="4" WIDTH="{width}">{shown}</TD>'


def _cell(content: Cell, place: int, width: int, paint: Paint) -> str:
    title, changes = _texts(content)
    look, state, theme = paint.theme.looks[content.node.role], content.state, paint.theme
    line, ink = (theme.cluster_line, theme.faint) if state is State.SAME else (paint.states[state], look.text)
    fill, border, style = look.fill, 2, "ROUNDED"
    if state is State.SAME:
        fill, border = theme.cluster_fills[0], 1
    elif state in (State.LEFT, State.REMOVED):
        fill, ink, border, style = theme.paper, line, 1, "ROUNDED,DASHED"
    shown = font(title, colour=ink, bold=border == 2)
    shown = f"<S>{shown}</S>" if state is State.REMOVED else shown
    shown += "".join(f"<BR/>{font(change, size=_TINY, colour=ink)}" for change in changes)
    return (
        f'<TD COLSPAN="2" PORT="c{place}" WIDTH="{width}" CELLPADDING="2">'
        f'<TABLE BORDER="{border}" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1" BGCOLOR="{fill}" COLOR="{line}"'
        f' STYLE="{style}"><TR><TD HEIGHT="17">{shown}</TD></TR></TABLE></TD>'
    )


def _flows(diff: Diff, rows: Sequence[Row], paint: Paint) -> Iterator[str]:
    """Yield the edges between rows: those of the second graph, and those of the first at rows that it alone has."""
    old = {i: number for number, row in enumerate(rows) for i in row.first}
    new = {j: number for number, row in enumerate(rows) for j in row.second}
    found: dict[tuple[int, int], None] = {}
    for graph, places in ((diff.second, new), (diff.first, old)):
        for edge in graph.edges:
            tail, head = places.get(edge.tail), places.get(edge.head)
            if edge.flow is not Flow.VALUE or tail is None or head is None or tail == head:
                continue
            # What goes past rows that one graph alone has, and nothing else, goes through them in the picture.
            if all(rows[k].state in (State.ADDED, State.REMOVED) for k in range(tail + 1, head)) and head > tail + 1:
                continue
            if graph is diff.second or State.REMOVED in (rows[tail].state, rows[head].state):
                found.setdefault((tail, head))
    for tail, head in found:
        states = {rows[tail].state, rows[head].state} - {State.SAME}
        state = State.REMOVED if State.REMOVED in states else next(iter(states), State.SAME)
        attributes = {
            "color": quoted(paint.states[state]) if states else "",
            "style": "dashed" if state is State.REMOVED else "",
            "weight": "8" if head == tail + 1 else "",
        }
        yield f"\tr{tail}:in:s -> r{head}:in:n [{attribute_list(attributes)}]\n"
    for tail in range(len(rows) - 1):
        if (tail, tail + 1) not in found:
            # Rows stand below each other in their order, whatever flows between them.
            yield f"\tr{tail}:in:s -> r{tail + 1}:in:n [style=invis weight=8]\n"


def _arrows(rows: Sequence[Row], paint: Paint, left: Places) -> Iterator[str]:
    """Yield the edges from old places to new ones in other rows."""
    attributes = {
        "arrowsize": "0.8",
        "color": quoted(paint.states[State.MOVED]),
        "constraint": "false",
        "penwidth": "2",
        "tooltip": quoted("moved"),
    }
    for number, row in enumerate(rows):
        for j, place in _arrived(row):
            if j in left and left[j][0] != number:
                yield f"\tr{left[j][0]}:c{left[j][1]} -> r{number}:c{place} [{attribute_list(attributes)}]\n"


# Texts


def _texts(content: Cell) -> tuple[str, list[str]]:
    """Return the title of a cell and what is written below it."""
    changes = list(content.changes)
    became = next((change for change in changes if change.what == "operation"), None)
    label = sign_of(content.node.label)
    if became is not None:
        label = f"{sign_of(became.before)} → {sign_of(became.after)}"
        changes.remove(became)
    lines = [_said(change) for change in changes if change.what != "flops"]
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], f"and {len(lines) - _MOST_LINES + 1} more"]
    sign = SIGNS[State.CHANGED] if content.changes else SIGNS.get(content.state, "")
    return f"{sign} {label}".strip(), lines


def _said(change: Change) -> str:
    """Say a change, of shapes only the part that differs.

    >>> _said(Change("weight", "64×3×3×3", "128×3×3×3")), _said(Change("stride", "none", "2"))
    ('weight 64 → 128', 'stride none → 2')
    """
    before, after = change.before.split("×"), change.after.split("×")
    if len(before) == len(after) > 1:
        differs = [k for k in range(len(before)) if before[k] != after[k]]
        before, after = (sizes[differs[0] : differs[-1] + 1] for sizes in (before, after))
    return f"{change.what} {'×'.join(before)} → {'×'.join(after)}"


def _name(row: Row) -> str:
    return f"{row.name} × {row.repeat}" if row.repeat > 1 else row.name


def _shapes(diff: Diff, row: Row) -> str:
    """Return the shape of what a row computes, in both graphs if they differ."""
    ends = [graph.nodes[max(ids)].shape for graph, ids in ((diff.first, row.first), (diff.second, row.second)) if ids]
    return " → ".join(dict.fromkeys(map(shape_text, ends)))


def _tooltip(row: Row) -> list[str]:
    lines = [f"{row.name} {row.label}".strip()]
    for content in row.cells:
        if content.state is State.MOVED and content.pair is not None:
            lines.append(f"{content.node.label} moved {content.pair.move}")
        elif content.state in (State.ADDED, State.REMOVED):
            lines.append(f"{content.node.label} {content.state}")
        lines += [f"{content.node.label}: {c.what} {c.before} → {c.after}" for c in content.changes]
    return lines


def _width(content: Cell) -> int:
    title, lines = _texts(content)
    return max(30, _text_width(title, 11.0) + 16, *(_text_width(line, _TINY) + 8 for line in lines))


def _text_width(text: str, size: float) -> int:
    """Return about how wide a text is: Graphviz makes a cell wider where it is too narrow."""
    return round(0.6 * size * len(text))


def _heading(diff: Diff, rows: Sequence[Row], paint: Paint, legend: bool) -> str:
    title = f"{diff.title}: {diff.names[0]} → {diff.names[1]}"
    lines = [font(title, size=15, bold=True)]
    lines += [font(line, size=10) for part in diff.summary.split("; ") for line in wrap(part, LONGEST)]
    lines += [row] if legend and (row := _legend(diff, rows, paint)) else []
    return table([cell(line, left=True) for line in lines], padding=2)


def _legend(diff: Diff, rows: Sequence[Row], paint: Paint) -> str:
    states = {content.state for row in rows for content in row.cells}
    states |= {State.CHANGED for row in rows for content in row.cells if content.changes}
    first, second = diff.names
    meanings = {
        State.SAME: "the same",
        State.LEFT: f"where it was in {first}",
        State.MOVED: f"▼ where it is in {second}",
        State.CHANGED: "≠ changed",
        State.REMOVED: f"− only in {first}",
        State.ADDED: f"+ only in {second}",
    }
    cells = []
    for state, meaning in meanings.items():
        if state in states:
            colour = paint.theme.cluster_line if state is State.SAME else paint.states[state]
            style = "ROUNDED,DASHED" if state in (State.LEFT, State.REMOVED) else "ROUNDED"
            text = font(meaning, size=_TINY, colour=paint.theme.ink if state is not State.SAME else paint.theme.faint)
            border = 1 if state in (State.SAME, State.LEFT, State.REMOVED) else 2
            cells.append(f'<TD BORDER="{border}" COLOR="{colour}" STYLE="{style}" CELLPADDING="3">{text}</TD>')
    return table(["".join(cells)], spacing=3)
