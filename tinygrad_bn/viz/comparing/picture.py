"""From rows to DOT text: both graphs laid over each other, what is the same pale, and an arrow for each move."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from textwrap import wrap

from ..markup import LONGEST, attribute_list, cell, font, quoted, table
from ..records import Flow
from ..style import FONT, Theme
from .brackets import brackets
from .records import Diff
from .rows import Cell, Row, State
from .wording import cell_texts, row_name, row_shapes, row_tooltip

_SMALL = 9.0
_TINY = 8.0

SHORTEST = 16
"""A picture of fewer rows is not broken into columns, however narrow it is."""

_SCREEN = 0.75
"""Height of a screen for its width."""

_MARGINS = 200
"""About how wide names and shapes are, in points."""


def graph_attributes(diff: Diff, rows: Sequence[Row], theme: Theme, legend: bool) -> dict[str, dict[str, str]]:
    """Return the attributes of the whole graph, of nodes and of edges, by "graph", "node" and "edge"."""
    return {
        "graph": {
            "bgcolor": theme.paper,
            "fontcolor": theme.ink,
            "fontname": FONT,
            "fontsize": "11",
            "label": f"<{_heading(diff, rows, theme, legend)}>",
            "labeljust": "l",
            "labelloc": "t",
            "nodesep": "0.3",
            "pad": "0.2",
            "ranksep": "0.1",
            "tooltip": " ",
        },
        "node": {"fontcolor": theme.ink, "fontname": FONT, "fontsize": "11", "shape": "plain"},
        "edge": {"arrowsize": "0.5", "color": theme.line, "fontname": FONT},
    }


def body(diff: Diff, rows: Sequence[Row], theme: Theme) -> list[str]:
    """Return the lines of the graph's body: a node for each row, then what flows, then what went to another row."""
    left = {
        content.pair.second: (number, place)
        for number, row in enumerate(rows)
        for place, content in enumerate(row.cells)
        if content.state is State.LEFT and content.pair is not None
    }
    columns = _columns(rows)
    return [*_nodes(diff, rows, theme, left), *_flows(diff, rows, columns, theme), *_arrows(rows, theme, left)]


def _columns(rows: Sequence[Row]) -> list[int]:
    """Return the column of the picture that each row stands in: a long and narrow picture is broken into several."""
    width = max(map(sum, _widths(rows)), default=0) + _MARGINS
    heights = [38 + 14 * any(content.state is State.MOVED for content in row.cells) for row in rows]
    count = max(1, round((sum(heights) / width / _SCREEN) ** 0.5)) if len(rows) >= SHORTEST else 1
    found: list[int] = []
    above = 0
    for height in heights:
        found.append(min(count - 1, int(above * count / sum(heights))))
        above += height
    return found


Places = Mapping[int, tuple[int, int]]
"""Row and cell of what has left, by its id in the second graph."""


def _nodes(diff: Diff, rows: Sequence[Row], theme: Theme, left: Places) -> Iterator[str]:
    widths = _widths(rows)
    total = max(map(sum, widths), default=0)
    sides = [[row_name(row) for row in rows], [row_shapes(diff, row) for row in rows]]
    margins = [max((_text_width(text, _SMALL) + 12 for text in texts), default=0) for texts in sides]
    for number, row in enumerate(rows):
        moves = [(left[j][1], place) for j, place in _arrived(row) if left.get(j, (-1, 0))[0] == number]
        lines = ["".join(_cell(content, k, widths[number][k], theme) for k, content in enumerate(row.cells))]
        if moves:
            lines = [*brackets(moves, len(row.cells), theme.changes[State.MOVED]), *lines]
        # All rows are filled up to one width, so that they begin at one line.
        rest = margins[1] + total - sum(widths[number])
        entry = f'<TD PORT="in" CELLPADDING="0">{font("▸", size=_SMALL, colour=theme.line)}</TD>'
        faint = theme.faint
        name = _side(sides[0][number], margins[0], theme.changes.get(row.state, faint), "name")
        lines[-1] = f"{name}{entry}{lines[-1]}{_side(sides[1][number], rest, faint, 'out')}"
        lines[:-1] = [f"<TD></TD><TD></TD>{line}<TD></TD>" for line in lines[:-1]]
        attributes = {"label": f"<{table(lines, padding=0)}>", "tooltip": quoted(*row_tooltip(row))}
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


