"""Parts of a document as HTML: text, findings, code, tables, figures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..document import CaptionedTable, Code, Figure, Finding, Part, Section, Text
from ..tables import Table
from .charts import Charts
from .markup import Markup, element, join

#: Two letters side by side: a number has at most one, as in 1e-05.
WORD = re.compile(r"[^\W\d_]{2}")
#: What stands where there is no number.
MISSING = ("none", "n/a")


def section_markup(section: Section, charts: Charts) -> Markup:
    """Everything below a section's heading."""
    return join(*(_part(part, charts) for part in section.parts))


def table_markup(table: Table, caption: str | None) -> Markup:
    """A table; summary rows stand in a body of their own."""
    kinds = [_kind([row[column] for row in table.body]) for column in range(len(table.heading))]
    cells = zip(table.heading, kinds, strict=True)
    heading = element("tr", *(element("th", cell, scope="col", class_=kind) for cell, kind in cells))
    bodies = [
        element("tbody", *(_row(row, kinds) for row in rows), class_=kind)
        for rows, kind in ((table.body, None), (table.summary, "summary"))
        if rows
    ]
    above = None if caption is None else caption_markup(caption)
    return element("table", above, element("thead", heading), *bodies, class_="sortable")


def caption_markup(text: str) -> Markup:
    """A table's caption, which does not get wider than the window when the table is."""
    return element("caption", element("span", text))


def plain_table(rows: Iterable[tuple[str, str]], caption: str) -> Markup:
    """Names and what belongs to them, in two columns."""
    body = [element("tr", element("th", name, scope="row"), element("td", value)) for name, value in rows]
    table = element("table", caption_markup(caption), element("tbody", *body), class_="plain")
    return scroll(table, caption)


def scroll(content: Markup, name: str) -> Markup:
    """Wide content in a region that scrolls; such a region must be reachable by keyboard."""
    return element("div", content, class_="scroll", tabindex="0", role="region", aria_label=name)


def _row(cells: tuple[str, ...], kinds: Sequence[str | None]) -> Markup:
    name, *others = cells
    values = (element("td", cell, class_=kind) for cell, kind in zip(others, kinds[1:], strict=True))
    return element("tr", element("th", name, scope="row", class_=kinds[0]), *values)


def _kind(cells: Sequence[str]) -> str | None:
    """ "words" for a column of words, which stand to the left and may be long; None for one of numbers."""
    return "words" if any(WORD.search(cell) for cell in cells if cell not in MISSING) else None


def _part(part: Part, charts: Charts) -> Markup | None:
    if isinstance(part, Text):
        return element("p", part.content)
    if isinstance(part, Finding):
        return element("p", part.content, class_="finding")
    if isinstance(part, Code):
        return element("pre", element("code", part.content))
    if isinstance(part, CaptionedTable):
        return scroll(table_markup(part.table, part.caption), f"Table, {part.name}")
    assert isinstance(part, Figure)
    return charts.markup(part.name)
