"""From records to DOT text, line by line. Nothing here computes a position: that is the layout engine's work."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from .docking import STORED
from .document import dotted
from .heading import heading
from .labels import SMALL, listed, node_label, times, tooltip
from .markup import attribute_list, cell, font, quoted, table
from .operations import COMMUTATIVE
from .records import ClusterRecord, EdgeRecord, Flow, NodeRecord, Role
from .scene import Scene
from .style import FONT
from .units import shape_text


def graph_attributes(scene: Scene) -> dict[str, dict[str, str]]:
    """Return the attributes of the whole graph, of nodes and of edges, by "graph", "node" and "edge"."""
    theme, view = scene.theme, scene.view
    both_ways = any(node.derivative_of is not None for node in scene.graph.nodes)
    return {
        "graph": {
            "bgcolor": theme.paper,
            "fontcolor": theme.ink,
            "fontname": FONT,
            "fontsize": "11",
            "label": f"<{heading(scene)}>",
            "labeljust": "l",
            "labelloc": "t",
            "nodesep": "0.5" if both_ways else "0.2",
            "pad": "0.2",
            "rankdir": view.direction,
            "ranksep": "0.25" if both_ways else "0.15" if view.shapes == "edges" else "0.11",
            # The second sorting of Graphviz forgets, inside clusters, which of two neighbours stands at the left.
            **({"remincross": "false"} if both_ways else {}),
            "tooltip": " ",
        },
        "node": {
            "color": theme.line,
            "fontcolor": theme.ink,
            "fontname": FONT,
            "fontsize": "11",
            "height": "0.3",
            "margin": "0.09,0.045",
            "width": "0.4",
        },
        "edge": {
            "arrowsize": "0.6",
            "color": theme.line,
            "fontcolor": theme.faint,
            "fontname": FONT,
            "fontsize": f"{SMALL:g}",
        },
    }


def body(scene: Scene) -> list[str]:
    """Return the lines of the graph's body: clusters with their nodes, then edges."""
    graph = scene.graph
    beside = {
        first: second
        for first, second in scene.derivatives.items()
        if graph.nodes[first].cluster == graph.nodes[second].cluster and not {first, second} & scene.absent
    }
    members: dict[int | None, list[str]] = defaultdict(list)
    for node in graph.nodes:
        if node.id not in scene.absent:
            members[node.cluster].append(_node(scene, node))
    for first, second in beside.items():
        members[graph.nodes[first].cluster].append(f"\t{{rank=same n{first} n{second}}}\n")
    return [*_clusters(scene, members), *members[None], *_edges(scene, beside)]


def _node(scene: Scene, node: NodeRecord) -> str:
    look = scene.look(node)
    label = node_label(scene, node, look)
    # A round shape around a table would waste more room than it encloses.
    boxed = look.shape == "ellipse" and "<TABLE" in label
    attributes = {
        "fillcolor": quoted(look.fill),
        "color": quoted(look.line),
        "fontcolor": quoted(look.text) if look.text != scene.theme.ink else "",
        "label": f"<{label}>",
        "margin": quoted(look.margin) if look.margin and not boxed else "",
        "penwidth": f"{look.width:g}" if look.width != 1 else "",
        "shape": "box" if boxed else look.shape,
        "style": quoted(f"rounded,{look.style}" if boxed else look.style),
        "tooltip": quoted(*tooltip(scene, node)),
    }
    return f"\tn{node.id} [{attribute_list(attributes)}]\n"


# Edges


def _edges(scene: Scene, beside: dict[int, int]) -> Iterable[str]:
    labelled: set[int] = set()
    linked: set[tuple[int, int]] = set()
    for edge in scene.graph.edges:
        if edge.tail in scene.absent or edge.head in scene.absent:
            continue
        if edge.flow is Flow.KEPT and (edge.tail, edge.head) in linked:
            continue  # one value that is kept as two arguments, as in x · x
        linked.add((edge.tail, edge.head))
        if edge.flow is Flow.VALUE:
            yield _value_edge(scene, edge, labelled)
        else:
            yield _backward_edge(scene, edge)
    for first, second in beside.items():
        yield f"\tn{first} -> n{second} [style=invis]\n"  # keeps the derivative at the right of its operation