def _side(text: str, width: int, colour: str, port: str) -> str:
    shown = font(text, size=_SMALL, colour=colour)
    return f'<TD PORT="{port}" ALIGN="LEFT" CELLPADDING="4" WIDTH="{width}">{shown}</TD>'


def _cell(content: Cell, place: int, width: int, theme: Theme) -> str:
    title, changes = cell_texts(content)
    look, state = theme.looks[content.node.role], content.state
    line, ink = (theme.cluster_line, theme.faint) if state is State.SAME else (theme.changes[state], look.text)
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


def _flows(diff: Diff, rows: Sequence[Row], columns: Sequence[int], theme: Theme) -> Iterator[str]:
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
            "color": quoted(theme.changes[state]) if states else "",
            "style": "dashed" if state is State.REMOVED else "",
            "weight": "8" if head == tail + 1 else "",
            "constraint": "false" if columns[tail] != columns[head] else "",
        }
        ports = (":in:s", ":in:n") if columns[tail] == columns[head] else (":out:e", ":name:w")
        yield f"\tr{tail}{ports[0]} -> r{head}{ports[1]} [{attribute_list(attributes)}]\n"
    for tail in range(len(rows) - 1):
        if (tail, tail + 1) not in found and columns[tail] == columns[tail + 1]:
            # Rows stand below each other in their order, whatever flows between them.
            yield f"\tr{tail}:in:s -> r{tail + 1}:in:n [style=invis weight=8]\n"


def _arrows(rows: Sequence[Row], theme: Theme, left: Places) -> Iterator[str]:
    """Yield the edges from old places to new ones in other rows."""
    attributes = {
        "arrowsize": "0.8",
        "color": quoted(theme.changes[State.MOVED]),
        "constraint": "false",
        "penwidth": "2",
        "tooltip": quoted("moved"),
    }
    for number, row in enumerate(rows):
        for j, place in _arrived(row):
            if j in left and left[j][0] != number:
                yield f"\tr{left[j][0]}:c{left[j][1]} -> r{number}:c{place} [{attribute_list(attributes)}]\n"


def _width(content: Cell) -> int:
    title, lines = cell_texts(content)
    return max(30, _text_width(title, 11.0) + 16, *(_text_width(line, _TINY) + 8 for line in lines))


def _text_width(text: str, size: float) -> int:
    """Return about how wide a text is: Graphviz makes a cell wider where it is too narrow."""
    return round(0.6 * size * len(text))


def _heading(diff: Diff, rows: Sequence[Row], theme: Theme, legend: bool) -> str:
    title = f"{diff.title}: {diff.names[0]} → {diff.names[1]}"
    lines = [font(title, size=15, bold=True)]
    lines += [font(line, size=10) for part in diff.summary.split("; ") for line in wrap(part, LONGEST)]
    lines += [row] if legend and (row := _legend(diff, rows, theme)) else []
    return table([cell(line, left=True) for line in lines], padding=2)


def _legend(diff: Diff, rows: Sequence[Row], theme: Theme) -> str:
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
            colour = theme.cluster_line if state is State.SAME else theme.changes[state]
            style = "ROUNDED,DASHED" if state in (State.LEFT, State.REMOVED) else "ROUNDED"
            text = font(meaning, size=_TINY, colour=theme.ink if state is not State.SAME else theme.faint)
            border = 1 if state in (State.SAME, State.LEFT, State.REMOVED) else 2
            cells.append(f'<TD BORDER="{border}" COLOR="{colour}" STYLE="{style}" CELLPADDING="3">{text}</TD>')
    return table(["".join(cells)], spacing=3)
