"""What is written into a node."""

from __future__ import annotations

from collections.abc import Iterable

from .docking import STORED
from .document import dotted
from .heatmap import heat_maps
from .markup import cell, font, table
from .observation import Facts
from .operations import operands, sign_of, signed
from .records import NodeRecord, Role
from .scene import Scene
from .style import Look
from .units import bytes_text, flops_text, shape_text

SMALL = 9.0


def node_label(scene: Scene, node: NodeRecord, look: Look) -> str:
    """Return the HTML-like label of a node."""
    title = _title(scene, node, look)
    shape = _shape_inside(scene, node, look) if node.role is not Role.MODULE else ""
    attributes = _attributes(scene, node)
    costs = font(_costs(scene, node), size=SMALL, colour=look.faint) if scene.view.costs and _costs(scene, node) else ""
    values = _values(scene, node, look)
    below = [costs, *_chips(scene, node), values]
    if not any(below):
        return (f"{title}  {attributes}" if attributes else title) + shape
    return table([cell(row) for row in (title + shape, attributes, *below) if row])


def chip(content: str, look: Look) -> str:
    """Return a cell with the line and the filling of a role."""
    lines = [word for word in look.style.split(",") if word in ("rounded", "dashed", "dotted")]
    style = f' STYLE="{",".join(lines).upper()}"' if lines else ""
    return f'<TD BORDER="1" BGCOLOR="{look.fill}" COLOR="{look.line}"{style} CELLPADDING="2">{content}</TD>'


def listed(attributes: Iterable[tuple[str, str]]) -> str:
    """Return attributes as one line of text."""
    return " · ".join(f"{name} {value}".strip() for name, value in attributes)


def times(repeat: int) -> str:
    """Return what is said of several alike, after a name; nothing of a single one."""
    return f" × {repeat}" if repeat > 1 else ""


def tooltip(scene: Scene, node: NodeRecord) -> list[str]:
    """Return the lines of a node's tooltip: all that is known about it."""
    lines = [" ".join(part for part in (_name(scene, node), dotted(node.path)) if part) + times(node.repeat)]
    lines += [f"{name} {value}" for name, value in node.attributes]
    lines += [f"{leaf.label} {shape_text(leaf.shape)} {leaf.dtype}" for leaf in scene.docked.get(node.id, ())]
    if node.role is Role.MODULE:
        lines += [f"{content.label} × {content.count}" for content in node.contents]
    lines += [costs] if (costs := _costs(scene, node)) else []
    if scene.painting is not None and node.id in scene.painting.numbers:
        quantity = scene.painting.quantity
        lines.append(f"{quantity.title}: {quantity.write(scene.painting.numbers[node.id])}")
    lines.append(f"→ {shape_text(node.shape)} {node.dtype}")
    return lines


def _name(scene: Scene, node: NodeRecord) -> str:
    derivative = node.derivative_of is not None and node.id not in scene.sums
    return f"∂ {sign_of(node.label)}" if derivative else node.label


def _title(scene: Scene, node: NodeRecord, look: Look) -> str:
    if node.role.is_tensor:
        tells_dtype = node.role in (Role.INPUT, Role.OUTPUT) or node.dtype != scene.dtype
        dtype = f" {font(node.dtype, size=SMALL, colour=look.faint)}" if tells_dtype else ""
        name = font(_name(scene, node), bold=node.role is not Role.CONSTANT)
        return f"{name}  {font(shape_text(node.shape), size=SMALL)}{dtype}"
    if node.role is Role.ARITHMETIC:
        text = signed(sign_of(_name(scene, node)), _operands(scene, node))
        return font(text + times(node.repeat), bold=True)
    if node.role is Role.MODULE:
        return _module(scene, node, look)
    path = scene.path_within(node.path, node.cluster)
    if node.derivative_of is not None:
        path = ""  # it stands beside its operation, which says so
    elif node.module.lower() != node.label.replace("_", ""):
        path = f"{node.module} {path}".strip()
    title = font(_name(scene, node) + times(node.repeat), bold=True)
    return title + (f"  {font(path, size=SMALL, colour=look.faint)}" if path else "")


