"""Charts as parts of a page, and as files beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...files import write_file
from ..document import Figure
from ..figures import COLOURS, FAINT, FORMATS, INK
from .markup import Markup, element


class Charts:
    """Figures that are drawn once, for the page and for the files.

    Args:
        figures: what to draw; their names differ.
        prefix: put before each name, so that names of several chapters differ.
        formats: those of the files; all by default. A page needs "svg".
    """

    def __init__(self, figures: Iterable[Figure], prefix: str = "", formats: Sequence[str] | None = None) -> None:
        self._prefix = prefix
        self._captions: dict[str, str] = {}
        self._files: dict[str, dict[str, bytes]] = {}
        for figure in figures:
            self._captions[figure.name] = figure.caption
            self._files[figure.name] = figure.draw().files(FORMATS if formats is None else formats)

    @property
    def names(self) -> list[str]:
        """The names of the figures, without the prefix."""
        return list(self._files)

    def markup(self, name: str) -> Markup | None:
        """The figure with its caption as a part of the page, or None where there is no such figure."""
        if name not in self._files:
            return None
        svg, caption = self._files[name]["svg"].decode("utf-8"), self._captions[name]
        return element(
            "figure",
            element("div", inline(svg, self._prefix + name, caption), class_="chart"),
            element("figcaption", caption),
        )

    def save(self, folder: Path) -> None:
        """Write every figure into the folder in every format."""
        folder.mkdir(exist_ok=True)
        for name, files in self._files.items():
            for format, content in files.items():
                write_file(folder / f"{self._prefix}{name}.{format}", content)


def inline(svg: str, name: str, label: str) -> Markup:
    """Make a stand-alone SVG part of the page: scalable, in the page's colours, with ids of its own."""
    opening, rest = svg[svg.index("<svg") :].split(">", 1)
    opening = re.sub(r'\s(width|height)="[^"]*"', "", opening)
    # A style inside an SVG would hold for the whole page; the page's own style says the same.
    rest = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", rest, flags=re.DOTALL)
    # Matplotlib numbers the parts of every figure alike, and pictures that are equal have the same id; on one page each
    # id must be there once. Most are never referred to.
    used = set(re.findall(r'(?:url\(#|href="#)([^")]*)', rest))
    rest = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", rest)
    key = re.sub(r"[^\w.-]", "_", name)
    rest = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{key}-", rest)
    for index, colour in enumerate(COLOURS):
        rest = rest.replace(colour, f"var(--order-{index})")
    rest = rest.replace(INK, "var(--ink)").replace(FAINT, "var(--faint)")
    return Markup(f'{opening} role="img">{element("title", label)}{rest.strip()}')
