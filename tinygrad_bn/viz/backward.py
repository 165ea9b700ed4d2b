"""The derivatives of a recorded computation, as records beside it: what a backward pass computes from what.

Each operation that a gradient flows through has one derivative. It reads the gradient of the operation's output and the
values that the operation has kept for it, and gives a gradient to each input that needs one. Where several gradients
arrive at one tensor, they are added.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ..autograd import Node
from . import operations
from .records import EdgeRecord, Flow, NodeRecord, Role


@dataclass(frozen=True)
class Computed:
    """A recorded operation: its node, its id, and the id of each input (None for a number or an absent one)."""

    node: Node
    id: int
    inputs: Sequence[int | None]


@dataclass(frozen=True)
class _Gradient:
    """Where a gradient comes from, and which argument of the operation it belongs to."""

    tail: int
    argument: str


def add_backward(nodes: list[NodeRecord], edges: list[EdgeRecord], computed: Sequence[Computed]) -> None:
    """Append the derivatives of some operations to the records of a graph.

    Args:
        nodes, edges: of the forward computation, ids counting from 0; the derivatives' are appended.
        computed: the operations, each after those that it depends on.
    """
    arriving: dict[int, list[_Gradient]] = defaultdict(list)
    differentiated = {item.id for item in computed if item.node.needs_grad}
    for edge in list(edges):
        if nodes[edge.head].role is Role.OUTPUT and edge.tail in differentiated:
            start = _append(nodes, nodes[edge.head])
            arriving[edge.tail].append(_Gradient(start, ""))
    for item in reversed(computed):
        if item.id not in arriving:
            continue
        tail = _summed(nodes, edges, nodes[item.id], arriving.pop(item.id))
        derivative = _append(nodes, nodes[item.id])
        edges.append(_edge(tail.tail, derivative, nodes[item.id], tail.argument, Flow.GRADIENT))
        names = operations.argument_names(item.node.op, len(item.inputs))
        for position in sorted(item.node.op.retained_inputs()):
            source = item.inputs[position]
            if source is not None:
                edges.append(_edge(source, derivative, nodes[source], names[position], Flow.KEPT))
        if item.node.op.retains_output():
            edges.append(_edge(item.id, derivative, nodes[item.id], "output", Flow.KEPT))
        for source, name, needed in zip(item.inputs, names, item.node.op.needs, strict=True):
            if source is not None and needed:
                arriving[source].append(_Gradient(derivative, name))
    for leaf, gradients in arriving.items():
        tail = _summed(nodes, edges, nodes[leaf], gradients)
        end = _append(nodes, nodes[leaf])
        edges.append(_edge(tail.tail, end, nodes[leaf], tail.argument, Flow.GRADIENT))


def _summed(
    nodes: list[NodeRecord], edges: list[EdgeRecord], of: NodeRecord, gradients: Sequence[_Gradient]
) -> _Gradient:
    """Return the one gradient that arrives, or the sum of several, as a node of its own."""
    if len(gradients) == 1:
        return gradients[0]
    identifier = len(nodes)
    nodes.append(
        NodeRecord(
            identifier, Role.ARITHMETIC, "add", of.path, of.shape, of.dtype, cluster=of.cluster, derivative_of=of.id
        )
    )
    edges += [_edge(gradient.tail, identifier, of, gradient.argument, Flow.GRADIENT) for gradient in gradients]
    return _Gradient(identifier, "")


def _append(nodes: list[NodeRecord], of: NodeRecord) -> int:
    identifier = len(nodes)
    nodes.append(
        NodeRecord(identifier, of.role, of.label, of.path, of.shape, of.dtype, cluster=of.cluster, derivative_of=of.id)
    )
    return identifier


def _edge(tail: int, head: int, like: NodeRecord, argument: str, flow: Flow) -> EdgeRecord:
    return EdgeRecord(tail, head, argument, like.shape, like.dtype, flow)
