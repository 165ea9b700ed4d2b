"""Text in DOT: quoted strings and HTML-like labels, with everything that a user may have chosen made harmless."""

from __future__ import annotations

import html
from collections.abc import Sequence

LONGEST = 80
"""Characters of a name that are shown."""


def text(value: str) -> str:
    """Return text for an HTML-like label: markup, backslashes and unprintable characters lose their meaning.

    >>> text('"]; <b>' + "\\\\N" + chr(10))
    '&quot;]; &lt;b&gt;&#92;N&#92;n'
    """
    # Graphviz takes a label without any character for a syntax error.
    return html.escape(_shown(value)).replace("\\", "&#92;") or "&#160;"


def quoted(*lines: str) -> str:
    """Return a quoted DOT string of some lines, in which backslashes and quotes stand for themselves.

    >>> print(quoted('say "hi"', "end\\\\"))
    "say \\"hi\\"\\nend\\\\"
    """
    escaped = (_shown(line).replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    return '"' + "\\n".join(escaped) + '"'


def font(value: str, *, size: float | None = None, colour: str | None = None, bold: bool = False) -> str:
    """Return text for an HTML-like label in another size, colour or weight."""
    result = f"<B>{text(value)}</B>" if bold else text(value)
    attributes = (f' POINT-SIZE="{size:g}"' if size else "") + (f' COLOR="{colour}"' if colour else "")
    return f"<FONT{attributes}>{result}</FONT>" if attributes else result


def _shown(value: str) -> str:
    """Return a name with unprintable characters as Python writes them, and a long one without its middle."""
    if len(value) > LONGEST:
        value = f"{value[: LONGEST // 2]}…{value[-LONGEST // 2 + 1 :]}"
    if value.isprintable():
        return value
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in value)


def table(rows: Sequence[str], spacing: int = 0, padding: int = 1) -> str:
    """Return a table without lines, of rows that hold cells."""
    opening = f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="{spacing}" CELLPADDING="{padding}">'
    return opening + "".join(f"<TR>{row}</TR>" for row in rows) + "</TABLE>"


def cell(content: str, *, left: bool = False) -> str:
    """Return a cell of a table, in the middle of its column or at its left."""
    return f'<TD ALIGN="LEFT">{content}</TD>' if left else f"<TD>{content}</TD>"


def attribute_list(attributes: dict[str, str]) -> str:
    """Return attributes of a node or an edge; what is empty is left out."""
    return " ".join(f"{name}={value}" for name, value in attributes.items() if value)
