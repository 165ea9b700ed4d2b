"""Colours, shapes and fonts of a drawing, on a light and on a dark ground.

The hues are those of Okabe & Ito 2008 ("Color Universal Design"), which colour-blind readers can tell apart, as thin
lines around pale (or dark) fillings. BatchNorm alone is filled strongly and has a thick line, so that the eye finds it
first, also in a print without colours; shapes and line styles tell the other kinds apart there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .records import Flow, Role

FONT = "Helvetica,Arial,sans-serif"


@dataclass(frozen=True)
class Look:
    """How one role is drawn.

    Attributes:
        fill, line, text, faint: colours; `faint` is that of text that matters less.
        shape, style: Graphviz's words.
        width: of the line, in points.
        margin: between the line and what is inside, in inches; "" for that of most nodes.
    """

    fill: str
    line: str
    text: str
    faint: str
    shape: str = "box"
    style: str = "rounded,filled"
    width: float = 1.0
    margin: str = ""


@dataclass(frozen=True)
class Theme:
    """All colours of a drawing.

    Attributes:
        paper: what everything lies on.
        ink, faint: of text on paper.
        line: of edges that carry values.
        flows: of edges, by what they carry.
        cluster_line, cluster_fills: of boxes around modules; the fills by depth, in turn.
        norm_cluster_fill: of the box around an opened BatchNorm.
        looks: of nodes.
        changes: of what differs between two graphs, by what became of it ("moved", ...).
    """

    paper: str
    ink: str
    faint: str
    line: str
    flows: Mapping[Flow, str]
    cluster_line: str
    cluster_fills: tuple[str, ...]
    norm_cluster_fill: str
    looks: Mapping[Role, Look]
    changes: Mapping[str, str]

    def derivative_look(self, role: Role) -> Look:
        """Return how the derivative of an operation is drawn: in its hue, not filled, with a dashed line."""
        look = self.looks[role]
        if role is Role.LOSS:
            look = replace(look, line=self.ink)
        style = "rounded,filled,dashed" if "rounded" in look.style else "filled,dashed"
        return replace(look, fill=self.paper, text=self.ink, faint=self.faint, style=style, width=max(look.width, 1.3))


_ROUND = "0.05,0.0"
"""An ellipse leaves more than enough room by itself."""

_SHAPES: dict[Role, dict[str, str | float]] = {
    Role.NORM: {"width": 2.4},
    Role.ARITHMETIC: {"shape": "ellipse", "style": "filled", "margin": _ROUND},
    Role.MODULE: {"width": 1.4, "margin": "0.07,0.01"},
    Role.INPUT: {"shape": "ellipse", "style": "filled", "width": 1.4, "margin": _ROUND},
    Role.OUTPUT: {"shape": "ellipse", "style": "filled", "width": 1.4, "margin": _ROUND},
    Role.CONSTANT: {"shape": "ellipse", "style": "filled,dotted", "width": 1.2, "margin": _ROUND},
    Role.PARAMETER: {"style": "filled"},
    Role.BUFFER: {"style": "filled,dashed"},
}


def _looks(
    colours: Mapping[Role, tuple[str, str]], text: str, faint: str, texts: Mapping[Role, tuple[str, str]]
) -> dict[Role, Look]:
    """Return looks from (fill, line) of each role; `texts` are those whose (text, faint text) is different."""
    return {
        role: Look(fill, line, *texts.get(role, (text, faint)), **_SHAPES.get(role, {}))  # type: ignore[arg-type]
        for role, (fill, line) in colours.items()
    }


LIGHT = Theme(
    paper="#ffffff",
    ink="#1f2933",
    faint="#4d5866",
    line="#5b6b82",
    flows={Flow.VALUE: "#5b6b82", Flow.GRADIENT: "#c14f00", Flow.KEPT: "#8794a3"},
    cluster_line="#c3ccd6",
    cluster_fills=("#f5f7fa", "#ffffff"),
    norm_cluster_fill="#fff3d9",
    looks=_looks(
        {
            Role.WEIGHT: ("#dfecf7", "#0072b2"),
            Role.NORM: ("#ffc65c", "#a85200"),
            Role.ACTIVATION: ("#dcf1e8", "#00805d"),
            Role.POOL: ("#f4e4ee", "#a3507f"),
            Role.LOSS: ("#39414d", "#39414d"),
            Role.ARITHMETIC: ("#ffffff", "#5b6b82"),
            Role.SHAPE: ("#eceff3", "#8794a3"),
            Role.MODULE: ("#f5f7fa", "#5b6b82"),
            Role.INPUT: ("#ffffff", "#1f2933"),
            Role.OUTPUT: ("#ffffff", "#1f2933"),
            Role.CONSTANT: ("#ffffff", "#8794a3"),
            Role.PARAMETER: ("#fffbe0", "#857400"),
            Role.BUFFER: ("#ffffff", "#857400"),
        },
        "#1f2933",
        "#4d5866",
        {Role.LOSS: ("#ffffff", "#ffffff"), Role.NORM: ("#241a05", "#4a3a12")},
    ),
    changes={"moved": "#7a3ea1", "left": "#7a3ea1", "changed": "#0063a0", "added": "#00704f", "removed": "#b84300"},
)

DARK = Theme(
    paper="#14181f",
    ink="#e8ecf2",
    faint="#a9b4c2",
    line="#8b9bb0",
    flows={Flow.VALUE: "#8b9bb0", Flow.GRADIENT: "#ff9350", Flow.KEPT: "#75849a"},
    cluster_line="#445062",
    cluster_fills=("#1b212a", "#14181f"),
    norm_cluster_fill="#30260f",
    looks=_looks(
        {
            Role.WEIGHT: ("#12344d", "#56b4e9"),
            Role.NORM: ("#f5b041", "#ffe0a3"),
            Role.ACTIVATION: ("#10392e", "#34c79a"),
            Role.POOL: ("#40263a", "#dd93bd"),
            Role.LOSS: ("#e8ecf2", "#e8ecf2"),
            Role.ARITHMETIC: ("#14181f", "#8b9bb0"),
            Role.SHAPE: ("#272f3a", "#75849a"),
            Role.MODULE: ("#1b212a", "#8b9bb0"),
            Role.INPUT: ("#14181f", "#e8ecf2"),
            Role.OUTPUT: ("#14181f", "#e8ecf2"),
            Role.CONSTANT: ("#14181f", "#75849a"),
            Role.PARAMETER: ("#332e0c", "#cdb931"),
            Role.BUFFER: ("#14181f", "#cdb931"),
        },
        "#e8ecf2",
        "#a9b4c2",
        {Role.LOSS: ("#14181f", "#14181f"), Role.NORM: ("#1d1503", "#3d2d0a")},
    ),
    changes={"moved": "#c79be6", "left": "#c79be6", "changed": "#6fc0f2", "added": "#3fcf9f", "removed": "#ff9a5c"},
)

THEMES = {"light": LIGHT, "dark": DARK, "auto": LIGHT}
"""An automatic drawing is light; its SVG knows the dark colours as well."""

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
