"""The title of a drawing, what it says in numbers, and the legend."""

from __future__ import annotations

from .docking import STORED
from .labels import SMALL, chip
from .markup import cell, font, table
from .records import Flow, Role
from .scale import text_on
from .scene import Scene
from .style import MEANINGS
from .totals import totals
from .units import shape_text

_TINY = 8.0
_SAY_THEMSELVES = (Role.INPUT, Role.OUTPUT, Role.MODULE)
_STEPS = 13
"""Cells of a scale's bar."""


def heading(scene: Scene) -> str:
    """Return the HTML-like label of the whole graph."""
    rows = [font(scene.graph.title, size=15, bold=True)]
    rows += ["  ·  ".join(font(fact, size=SMALL, colour=scene.theme.faint) for fact in row) for row in _facts(scene)]
    rows += [_legend(scene), _scale(scene)] if scene.view.legend else []
    return table([cell(row, left=True) for row in rows if row], padding=2)


def _facts(scene: Scene) -> list[list[str]]:
    ends = [node for node in scene.graph.nodes if node.derivative_of is None and node.cluster is None]
    inputs = ", ".join(shape_text(node.shape) for node in ends if node.role is Role.INPUT)
    outputs = ", ".join(shape_text(node.shape) for node in ends if node.role is Role.OUTPUT)
    about = [f"{scene.graph.mode} mode"] if scene.graph.mode else []
    about.append(f"{scene.dtype} unless said otherwise")
    if not outputs:
        return [about]  # of several graphs side by side, each says the rest itself
    return [[f"{inputs} → {outputs}" if inputs else f"→ {outputs}", *about], totals(scene.graph)]


def _legend(scene: Scene) -> str:
    graph, theme = scene.graph, scene.theme
    present = {node.role for node in graph.nodes} | {c.role for node in graph.nodes for c in node.contents}
    present |= {cluster.role for cluster in graph.clusters}
    hidden = scene.view.parameters == "hidden"
    looks = [
        (MEANINGS[role], theme.looks[role])
        for role in MEANINGS
        if role in present and role not in _SAY_THEMSELVES and not (hidden and role in STORED)
    ]
    if scene.painting is not None:
        looks = []
    cells = [chip(font(meaning, size=_TINY, colour=look.text), look) for meaning, look in looks]
    if any(node.derivative_of is not None for node in graph.nodes):
        look = theme.derivative_look(Role.SHAPE)
        cells.append(chip(font("∂ derivative", size=_TINY, colour=look.text), look))
    flows = {edge.flow for edge in graph.edges}
    cells += [
        cell(f"{font(arrow, colour=theme.flows[flow])} {font(meaning, size=_TINY, colour=theme.faint)}")
        for flow, arrow, meaning in ((Flow.GRADIENT, "⟶", "gradient"), (Flow.KEPT, "⋯▸", "value kept for it"))
        if flow in flows
    ]
    return table(["".join(cells)], spacing=2) if cells else ""


def _scale(scene: Scene) -> str:
    """Return the bar that says which colour is which number."""
    painting = scene.painting
    if painting is None:
        return ""
    bar = []
    for step in range(_STEPS):
        share = step / (_STEPS - 1)
        number = painting.low * (1 - share) + painting.high * share
        fill = painting.fill(number, scene.ground)
        shown = step in (0, _STEPS // 2, _STEPS - 1)
        text = font(painting.quantity.write(number), size=_TINY, colour=text_on(fill)) if shown else " "
        bar.append(f'<TD BGCOLOR="{fill}" HEIGHT="16" WIDTH="14">{text}</TD>')
    title = font(painting.quantity.title, size=SMALL, bold=True)
    return table([cell(title) + cell(table(["".join(bar)]))])
