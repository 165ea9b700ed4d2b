"""Charts drawn with Matplotlib: one look for all of them, and the file formats that they can be written in.

Ink is drawn in `INK` and what is compared in `COLOURS`, so that a page can replace these with its own colours. Series
are told apart by colour (after Okabe & Ito 2008, safe for colour-blind readers, the light ones darkened until they have
a contrast of 3 to 1 with white), by line style and by marker.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import missing_dependency, unknown_choice
from ..files import write_file

INK = "#333334"
FAINT = "#7b7b7e"
COLOURS = ("#0072b2", "#d55e00", "#008c66", "#b0578a", "#a87500", "#696e75")
LINE_STYLES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")
FORMATS = ("svg", "png", "pdf")
#: Points per inch of a PNG file.
RESOLUTION = 150


class Chart:
    """A finished chart.

    Args:
        figure: the Matplotlib figure.

    Attributes:
        figure: the same, for who wants to change it.
    """

    def __init__(self, figure: Any) -> None:
        self.figure = figure

    @property
    def svg(self) -> str:
        """SVG text, with a transparent background; the same bytes for the same chart."""
        return self.files(("svg",))["svg"].decode("utf-8")

    def files(self, formats: Iterable[str] = FORMATS) -> dict[str, bytes]:
        """The content of a file in each of these formats. The parts of the chart are put in their places only once.

        Raises:
            ArgumentError: a format is not one of `FORMATS`.
        """
        import matplotlib

        # With a salt of its own Matplotlib writes the same bytes for the same chart.
        with matplotlib.rc_context({**STYLE, "svg.hashsalt": "tinygrad_bn"}):
            layout = self.figure.get_layout_engine()
            if layout is not None:
                layout.execute(self.figure)
            # Matplotlib draws twice and solves the layout twice for every file as long as the figure has an engine.
            self.figure.set_layout_engine(None)
            try:
                return {format: self._content(format) for format in formats}
            finally:
                self.figure.set_layout_engine(layout)

    def save(self, path: Path) -> None:
        """Write the chart into a file; the suffix chooses the format, one of `FORMATS`.

        Raises:
            ArgumentError: another suffix.
        """
        format = path.suffix.removeprefix(".")
        write_file(path, self.files((format,))[format])

    def _content(self, format: str) -> bytes:
        if format not in FORMATS:
            raise unknown_choice("Chart", "the format", format or "none", FORMATS)
        # A picture is looked at on its own and needs a background; a drawing takes that of its page.
        background = {"facecolor": "white"} if format == "png" else {}
        metadata = {
            "svg": {"Date": None, "Creator": None},
            "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
            "png": {"Software": None},
        }[format]
        stream = io.BytesIO()
        self.figure.savefig(stream, format=format, dpi=RESOLUTION, metadata=metadata, **background)
        return stream.getvalue()

    def _repr_svg_(self) -> str:
        return self.svg


def panels(columns: int, *, rows: int = 1, width: float = 8.4, height: float) -> tuple[Any, list[Any]]:
    """A new Matplotlib figure and its axes, row by row.

    Args:
        columns, rows: of panels.
        width, height: of the whole figure, in inches.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError as error:
        raise missing_dependency("figures", "matplotlib", "lab") from error
    with matplotlib.rc_context(STYLE):
        # A page shows the texts in a font of its own, which may be wider: hence the padding.
        figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.09))
        axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    figure.set_facecolor("none")
    for panel in axes:
        panel.patch.set_alpha(0.0)
    return figure, axes


def colour(index: int) -> str:
    """The colour of the series with this number."""
    return COLOURS[index % len(COLOURS)]


def line(index: int) -> Any:
    """The line style of the series with this number."""
    return LINE_STYLES[index % len(LINE_STYLES)]


def look(index: int) -> dict[str, Any]:
    """Colour, line style and marker of the series with this number, as Matplotlib's keywords."""
    return {"color": colour(index), "linestyle": line(index), "marker": MARKERS[index % len(MARKERS)]}


def legend(panel: Any, loc: str = "best") -> None:
    """Show the labels of a panel's series, where there are any."""
    if panel.get_legend_handles_labels()[0]:
        panel.legend(frameon=False, fontsize=9, loc=loc, labelcolor=INK)


def logarithmic(panel: Any) -> None:
    """Make a panel's vertical axis logarithmic, with few enough labels for a small panel; call it after drawing."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    panel.set_yscale("log")
    low, high = panel.get_ylim()
    decades = math.log10(high / low)
    panel.yaxis.set_minor_formatter(NullFormatter())
    if decades < 3.0:
        panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if decades > 1.0 else (1.0, 2.0, 3.0, 5.0)))
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def title(panel: Any, text: str) -> None:
    """Put a title above a panel, to the left."""
    # Without y Matplotlib looks for what the title might overlap, which takes a sixth of the time of a whole drawing.
    panel.set_title(text, loc="left", y=1.0, fontsize=9.5, color=INK)


STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.autolayout": False,
    "figure.constrained_layout.use": False,
    "savefig.bbox": None,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}
