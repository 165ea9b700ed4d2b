"""Which parameters and buffers are shown inside the operation that reads them, rather than as nodes of their own."""

from __future__ import annotations

from collections import defaultdict

from .records import EdgeRecord, GraphRecord, NodeRecord, Role

STORED = (Role.PARAMETER, Role.BUFFER)

_HOLDERS = (Role.WEIGHT, Role.NORM, Role.ACTIVATION, Role.SHAPE, Role.MODULE)
"""What has room for parameters inside itself."""


def docked(graph: GraphRecord) -> dict[int, list[NodeRecord]]:
    """Return, by the id of the operation, the parameters and buffers that it alone reads."""
    readers: dict[int, list[EdgeRecord]] = defaultdict(list)
    for edge in graph.edges:
        readers[edge.tail].append(edge)
    found: dict[int, list[NodeRecord]] = defaultdict(list)
    for node in graph.nodes:
        if node.role in STORED and len(readers[node.id]) == 1:
            (edge,) = readers[node.id]
            if graph.nodes[edge.head].role in _HOLDERS:
                found[edge.head].append(node)
    return dict(found)
