"""What is done to an SVG that Graphviz has written: a name for who cannot see it, less text, and both themes in one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .markup import text
from .records import Role
from .style import DARK, LIGHT, Theme

Colours = dict[str, str]


def finished_svg(svg: str, title: str, *, both_themes: bool) -> str:
    """Return the picture with a title of its own, without comments.

    Args:
        svg: as Graphviz wrote it.
        title: read out by screen readers in place of the picture.
        both_themes: add the dark theme's colours for readers who have asked their system for dark pages.
    """
    svg = re.sub(r"<!--.*?-->\n?", "", svg, flags=re.DOTALL)  # in text < is always escaped
    style = f"<style>{dark_rules()}</style>\n" if both_themes else ""
    named = f'<svg role="img" aria-label="Graph of {text(title)}"'
    return re.sub(r"<svg( [^>]*>\n?)", lambda found: f"{named}{found[1]}{style}", svg, count=1)


def dark_rules() -> str:
    """Return the style sheet that turns a light drawing's colours into the dark theme's."""
    shapes, texts = themes_as_pairs()
    rules = [f'text[fill="{light}"]{{fill:{dark}}}' for light, dark in texts.items()]
    rules += [f'[stroke="{light}"]{{stroke:{dark}}}' for light, dark in shapes.items()]
    rules += [f':not(text)[fill="{light}"]{{fill:{dark}}}' for light, dark in shapes.items()]
    return f"@media (prefers-color-scheme:dark){{{''.join(rules)}}}"


def themes_as_pairs() -> tuple[Colours, Colours]:
    """Return the dark colour for each light one: of shapes and lines, and of text."""
    shapes = dict(zip(_shape_colours(LIGHT), _shape_colours(DARK), strict=True))
    texts = dict(zip(_text_colours(LIGHT), _text_colours(DARK), strict=True))
    return shapes, texts


def _shape_colours(theme: Theme) -> Iterator[str]:
    yield from (theme.paper, theme.line, theme.cluster_line, *theme.cluster_fills, theme.norm_cluster_fill)
    yield from (*theme.flows.values(), *theme.changes.values())
    for role in Role:
        for look in (theme.looks[role], theme.derivative_look(role)):
            yield from (look.fill, look.line)


def _text_colours(theme: Theme) -> Iterator[str]:
    yield from (theme.ink, theme.faint)
    yield from (*theme.flows.values(), *theme.changes.values())
    for role in Role:
        for look in (theme.looks[role], theme.derivative_look(role)):
            yield from (look.text, look.faint)
