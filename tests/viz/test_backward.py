"""Derivatives as records: what reads what, and what is added up."""

from __future__ import annotations

import numpy as np

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn
from tinygrad_bn.viz import GraphRecord, record_model, record_tensor
from tinygrad_bn.viz.docking import docked
from tinygrad_bn.viz.records import Flow, Role


def given(name: str, *shape: int, requires_grad: bool = True) -> tg.Tensor:
    return tg.tensor(np.ones(shape), dtype="float32", requires_grad=requires_grad, name=name)


def flows(graph: GraphRecord, flow: Flow) -> list[tuple[str, str, str]]:
    """Tail, head and argument of the edges of one kind; derivatives with their sign."""
    names = [node.label if node.derivative_of is None else f"∂{node.label}" for node in graph.nodes]
    return [(names[edge.tail], names[edge.head], edge.argument) for edge in graph.edges if edge.flow is flow]


def test_a_chain_runs_back_in_reverse() -> None:
    x = given("x", 2)
    graph = record_tensor(F.relu(F.tanh(x)).sum(), backward=True)
    assert flows(graph, Flow.GRADIENT) == [
        ("∂output", "∂sum", ""),
        ("∂sum", "∂relu", "x"),
        ("∂relu", "∂tanh", "x"),
        ("∂tanh", "∂x", "x"),
    ]
    # tanh keeps its output, and so does relu.
    assert flows(graph, Flow.KEPT) == [("relu", "∂relu", "output"), ("tanh", "∂tanh", "output")]


def test_gradients_of_a_value_used_twice_are_added() -> None:
    x = given("x", 2)
    graph = record_tensor((x * x).sum(), backward=True)
    assert flows(graph, Flow.GRADIENT)[2:] == [("∂mul", "∂add", "a"), ("∂mul", "∂add", "b"), ("∂add", "∂x", "")]
    assert flows(graph, Flow.KEPT) == [("x", "∂mul", "a"), ("x", "∂mul", "b")]


def test_nothing_flows_where_nothing_is_asked_for() -> None:
    x = given("x", 2, requires_grad=False)
    weight = given("weight", 2)
    graph = record_tensor((F.tanh(x) * weight).sum(), backward=True)
    assert [node.label for node in graph.nodes if node.derivative_of is not None] == ["output", "sum", "mul", "weight"]
    assert not record_tensor(F.tanh(x), backward=True).nodes[-1].derivative_of


def test_derivatives_come_after_everything_and_lie_in_their_operations_cluster() -> None:
    graph = record_model(nn.SmallCNN(width=2), (2, 1, 28, 28), backward=True)
    first = next(node.id for node in graph.nodes if node.derivative_of is not None)
    assert all(node.derivative_of is not None for node in graph.nodes[first:])
    assert [node.id for node in graph.nodes] == list(range(len(graph.nodes)))
    for node in graph.nodes[first:]:
        of = graph.nodes[node.derivative_of or 0]
        assert (node.cluster, node.path, node.shape, node.role) in [
            (of.cluster, of.path, of.shape, of.role),
            (of.cluster, of.path, of.shape, Role.ARITHMETIC),
        ]


def test_every_parameter_gets_its_gradient_inside_its_operations_derivative() -> None:
    model = nn.SmallCNN(width=2)
    graph = record_model(model, (2, 1, 28, 28), backward=True)
    inside = docked(graph)
    gradients = [leaf.label for nodes in inside.values() for leaf in nodes if leaf.derivative_of is not None]
    assert sorted(gradients) == sorted(name for name, _ in model.named_parameters())
    for holder, leaves in inside.items():
        assert len({leaf.derivative_of is None for leaf in leaves}) == 1
        assert (graph.nodes[holder].derivative_of is None) == (leaves[0].derivative_of is None)


def test_an_opened_batch_norm_runs_back_through_its_primitives() -> None:
    x = given("x", 4, 3)
    graph = record_model(nn.BatchNorm1d(3), x, expand="batch_norm", backward=True)
    derivatives = [node.label for node in graph.nodes if node.derivative_of is not None]
    # Newest first; the gradients of the centred values and of x are sums of several.
    assert derivatives == [
        *("output", "add", "reshape", "mul", "reshape", "mul", "rsqrt", "add", "mean", "mul", "add", "sub"),
        *("mean", "bias", "weight", "add", "x"),
    ]
