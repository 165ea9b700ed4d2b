"""From records to DOT text, line by line. Nothing here computes a position: that is the layout engine's work."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .markup import font, quoted
from .operations import COMMUTATIVE, sign_of
from .records import ClusterRecord, EdgeRecord, GraphRecord, NodeRecord, Role, Shape
from .style import CLUSTER_FILLS, CLUSTER_LINE, FAINT, FONT, INK, LINE, LOOKS, MEANINGS, Look

PARAMETERS = ("inside", "nodes", "hidden")
DIRECTIONS = ("TB", "BT", "LR", "RL")

_TABLE = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="{spacing}" CELLPADDING="{padding}">{rows}</TABLE>'
_SMALL = 9.0

_HOLDERS = (Role.WEIGHT, Role.NORM, Role.ACTIVATION, Role.SHAPE, Role.MODULE)
"""What shows its parameters inside itself."""

_STORED = (Role.PARAMETER, Role.BUFFER)


@dataclass(frozen=True)
class View:
    """What of the records is shown.

    Attributes:
        direction: in which the computation runs: "TB" from top to bottom, "BT", "LR" or "RL".
        parameters: parameters and buffers "inside" the operation that alone reads them, as "nodes", or "hidden".
        shapes: shapes on edges, and dtypes that differ from the most frequent one.
        attributes: attributes of operations.
        legend: what the colours mean.
    """

    direction: str = "TB"
    parameters: str = "inside"
    shapes: bool = True
    attributes: bool = True
    legend: bool = True


def graph_attributes(graph: GraphRecord, view: View) -> dict[str, dict[str, str]]:
    """Return the attributes of the whole graph, of nodes and of edges, by "graph", "node" and "edge"."""
    return {
        "graph": {
            "bgcolor": "white",
            "fontcolor": INK,
            "fontname": FONT,
            "fontsize": "11",
            "label": f"<{_heading(graph, view)}>",
            "labeljust": "l",
            "labelloc": "t",
            "nodesep": "0.2",
            "pad": "0.2",
            "rankdir": view.direction,
            "ranksep": "0.15",
            "tooltip": " ",
        },
        "node": {
            "color": LINE,
            "fontcolor": INK,
            "fontname": FONT,
            "fontsize": "11",
            "height": "0.3",
            "margin": "0.09,0.045",
            "width": "0.4",
        },
        "edge": {
            "arrowsize": "0.6",
            "color": LINE,
            "fontcolor": FAINT,
            "fontname": FONT,
            "fontsize": f"{_SMALL:g}",
        },
    }


def body(graph: GraphRecord, view: View) -> list[str]:
    """Return the lines of the graph's body: clusters with their nodes, then edges."""
    return _Writer(graph, view).lines()


