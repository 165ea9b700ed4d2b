"""Colours, shapes and fonts of a drawing.

The hues are those of Okabe & Ito 2008 ("Color Universal Design"), which colour-blind readers can tell apart, as thin
lines around pale fillings. BatchNorm alone is filled strongly and has a thick line, so that the eye finds it first,
also in a print without colours; shapes and line styles tell the other kinds apart there.
"""

from __future__ import annotations

from dataclasses import dataclass

from .records import Role

FONT = "Helvetica,Arial,sans-serif"
INK = "#1f2933"
FAINT = "#66717f"
LINE = "#5b6b82"
CLUSTER_LINE = "#c3ccd6"
CLUSTER_FILLS = ("#f5f7fa", "#ffffff")
"""By depth, in turn."""


@dataclass(frozen=True)
class Look:
    """How one role is drawn.

    Attributes:
        fill, line, text: colours.
        shape, style: Graphviz's words.
        width: of the line, in points.
        margin: between the line and what is inside, in inches; "" for that of most nodes.
    """

    fill: str
    line: str
    text: str = INK
    shape: str = "box"
    style: str = "rounded,filled"
    width: float = 1.0
    margin: str = ""


_ROUND = "0.05,0.0"
"""An ellipse leaves more than enough room by itself."""

LOOKS: dict[Role, Look] = {
    Role.WEIGHT: Look("#dfecf7", "#0072b2"),
    Role.NORM: Look("#ffc65c", "#a85200", width=2.4),
    Role.ACTIVATION: Look("#dcf1e8", "#00805d"),
    Role.POOL: Look("#f4e4ee", "#a3507f"),
    Role.LOSS: Look("#39414d", "#39414d", text="#ffffff"),
    Role.ARITHMETIC: Look("#ffffff", LINE, shape="ellipse", style="filled", margin=_ROUND),
    Role.SHAPE: Look("#eceff3", "#8794a3"),
    Role.MODULE: Look("#f5f7fa", LINE, width=1.4, margin="0.07,0.01"),
    Role.INPUT: Look("#ffffff", INK, shape="ellipse", style="filled", width=1.4, margin=_ROUND),
    Role.OUTPUT: Look("#ffffff", INK, shape="ellipse", style="filled", width=1.4, margin=_ROUND),
    Role.CONSTANT: Look("#ffffff", "#8794a3", shape="ellipse", style="filled,dotted", width=1.2, margin=_ROUND),
    Role.PARAMETER: Look("#fffbe0", "#857400", style="filled"),
    Role.BUFFER: Look("#ffffff", "#857400", style="filled,dashed"),
}

MEANINGS: dict[Role, str] = {
    Role.WEIGHT: "weights",
    Role.NORM: "BatchNorm",
    Role.ACTIVATION: "activation",
    Role.POOL: "pooling",
    Role.LOSS: "loss",
    Role.ARITHMETIC: "arithmetic",
    Role.SHAPE: "shape",
    Role.MODULE: "closed module",
    Role.INPUT: "input",
    Role.OUTPUT: "output",
    Role.CONSTANT: "constant",
    Role.PARAMETER: "parameter (trained)",
    Role.BUFFER: "buffer (not trained)",
}
"""What the legend says."""
