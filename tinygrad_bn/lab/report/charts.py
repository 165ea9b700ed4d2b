"""Charts as parts of a page, and as files beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ..document import Figure
from ..figures import COLOURS, FAINT, FORMATS, INK, Chart
from .markup import Markup, element


class Charts:
    """Figures that are drawn once, for the page and for the files.

    Args:
        figures: what to draw; their names differ.
        prefix: put before each name, so that names of several chapters differ.
    """

    def __init__(self, figures: Iterable[Figure], prefix: str = "") -> None:
        self._prefix = prefix
        self._drawn: dict[str, tuple[Figure, Chart]] = {figure.name: (figure, figure.draw()) for figure in figures}

    @property
    def names(self) -> list[str]:
        """The names of the figures, without the prefix."""
        return list(self._drawn)

    def markup(self, name: str) -> Markup | None:
        """The figure with its caption as a part of the page, or None where there is no such figure."""
        if name not in self._drawn:
            return None
        figure, chart = self._drawn[name]
        return element(
            "figure",
            element("div", _inline(chart.svg, self._prefix + name, figure.caption), class_="chart"),
            element("figcaption", figure.caption),
        )

    def save(self, folder: Path) -> None:
        """Write every figure into the folder in all formats of `figures.FORMATS`."""
        folder.mkdir(exist_ok=True)
        for name, (_, chart) in self._drawn.items():
            for format in FORMATS:
                chart.save(folder / f"{self._prefix}{name}.{format}")


def _inline(svg: str, name: str, label: str) -> Markup:
    """Make a stand-alone SVG part of the page: scalable, in the page's colours, with ids of its own."""
    opening, rest = svg[svg.index("<svg") :].split(">", 1)
    opening = re.sub(r'\s(width|height)="[^"]*"', "", opening)
    rest = re.sub(r"<metadata>.*?</metadata>", "", rest, flags=re.DOTALL)
    # Matplotlib numbers the parts of every figure alike; on one page each id must be there once.
    key = re.sub(r"[^\w.-]", "_", name)
    rest = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{key}-", rest)
    for index, colour in enumerate(COLOURS):
        rest = rest.replace(colour, f"var(--order-{index})")
    rest = rest.replace(INK, "var(--ink)").replace(FAINT, "var(--faint)")
    return Markup(f'{opening} role="img">{element("title", label)}{rest.strip()}')
