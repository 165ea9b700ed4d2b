"""What a page is made of, before it is a page: text, tables and figures, independent of who shows them.

The report turns them into HTML, a terminal prints them, a notebook shows them inline, and the export writes figures
and numbers into files.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass

from .figures import Chart
from .tables import Table

TEXT_WIDTH = 100


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    content: str

    def __str__(self) -> str:
        return textwrap.fill(self.content, TEXT_WIDTH)


@dataclass(frozen=True)
class Finding:
    """A sentence that answers a question, set apart from the text around it."""

    content: str

    def __str__(self) -> str:
        return textwrap.fill(f"-> {self.content}", TEXT_WIDTH, subsequent_indent="   ")


@dataclass(frozen=True)
class Code:
    """Program text or output, shown as it is."""

    content: str

    def __str__(self) -> str:
        return textwrap.indent(self.content, "    ")


@dataclass(frozen=True)
class CaptionedTable:
    """A table and what it shows. Its name is that of its CSV file."""

    name: str
    caption: str
    table: Table

    def __str__(self) -> str:
        return f"{textwrap.fill(self.caption, TEXT_WIDTH)}\n\n{self.table}"

    def _repr_html_(self) -> str:
        from .report.notebook import table_html

        return table_html(self.table, self.caption)


@dataclass(frozen=True)
class Figure:
    """A chart and what it shows. Its name is that of its files; it is drawn when somebody looks."""

    name: str
    caption: str
    draw: Callable[[], Chart]

    def __str__(self) -> str:
        return textwrap.fill(f"[figure {self.name}: {self.caption}]", TEXT_WIDTH)

    def _repr_svg_(self) -> str:
        return self.draw().svg

    def _repr_html_(self) -> str:
        from .report.notebook import figure_html

        return figure_html(self)


Part = Text | Finding | Code | CaptionedTable | Figure


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it.

    Attributes:
        key: part of addresses and file names: lower case, with hyphens.
        title: the heading.
        parts: in the order in which they are read.
    """

    key: str
    title: str
    parts: tuple[Part, ...]

    def __str__(self) -> str:
        return "\n\n".join([f"{self.title}\n{'=' * len(self.title)}", *map(str, self.parts)])

    def _repr_html_(self) -> str:
        from .report.notebook import section_html

        return section_html(self)

    @property
    def figures(self) -> list[Figure]:
        """The figures of this section."""
        return [part for part in self.parts if isinstance(part, Figure)]

    @property
    def tables(self) -> list[CaptionedTable]:
        """The tables of this section."""
        return [part for part in self.parts if isinstance(part, CaptionedTable)]