class _Writer:
    """Writes one graph in one view."""

    def __init__(self, graph: GraphRecord, view: View) -> None:
        self.graph = graph
        self.view = view
        self.dtype = most_frequent_dtype(graph)
        readers: dict[int, list[EdgeRecord]] = defaultdict(list)
        inputs: dict[int, list[EdgeRecord]] = defaultdict(list)
        for edge in graph.edges:
            readers[edge.tail].append(edge)
            inputs[edge.head].append(edge)
        self.docked: dict[int, list[NodeRecord]] = defaultdict(list)
        self.absent: set[int] = set()
        for node in graph.nodes:
            if node.role in _STORED:
                self._dock(node, readers[node.id])
        self.inputs = inputs

    def _dock(self, node: NodeRecord, readers: Sequence[EdgeRecord]) -> None:
        if self.view.parameters == "hidden":
            self.absent.add(node.id)
        elif self.view.parameters == "inside" and len(readers) == 1:
            (edge,) = readers
            if self.graph.nodes[edge.head].role in _HOLDERS:
                self.docked[edge.head].append(node)
                self.absent.add(node.id)

    def lines(self) -> list[str]:
        members: dict[int | None, list[str]] = defaultdict(list)
        for node in self.graph.nodes:
            if node.id not in self.absent:
                members[node.cluster].append(self._node(node))
        return [*self._clusters(members), *members[None], *self._edges()]

    # Nodes

    def _node(self, node: NodeRecord) -> str:
        look = LOOKS[node.role]
        attributes = {
            "fillcolor": quoted(look.fill),
            "color": quoted(look.line),
            "fontcolor": quoted(look.text) if look.text != INK else "",
            "label": f"<{self._label(node, look)}>",
            "margin": quoted(look.margin) if look.margin else "",
            "penwidth": f"{look.width:g}" if look.width != 1 else "",
            "shape": look.shape,
            "style": quoted(look.style),
            "tooltip": quoted(*self._tooltip(node)),
        }
        return f"\tn{node.id} [{_list(attributes)}]\n"

    def _label(self, node: NodeRecord, look: Look) -> str:
        if node.role.is_tensor:
            shape = font(_shape(node.shape), size=_SMALL)
            dtype = f" {font(node.dtype, size=_SMALL, colour=FAINT)}" if self._tells_dtype(node) else ""
            return f"{font(node.label, bold=node.role is not Role.CONSTANT)}  {shape}{dtype}"
        if node.role is Role.ARITHMETIC:
            return self._arithmetic(node)
        if node.role is Role.MODULE:
            return self._module(node)
        faint = FAINT if look.text == INK else look.text
        path = self._path_within(node.path, node.cluster)
        if node.module.lower() != node.label.replace("_", ""):
            path = f"{node.module} {path}".strip()
        title = font(node.label, bold=True) + (f"  {font(path, size=_SMALL, colour=faint)}" if path else "")
        attributes = font(_listed(node.attributes), size=_SMALL) if node.attributes and self.view.attributes else ""
        docked = self.docked[node.id]
        if not docked:
            return f"{title}  {attributes}" if attributes else title
        chips = [[self._chip(leaf, node) for leaf in docked if leaf.role is role] for role in _STORED]
        rows = [title, attributes, *(_table(["".join(row)], spacing=2) for row in chips if row)]
        return _table([f"<TD>{row}</TD>" for row in rows if row])

    def _arithmetic(self, node: NodeRecord) -> str:
        numbers = {name: value for name, value in node.attributes if name in ("a", "b")}
        if len(numbers) + len(self.inputs[node.id]) > 2:
            numbers = {}  # neither side of the sign says which argument it is
        others = [pair for pair in node.attributes if pair[0] not in numbers]
        words = [numbers.get("a", ""), sign_of(node.label), numbers.get("b", "")]
        title = font(" ".join(word for word in words if word), bold=True)
        if others and self.view.attributes:
            title += f" {font(_listed(others), size=_SMALL)}"
        return title

    def _module(self, node: NodeRecord) -> str:
        path = self._path_within(node.path, node.cluster)
        title = font(node.label or path, bold=True)
        if node.label and path:
            title += f"  {font(path, size=_SMALL, colour=FAINT)}"
        cells = [f'<TD ALIGN="LEFT">{title}</TD>']
        for content in node.contents:
            look = LOOKS[content.role]
            name = f"{content.label} × {content.count}" if content.count > 1 else sign_of(content.label)
            cells.append(_cell(font(name, size=_SMALL, colour=look.text), look))
        if node.parameter_count and self.view.parameters != "hidden":
            count = font(f"{node.parameter_count:,} parameters", size=_SMALL, colour=FAINT)
            cells.append(f"<TD>{count}</TD>")
        return _table(["".join(cells)], spacing=2)

    def _chip(self, leaf: NodeRecord, reader: NodeRecord) -> str:
        name = leaf.label.removeprefix(f"{_dotted(reader.path)}.")
        content = f"{font(name, size=_SMALL)} {font(_shape(leaf.shape), size=_SMALL, colour=FAINT)}"
        return _cell(content, LOOKS[leaf.role])

    def _tooltip(self, node: NodeRecord) -> list[str]:
        lines = [" ".join(part for part in (node.label, _dotted(node.path)) if part)]
        lines += [f"{name} {value}" for name, value in node.attributes]
        lines += [f"{leaf.label} {_shape(leaf.shape)} {leaf.dtype}" for leaf in self.docked[node.id]]
        if node.role is Role.MODULE:
            lines += [f"{content.label} × {content.count}" for content in node.contents]
            lines.append(f"{node.parameter_count:,} parameters")
        lines.append(f"→ {_shape(node.shape)} {node.dtype}")
        return lines

    def _tells_dtype(self, node: NodeRecord) -> bool:
        return node.role in (Role.INPUT, Role.OUTPUT) or node.dtype != self.dtype

    # Edges

    def _edges(self) -> Iterable[str]:
        labelled: set[int] = set()
        for edge in self.graph.edges:
            if edge.tail in self.absent:
                continue
            tail, head = self.graph.nodes[edge.tail], self.graph.nodes[edge.head]
            words = [edge.argument] if self._needs_argument(tail, head) else []
            # One tensor is labelled once, and not beside a tensor that says its own shape.
            says_itself = tail.role.is_tensor or head.role is Role.OUTPUT
            if self.view.shapes and not says_itself and edge.tail not in labelled:
                labelled.add(edge.tail)
                words += [_shape(edge.shape), edge.dtype if edge.dtype != self.dtype else ""]
            attributes = {
                "label": quoted(f" {'  '.join(word for word in words if word)}") if words else "",
                "style": "dashed" if tail.role is Role.BUFFER else "",
                "tooltip": quoted(f"{_shape(edge.shape)} {edge.dtype}"),
                # The first input runs straight, so that the eye can follow the main path.
                "weight": "4" if edge is self.inputs[head.id][0] else "",
            }
            yield f"\tn{edge.tail} -> n{edge.head} [{_list(attributes)}]\n"

    def _needs_argument(self, tail: NodeRecord, head: NodeRecord) -> bool:
        """Whether the reader must be told which argument it is: there are others, and they are not exchangeable."""
        if tail.role in _STORED or head.role in (Role.MODULE, Role.OUTPUT) or head.label in COMMUTATIVE:
            return False
        others = [edge for edge in self.inputs[head.id] if self.graph.nodes[edge.tail].role not in _STORED]
        return len(others) > 1

    # Clusters

    def _clusters(self, members: dict[int | None, list[str]]) -> list[str]:
        """Return the nested subgraphs; children stand before the nodes of their parent, in their own order."""
        children: dict[int | None, list[ClusterRecord]] = defaultdict(list)
        depth: list[int] = []
        for cluster in self.graph.clusters:
            children[cluster.parent].append(cluster)
            depth.append(0 if cluster.parent is None else depth[cluster.parent] + 1)
        lines: list[str] = []
        waiting: list[ClusterRecord | int] = list(reversed(children[None]))
        while waiting:
            item = waiting.pop()
            if isinstance(item, int):
                lines += [*members[item], "\t}\n"]
            else:
                lines += self._cluster_head(item, depth[item.id])
                waiting.append(item.id)
                waiting += reversed(children[item.id])
        return lines

    def _cluster_head(self, cluster: ClusterRecord, depth: int) -> list[str]:
        path = self._path_within(cluster.path, cluster.parent)
        title = font(cluster.label or path, bold=True)
        if cluster.label and path:
            title += f"  {font(path, size=_SMALL, colour=FAINT)}"
        if cluster.attributes and self.view.attributes:
            title += f"  {font(_listed(cluster.attributes), size=_SMALL)}"
        opened = cluster.role is not Role.MODULE
        look = LOOKS[cluster.role]
        attributes = {
            "color": quoted(look.line if opened else CLUSTER_LINE),
            "fillcolor": quoted("#fff3d9" if cluster.role is Role.NORM else CLUSTER_FILLS[depth % len(CLUSTER_FILLS)]),
            "label": f"<{title}>",
            "margin": "8",
            "penwidth": f"{look.width:g}" if opened else "1",
            "style": quoted("rounded,filled"),
            "tooltip": quoted(" ".join(part for part in (cluster.label, _dotted(cluster.path)) if part)),
        }
        return [f"\tsubgraph cluster_{cluster.id} {{\n", f"\tgraph [{_list(attributes)}]\n"]

    def _path_within(self, path: str, cluster: int | None) -> str:
        """Return a module's dotted path as seen from the cluster around it, or from the model."""
        outer = self.graph.clusters[cluster].path if cluster is not None else self.graph.root
        return path.removeprefix(outer).removeprefix("/").replace("/", ".")


