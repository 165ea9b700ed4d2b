"""Parts of a document as HTML: text, findings, code, tables, figures."""

from __future__ import annotations

from collections.abc import Iterable

from ..document import CaptionedTable, Code, Figure, Finding, Part, Section, Text
from ..tables import Table
from .charts import Charts
from .markup import Markup, element, join


def section_markup(section: Section, charts: Charts) -> Markup:
    """Everything below a section's heading."""
    return join(*(_part(part, charts) for part in section.parts))


def table_markup(table: Table, caption: str) -> Markup:
    """A table; summary rows stand in a body of their own."""
    heading = element("tr", *(element("th", cell, scope="col") for cell in table.heading))
    bodies = [
        element("tbody", *(_row(row) for row in rows), class_=kind)
        for rows, kind in ((table.body, None), (table.summary, "summary"))
        if rows
    ]
    return element("table", element("caption", caption), element("thead", heading), *bodies, class_="sortable")


def plain_table(rows: Iterable[tuple[str, str]], caption: str) -> Markup:
    """Names and what belongs to them, in two columns."""
    body = [element("tr", element("th", name, scope="row"), element("td", value)) for name, value in rows]
    table = element("table", element("caption", caption), element("tbody", *body), class_="plain")
    return scroll(table, caption)


def scroll(content: Markup, name: str) -> Markup:
    """Wide content in a region that scrolls; such a region must be reachable by keyboard."""
    return element("div", content, class_="scroll", tabindex="0", role="region", aria_label=name)


def _row(cells: tuple[str, ...]) -> Markup:
    return element("tr", element("th", cells[0], scope="row"), *(element("td", cell) for cell in cells[1:]))


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
