"""Closing modules, and leaving out boxes of one thing."""

from __future__ import annotations

from itertools import pairwise

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn
from tinygrad_bn.viz import GraphRecord, Role, record_model, record_tensor
from tinygrad_bn.viz.fold import fold


def shown(graph: GraphRecord) -> list[tuple[str, str]]:
    return [(node.label, node.path) for node in graph.nodes if not node.role.is_tensor]


def test_a_layer_gets_no_box_of_its_own_and_the_model_none_around_everything(model: nn.Module) -> None:
    graph = fold(record_model(model, (2, 1, 8, 8)), None)
    assert [(c.label, c.path) for c in graph.clusters] == [("ConvBlock", "Sequential/0"), ("ConvBlock", "Sequential/2")]
    assert [node.module for node in graph.nodes if node.label == "reshape"] == ["Flatten"]


def test_depth_closes_the_modules_at_that_level(model: nn.Module) -> None:
    full = record_model(model, (2, 1, 8, 8))
    assert shown(fold(full, 1)) == [
        ("ConvBlock", "Sequential/0"),
        ("max_pool2d", "Sequential/1"),
        ("ConvBlock", "Sequential/2"),
        ("reshape", "Sequential/3"),
        ("linear", "Sequential/4"),
    ]
    assert shown(fold(full, 0)) == [("Sequential", "Sequential")]
    assert fold(full, 2) == fold(full, None) == fold(full, 100)


def test_a_closed_module_knows_its_order_its_parameters_and_its_shape(model: nn.Module) -> None:
    graph = fold(record_model(model.eval(), (2, 1, 8, 8)), 1)
    block = next(node for node in graph.nodes if node.role is Role.MODULE)
    assert [content.label for content in block.contents] == ["conv2d", "tanh", "batch_norm"]
    assert block.parameter_count == sum(parameter.size for parameter in model[0].parameters())
    assert block.shape == (2, 4, 8, 8)
    assert not any(node.role is Role.BUFFER for node in graph.nodes)


def test_many_operations_are_counted_by_kind(model: nn.Module) -> None:
    longer = nn.Sequential(model, nn.ReLU(), nn.ReLU())
    (whole,) = (node for node in fold(record_model(longer, (2, 1, 8, 8)), 0).nodes if node.role is Role.MODULE)
    assert [(c.label, c.count) for c in whole.contents] == [
        ("conv2d", 2),
        ("tanh", 2),
        ("batch_norm", 2),
        ("max_pool2d", 1),
        ("reshape", 1),
        ("linear", 1),
        ("relu", 2),
    ]


def test_edges_go_between_closed_modules_once_and_forward(model: nn.Module) -> None:
    graph = fold(record_model(model, (2, 1, 8, 8)), 1)
    assert [node.id for node in graph.nodes] == list(range(len(graph.nodes)))
    assert all(edge.tail < edge.head for edge in graph.edges)
    assert len({(edge.tail, edge.head) for edge in graph.edges}) == len(graph.edges)
    chain = [n.id for n in graph.nodes if n.role not in (Role.PARAMETER, Role.BUFFER)]
    assert {(e.tail, e.head) for e in graph.edges} >= set(pairwise(chain))


def test_a_shared_parameter_stays_outside_the_modules_that_read_it() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Tanh())
            self.two = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Tanh())
            self.two[0].weight = self.one[0].weight

        def forward(self, input: tg.Tensor) -> tg.Tensor:
            return self.two(self.one(input))

    graph = fold(record_model(Tied(), (1, 3)), 1)
    (weight,) = (node for node in graph.nodes if node.role is Role.PARAMETER)
    assert (weight.label, weight.cluster) == ("one.0.weight", None)
    assert sum(edge.tail == weight.id for edge in graph.edges) == 2


def test_a_module_called_twice_gives_two_nodes_and_no_cycle() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.LinearBlock(3, 3, "convention", "relu")

        def forward(self, input: tg.Tensor) -> tg.Tensor:
            return self.block(self.block(input).exp())

    graph = fold(record_model(Twice(), (2, 3)), 1)
    assert [label for label, _ in shown(graph)] == ["LinearBlock", "exp", "LinearBlock"]
    assert all(edge.tail < edge.head for edge in graph.edges)


def test_the_loss_stands_outside_the_model_that_it_judges(model: nn.Module) -> None:
    loss = F.cross_entropy(model(tg.randn(4, 1, 8, 8)), tg.tensor([0, 1, 2, 3], dtype="int64"))
    graph = fold(record_tensor(loss), 0)
    assert shown(graph)[0] == ("", "Sequential")
    assert [node.role for node in graph.nodes if node.label == "cross_entropy"] == [Role.LOSS]
    assert [cluster.path for cluster in fold(record_tensor(loss), 1).clusters] == ["Sequential"]


def test_an_opened_operation_counts_as_one_and_is_hidden_in_a_closed_module(model: nn.Module) -> None:
    full = record_model(model, (2, 1, 8, 8), expand="batch_norm")
    for depth in (None, 2):
        opened = [cluster for cluster in fold(full, depth).clusters if cluster.role is Role.NORM]
        assert [cluster.path for cluster in opened] == ["Sequential/0/norm", "Sequential/2/norm"]
    closed = fold(full, 1)
    assert closed.clusters == ()
    block = next(node for node in closed.nodes if node.role is Role.MODULE)
    assert [(content.role, content.label) for content in block.contents] == [
        (Role.WEIGHT, "conv2d"),
        (Role.ACTIVATION, "tanh"),
        (Role.NORM, "batch_norm"),
    ]
