"""Which parameters and buffers are shown inside an operation rather than as nodes of their own."""

from __future__ import annotations

from collections import defaultdict

from .records import Flow, GraphRecord, NodeRecord, Role

STORED = (Role.PARAMETER, Role.BUFFER)

_HOLDERS = (Role.WEIGHT, Role.NORM, Role.ACTIVATION, Role.SHAPE, Role.MODULE)
"""What has room for parameters inside itself."""


def docked(graph: GraphRecord) -> dict[int, list[NodeRecord]]:
    """Return, by the id of the operation, what is shown inside it.

    These are the parameters and buffers that it alone reads, and, inside a derivative, the gradients of parameters that
    it alone computes.
    """
    partners: dict[int, list[int]] = defaultdict(list)
    for edge in graph.edges:
        if edge.flow is Flow.VALUE:
            partners[edge.tail].append(edge.head)
        elif edge.flow is Flow.GRADIENT:
            partners[edge.head].append(edge.tail)
    found: dict[int, list[NodeRecord]] = defaultdict(list)
    for node in graph.nodes:
        if node.role in STORED and len(partners[node.id]) == 1:
            (holder,) = partners[node.id]
            if graph.nodes[holder].role in _HOLDERS:
                found[holder].append(node)
    return dict(found)
