"""Several graphs in one drawing, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .records import ClusterRecord, EdgeRecord, GraphRecord, NodeRecord
from .totals import totals


def side_by_side(title: str, graphs: Mapping[str, GraphRecord]) -> GraphRecord:
    """Return one graph of several, each in a box with its name and its costs.

    Args:
        title: of the whole.
        graphs: by name, folded; nothing in them is changed or shared.
    """
    nodes: list[NodeRecord] = []
    edges: list[EdgeRecord] = []
    clusters: list[ClusterRecord] = []
    for name, graph in graphs.items():
        first_node, box = len(nodes), len(clusters)
        clusters.append(
            ClusterRecord(box, None, graph.root, name, attributes=tuple(("", cost) for cost in totals(graph)))
        )
        for cluster in graph.clusters:
            parent = box if cluster.parent is None else cluster.parent + box + 1
            clusters.append(replace(cluster, id=cluster.id + box + 1, parent=parent))
        for node in graph.nodes:
            derivative_of = None if node.derivative_of is None else node.derivative_of + first_node
            cluster_id = box if node.cluster is None else node.cluster + box + 1
            nodes.append(replace(node, id=node.id + first_node, cluster=cluster_id, derivative_of=derivative_of))
        edges += (replace(edge, tail=edge.tail + first_node, head=edge.head + first_node) for edge in graph.edges)
    modes = {graph.mode for graph in graphs.values()}
    mode = modes.pop() if len(modes) == 1 else "mixed"
    return GraphRecord(title, mode, "", tuple(nodes), tuple(edges), tuple(clusters))