# Headings


def _heading(graph: GraphRecord, view: View) -> str:
    inputs = ", ".join(_shape(node.shape) for node in graph.nodes if node.role is Role.INPUT)
    outputs = ", ".join(_shape(node.shape) for node in graph.nodes if node.role is Role.OUTPUT)
    parameters = sum(node.parameter_count for node in graph.nodes)
    parameters += sum(node.size for node in graph.nodes if node.role is Role.PARAMETER)
    facts = [f"{inputs} → {outputs}" if inputs else f"→ {outputs}", f"{parameters:,} parameters"]
    facts += [f"{graph.mode} mode"] if graph.mode else []
    facts.append(f"{most_frequent_dtype(graph)} unless said otherwise")
    rows = [
        f'<TD ALIGN="LEFT">{font(graph.title, size=15, bold=True)}</TD>',
        f'<TD ALIGN="LEFT">{"  ·  ".join(font(fact, size=_SMALL, colour=FAINT) for fact in facts)}</TD>',
    ]
    if view.legend:
        rows.append(f'<TD ALIGN="LEFT">{_legend(graph)}</TD>')
    return _table(rows, padding=2)


def _legend(graph: GraphRecord) -> str:
    present = {node.role for node in graph.nodes} | {c.role for node in graph.nodes for c in node.contents}
    present |= {cluster.role for cluster in graph.clusters}
    cells = [
        _cell(font(MEANINGS[role], size=8, colour=LOOKS[role].text), LOOKS[role])
        for role in MEANINGS
        if role in present and role not in (Role.INPUT, Role.OUTPUT, Role.MODULE)
    ]
    return _table(["".join(cells)], spacing=2) if cells else ""


def most_frequent_dtype(graph: GraphRecord) -> str:
    """Return the dtype that need not be said at every tensor."""
    return Counter(node.dtype for node in graph.nodes).most_common(1)[0][0]


# Small pieces


def _table(rows: Sequence[str], spacing: int = 0, padding: int = 1) -> str:
    return _TABLE.format(spacing=spacing, padding=padding, rows="".join(f"<TR>{row}</TR>" for row in rows))


def _cell(content: str, look: Look) -> str:
    lines = [word for word in look.style.split(",") if word in ("rounded", "dashed", "dotted")]
    style = f' STYLE="{",".join(lines).upper()}"' if lines else ""
    return f'<TD BORDER="1" BGCOLOR="{look.fill}" COLOR="{look.line}"{style} CELLPADDING="2">{content}</TD>'


def _list(attributes: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in attributes.items() if value)


def _listed(attributes: Iterable[tuple[str, str]]) -> str:
    return " · ".join(f"{name} {value}" for name, value in attributes)


def _shape(shape: Shape) -> str:
    return "×".join(map(str, shape)) or "scalar"


def _dotted(path: str) -> str:
    """Return a module's path without the outermost module, as `named_modules` writes it."""
    return path.partition("/")[2].replace("/", ".")