def _value_edge(scene: Scene, edge: EdgeRecord, labelled: set[int]) -> str:
    tail, head = scene.graph.nodes[edge.tail], scene.graph.nodes[edge.head]
    words = [edge.argument] if _needs_argument(scene, tail, head) else []
    # One tensor is labelled once, and not beside a tensor that says its own shape.
    says_itself = tail.role.is_tensor or head.role is Role.OUTPUT
    if scene.view.shapes == "edges" and not says_itself and edge.tail not in labelled:
        labelled.add(edge.tail)
        words += [shape_text(edge.shape), edge.dtype if edge.dtype != scene.dtype else ""]
    attributes = {
        "label": quoted(f" {'  '.join(word for word in words if word)}") if words else "",
        "style": "dashed" if tail.role is Role.BUFFER else "",
        "tooltip": quoted(f"{shape_text(edge.shape)} {edge.dtype}"),
        # The first input runs straight, so that the eye can follow the main path.
        "weight": "4" if edge is scene.inputs[head.id][0] else "",
    }
    return f"\tn{edge.tail} -> n{edge.head} [{attribute_list(attributes)}]\n"


def _backward_edge(scene: Scene, edge: EdgeRecord) -> str:
    """Return the line of a gradient, which runs against the computation, or of a value that a derivative reads."""
    colour = quoted(scene.theme.flows[edge.flow])
    shape = f"{shape_text(edge.shape)} {edge.dtype}"
    if edge.flow is Flow.KEPT:
        attributes = {
            "arrowhead": "vee",
            "color": colour,
            "constraint": "false",
            "style": "dotted",
            "tooltip": quoted(f"{edge.argument} {shape}, kept for the derivative"),
        }
        return f"\tn{edge.tail} -> n{edge.head} [{attribute_list(attributes)}]\n"
    head = scene.graph.nodes[edge.head]
    words = edge.argument if scene.graph.nodes[edge.tail].role is not Role.MODULE and head.id in scene.sums else ""
    attributes = {
        "color": colour,
        "dir": "back",  # written in the direction of the computation, so that it is laid out in the other
        "label": quoted(f" {words}") if words else "",
        "penwidth": "1.3",
        "tooltip": quoted(f"gradient {shape}"),
        "weight": "4",
    }
    return f"\tn{edge.head} -> n{edge.tail} [{attribute_list(attributes)}]\n"


def _needs_argument(scene: Scene, tail: NodeRecord, head: NodeRecord) -> bool:
    """Whether the reader must be told which argument it is: there are others, and they are not exchangeable."""
    if tail.role in STORED or head.role in (Role.MODULE, Role.OUTPUT) or head.label in COMMUTATIVE:
        return False
    others = [edge for edge in scene.inputs[head.id] if scene.graph.nodes[edge.tail].role not in STORED]
    return len(others) > 1


# Clusters


def _clusters(scene: Scene, members: dict[int | None, list[str]]) -> list[str]:
    """Return the nested subgraphs; children stand before the nodes of their parent, in their own order."""
    children: dict[int | None, list[ClusterRecord]] = defaultdict(list)
    depth: list[int] = []
    for cluster in scene.graph.clusters:
        children[cluster.parent].append(cluster)
        depth.append(0 if cluster.parent is None else depth[cluster.parent] + 1)
    lines: list[str] = []
    waiting: list[ClusterRecord | int] = list(reversed(children[None]))
    while waiting:
        item = waiting.pop()
        if isinstance(item, int):
            lines += [*members[item], "\t}\n"]
        else:
            lines += _cluster_head(scene, item, depth[item.id])
            waiting.append(item.id)
            waiting += reversed(children[item.id])
    return lines


def _cluster_head(scene: Scene, cluster: ClusterRecord, depth: int) -> list[str]:
    theme = scene.theme
    path = scene.path_within(cluster.path, cluster.parent)
    title = font((cluster.label or path) + times(cluster.repeat), bold=True)
    if cluster.label and path:
        title += f"  {font(path, size=SMALL, colour=theme.faint)}"
    if cluster.attributes and scene.view.attributes:
        # Below each other: a short title is crossed by fewer edges.
        title = table([cell(title, left=True), cell(font(listed(cluster.attributes), size=SMALL), left=True)])
    opened = cluster.role is not Role.MODULE
    look = theme.looks[cluster.role]
    norm = cluster.role is Role.NORM
    attributes = {
        "color": quoted(look.line if opened else theme.cluster_line),
        "fillcolor": quoted(theme.norm_cluster_fill if norm else theme.cluster_fills[depth % len(theme.cluster_fills)]),
        "label": f"<{title}>",
        "margin": "8",
        "penwidth": f"{look.width:g}" if opened else "1",
        "style": quoted("rounded,filled"),
        "tooltip": quoted(" ".join(part for part in (cluster.label, dotted(cluster.path)) if part)),
    }
    return [f"\tsubgraph cluster_{cluster.id} {{\n", f"\tgraph [{attribute_list(attributes)}]\n"]
