"""HTML written so that nothing a user typed can become markup: plain strings are escaped, `Markup` is not."""

from __future__ import annotations

import html

VOID = frozenset({"br", "hr", "img", "meta"})


class Markup(str):
    """Text that is HTML already. Only this module and the files of this package make it."""

    __slots__ = ()


def element(tag: str, *children: str | None, **attributes: str | None) -> Markup:
    """Build an element. Children that are plain strings are escaped; None is left out.

    An attribute's trailing underscore is dropped and other underscores become hyphens, so that `class_` and
    `aria_label` can be written.

    >>> element("p", "a < b ", element("b", "!"), class_="note")
    '<p class="note">a &lt; b <b>!</b></p>'
    """
    written = "".join(
        f' {name.removesuffix("_").replace("_", "-")}="{html.escape(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in VOID:
        return Markup(f"<{tag}{written}>")
    return Markup(f"<{tag}{written}>{join(*children)}</{tag}>")


def join(*parts: str | None) -> Markup:
    """Put parts one after the other, escaping those that are plain strings."""
    return Markup(
        "".join(part if isinstance(part, Markup) else html.escape(part) for part in parts if part is not None)
    )
