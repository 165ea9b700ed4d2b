"""What a whole graph costs."""

from __future__ import annotations

from collections.abc import Sequence

from .records import GraphRecord, Role
from .units import bytes_text, flops_text


def totals(graph: GraphRecord) -> list[str]:
    """Return parameters, operations and kept memory of the forward computation; what is not known is left out.

    A parameter that is drawn once counts for all that it stands for.
    """
    forward = [node for node in graph.nodes if node.derivative_of is None]
    counts = repeats(graph)
    parameters = sum(node.parameter_count for node in forward)
    parameters += sum(node.size * counts[node.id] for node in forward if node.role is Role.PARAMETER)
    flops, kept = sum(node.flops for node in forward), sum(node.kept_bytes for node in forward)
    found = [f"{parameters:,} parameters"]
    found += [flops_text(flops)] if flops else []
    return found + ([f"{bytes_text(kept)} kept for backward"] if kept else [])


def repeats(graph: GraphRecord) -> Sequence[int]:
    """Return how many alike each node stands for: its own repeats times those of the clusters around it."""
    around: list[int] = []
    for cluster in graph.clusters:
        around.append(cluster.repeat * (1 if cluster.parent is None else around[cluster.parent]))
    return [node.repeat * (1 if node.cluster is None else around[node.cluster]) for node in graph.nodes]
