"""DOT text that Netron reads as typed nodes with attributes, and parameters as tensors of their own type.

Netron ignores subgraphs and HTML-like labels, and knows no escapes inside quotes. It takes a node for typed if its
label is a record of the form that PyTorch's `FxGraphDrawer` writes, {id|op_code=type|name: value\\lname: value\\l}:
see the source of Netron, dot.js. Of what `draw` shows this form has everything but the modules around the operations,
the layout and the colours.
"""

from __future__ import annotations

from .document import dotted, node_keys
from .records import GraphRecord, NodeRecord, Role
from .units import bytes_text, shape_text

_OPENING = 'digraph "{name}" {{\n\tnode [shape=record fontname="Helvetica,Arial,sans-serif" fontsize=11]\n'

_REPLACED = str.maketrans(
    {'"': "'", "\\": "/", "{": "[", "}": "]", "(": "[", ")": "]", "|": "/", "<": "‹", ">": "›", ":": "·"}
)
"""What would end a quoted string, a field of a record or an attribute's name; and Netron takes parentheses for JSON."""


def netron_dot(graph: GraphRecord) -> str:
    """Return a graph as DOT text for Netron."""
    names = _names(graph)
    lines = [_OPENING.format(name=_plain(graph.title))]
    lines += [_node(node, names[node.id]) for node in graph.nodes]
    for edge in graph.edges:
        label = _plain(f"{edge.argument} {shape_text(edge.shape)} {edge.dtype}".strip())
        lines.append(f'\t"{names[edge.tail]}" -> "{names[edge.head]}" [label="{label}"]\n')
    return "".join([*lines, "}\n"])


def _names(graph: GraphRecord) -> list[str]:
    names: dict[str, None] = {}
    for number, key in enumerate(node_keys(graph)):
        name = _plain(key.removeprefix("#"))
        names[f"{name} {number}" if name in names else name] = None
    return list(names)


def _node(node: NodeRecord, name: str) -> str:
    facts = [*node.attributes, ("module", dotted(node.path)), ("class", node.module)]
    facts += [("shape", f"[{','.join(map(str, node.shape))}]"), ("dtype", node.dtype)]
    facts += [("contents", ", ".join(f"{c.label} × {c.count}" for c in node.contents))]
    facts += [(word, str(number)) for word, number in (("flops", node.flops), ("repeat", node.repeat)) if number > 1]
    facts += [("kept for backward", bytes_text(node.kept_bytes))] if node.kept_bytes else []
    shown = "".join(f"{_plain(word)}: {_plain(value)}\\l" for word, value in facts if value)
    return f'\t"{name}" [label="{{{name}|op_code={_type(node)}|{shown}}}"]\n'


def _type(node: NodeRecord) -> str:
    """Return what Netron calls the type of a node; a tensor that is not computed has that of its values as well."""
    if node.derivative_of is not None:
        return _plain(f"∂ {node.label}")
    if node.role in (Role.PARAMETER, Role.BUFFER):
        return f"get_parameter {node.dtype}[{','.join(map(str, node.shape))}]"
    if node.role.is_tensor:
        return str(node.role)
    return _plain(node.label or "module")


def _plain(value: str) -> str:
    """Return text without anything that has a meaning in DOT, in a record or to Netron."""
    printable = "".join(c if c.isprintable() else "␦" for c in value)
    return printable.translate(_REPLACED).strip() or "nameless"