def _attributes(scene: Scene, node: NodeRecord) -> str:
    numbers = _operands(scene, node) if node.role is Role.ARITHMETIC else {}
    others = [pair for pair in node.attributes if pair[0] not in numbers]
    return font(listed(others), size=SMALL) if others and scene.view.attributes else ""


def _operands(scene: Scene, node: NodeRecord) -> dict[str, str]:
    return operands(node.attributes, len(scene.inputs[node.id]))


def _module(scene: Scene, node: NodeRecord, look: Look) -> str:
    path = scene.path_within(node.path, node.cluster)
    title = font((_name(scene, node) or path) + times(node.repeat), bold=True)
    if node.label and path:
        title += f"  {font(path, size=SMALL, colour=look.faint)}"
    cells = [cell(title, left=True)]
    for content in node.contents:
        inside = scene.theme.looks[content.role]
        name = f"{content.label} × {content.count}" if content.count > 1 else sign_of(content.label)
        cells.append(chip(font(name, size=SMALL, colour=inside.text), inside))
    if node.parameter_count and scene.view.parameters != "hidden" and not scene.view.costs:
        cells.append(cell(font(f"{node.parameter_count:,} parameters", size=SMALL, colour=look.faint)))
    shape = _shape_inside(scene, node, look)
    return table(["".join([*cells, cell(shape)] if shape else cells)], spacing=2)


def _shape_inside(scene: Scene, node: NodeRecord, look: Look) -> str:
    """Return the shape of what an operation computes, where shapes stand inside; a tensor's name has it already."""
    if scene.view.shapes != "inside" or node.role.is_tensor or node.derivative_of is not None:
        return ""
    dtype = f" {node.dtype}" if node.dtype != scene.dtype else ""
    return font(f"  → {shape_text(node.shape)}{dtype}", size=SMALL, colour=look.faint)


def _chips(scene: Scene, node: NodeRecord) -> list[str]:
    """Return a row of parameters and a row of buffers, as far as they are shown inside."""
    docked = scene.docked.get(node.id, ())
    rows = [[_chip(scene, leaf, node) for leaf in docked if leaf.role is role] for role in STORED]
    return [table(["".join(row)], spacing=2) for row in rows if row]


def _chip(scene: Scene, leaf: NodeRecord, holder: NodeRecord) -> str:
    look = scene.look(leaf)
    name = leaf.label.removeprefix(f"{dotted(holder.path)}.")
    name = f"∂ {name}" if leaf.derivative_of is not None else name
    shape = font(shape_text(leaf.shape), size=SMALL, colour=look.faint)
    content = f"{font(name, size=SMALL, colour=look.text)} {shape}"
    values = _values(scene, leaf, look)
    return chip(table([cell(content), cell(values)]) if values else content, look)


def _costs(scene: Scene, node: NodeRecord) -> str:
    parameters = scene.parameters_of(node)
    costs = [flops_text(node.flops)] if node.flops else []
    costs += [f"{parameters:,} parameters"] if parameters else []
    costs += [f"{bytes_text(node.kept_bytes)} kept"] if node.kept_bytes else []
    return " · ".join(costs)


def _values(scene: Scene, node: NodeRecord, look: Look) -> str:
    """Return what was computed, and its gradient: in the derivative's node if that is drawn, otherwise beside it."""
    if not scene.view.values or node.id in scene.sums:
        return ""
    known: dict[str, Facts | None] = {}
    if node.derivative_of is not None:
        observation = scene.graph.nodes[node.derivative_of].observation
        caption = "gradient" if node.role.is_tensor else "gradient of the output"
        known[caption] = None if observation is None else observation.gradient
    elif node.observation is not None:
        known["value" if node.role.is_tensor else "output"] = node.observation.value
        known["gradient"] = None if node.id in scene.derivatives else node.observation.gradient
    return heat_maps(node, known, scene.ground, look.faint)
