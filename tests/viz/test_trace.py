"""Tracing: what is recorded, and that looking at a model leaves no trace in it."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn
from tinygrad_bn.autograd import scope
from tinygrad_bn.backend import default_generator
from tinygrad_bn.errors import ArgumentError, DTypeError
from tinygrad_bn.viz import GraphRecord, Role, draw, record_model, record_tensor


def labels(graph: GraphRecord, *roles: Role) -> list[str]:
    return [node.label for node in graph.nodes if not roles or node.role in roles]


def arrows(graph: GraphRecord) -> set[tuple[str, str, str]]:
    return {(graph.nodes[e.tail].label, graph.nodes[e.head].label, e.argument) for e in graph.edges}


# -- a tensor's graph -------------------------------------------------------------------------------------


def loss_of_a_line() -> tg.Tensor:
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]], name="x")
    w = tg.tensor([[1.0], [2.0]], requires_grad=True, name="w")
    y = tg.tensor([[1.0], [2.0]], name="y")
    return ((x @ w - y) ** 2).mean()


def test_the_graph_of_a_tensor_has_its_operations_and_named_leaves() -> None:
    graph = record_tensor(loss_of_a_line())
    assert labels(graph) == ["x", "w", "matmul", "y", "sub", "pow", "mean", "output"]
    assert labels(graph, Role.PARAMETER) == ["w"]
    assert labels(graph, Role.INPUT) == ["x", "y"]
    assert arrows(graph) == {
        ("x", "matmul", "a"),
        ("w", "matmul", "b"),
        ("matmul", "sub", "a"),
        ("y", "sub", "b"),
        ("sub", "pow", "a"),
        ("pow", "mean", "x"),
        ("mean", "output", ""),
    }
    assert {(n.label, n.shape, n.dtype) for n in graph.nodes} >= {("w", (2, 1), "float32"), ("output", (), "float32")}


def test_ids_are_positions_and_edges_run_forward() -> None:
    graph = record_tensor(loss_of_a_line())
    assert [node.id for node in graph.nodes] == list(range(len(graph.nodes)))
    assert all(edge.tail < edge.head for edge in graph.edges)


def test_a_graph_that_backward_has_used_up_is_drawn_the_same() -> None:
    loss = loss_of_a_line()
    before = arrows(record_tensor(loss))
    loss.backward()
    assert arrows(record_tensor(loss)) == before


def test_a_value_used_twice_is_one_node_with_two_arrows() -> None:
    x = tg.tensor([1.0], requires_grad=True, name="x")
    graph = record_tensor(x * x)
    assert labels(graph) == ["x", "mul", "output"]
    assert [(e.tail, e.head, e.argument) for e in graph.edges] == [(0, 1, "a"), (0, 1, "b"), (1, 2, "")]


@pytest.mark.parametrize(("requires_grad", "role"), [(True, Role.PARAMETER), (False, Role.INPUT)])
def test_a_tensor_without_a_graph_is_a_leaf_and_an_output(requires_grad: bool, role: Role) -> None:
    graph = record_tensor(tg.tensor([1.0, 2.0], requires_grad=requires_grad, name="x"))
    assert [(node.role, node.label) for node in graph.nodes] == [(role, "x"), (Role.OUTPUT, "output")]


def test_unnamed_leaves_of_a_layer_are_called_by_what_they_are_to_it() -> None:
    x = tg.randn(4, 3)
    mean, var = tg.zeros(3), tg.ones(3)
    weight = tg.ones(3, requires_grad=True)
    graph = record_tensor(F.batch_norm(x, mean, var, weight))
    assert labels(graph, Role.BUFFER) == ["running_mean", "running_var"]
    assert labels(graph, Role.PARAMETER) == ["weight"]
    assert labels(graph, Role.CONSTANT) == ["constant"]


def test_scopes_of_plain_functions_become_clusters() -> None:
    x = tg.tensor([1.0], requires_grad=True)
    with scope("encoder"):
        y = x.exp() + 1.0
    graph = record_tensor((y * 2.0).sum())
    assert [cluster.path for cluster in graph.clusters] == ["encoder"]
    assert [n.label for n in graph.nodes if n.cluster == 0] == ["x", "exp", "add"]


def test_numbers_are_attributes_before_and_after_the_backward_pass() -> None:
    x = tg.tensor([1.0], requires_grad=True)
    y = 3.0 + x * 0.5
    before = record_tensor(y)
    y.backward()
    for graph in (before, record_tensor(y)):
        assert [node.attributes for node in graph.nodes[1:3]] == [(("b", "0.5"),), (("a", "3"),)]


def test_ten_thousand_operations_in_a_chain_take_less_than_five_seconds() -> None:
    y = x = tg.tensor([1.0], requires_grad=True)
    for number in range(10_000):
        with scope(f"block{number // 10}"):
            y = y + x
    start = time.perf_counter()
    source = draw(y).source
    assert time.perf_counter() - start < 5.0
    assert source.count(" -> ") == 20_001


# -- a model ----------------------------------------------------------------------------------------------


def test_parameters_are_called_as_in_named_parameters(model: nn.Module) -> None:
    graph = record_model(model, (2, 1, 8, 8))
    assert labels(graph, Role.PARAMETER) == [name for name, _ in model.named_parameters()]


def test_buffers_are_read_in_evaluation_and_not_in_training(model: nn.Module) -> None:
    training, evaluation = record_model(model, (2, 1, 8, 8)), record_model(model.eval(), (2, 1, 8, 8))
    assert (training.mode, evaluation.mode) == ("training", "evaluation")
    assert labels(training, Role.BUFFER) == []
    assert labels(evaluation, Role.BUFFER) == [n for n, b in model.named_buffers() if b.ndim]
    assert ("0.norm.running_var", "batch_norm", "variance") in arrows(evaluation)


def test_the_order_of_a_block_is_the_order_of_its_operations() -> None:
    for order, expected in [("swap", ["conv2d", "tanh", "batch_norm"]), ("preact", ["batch_norm", "tanh", "conv2d"])]:
        block = nn.ConvBlock(2, 2, 3, order=order, activation="tanh")
        graph = record_model(block, (2, 2, 8, 8))
        assert labels(graph, Role.WEIGHT, Role.ACTIVATION, Role.NORM) == expected


def test_attributes_of_operations_and_the_momentum_of_the_module() -> None:
    block = nn.Sequential(nn.Conv2d(2, 4, (3, 5), stride=2, padding=(1, 2), groups=2), nn.BatchNorm2d(4, momentum=0.3))
    attributes = {n.label: dict(n.attributes) for n in record_model(block, (2, 2, 9, 9)).nodes}
    assert attributes["conv2d"] == {"kernel": "3×5", "stride": "2", "padding": "1×2", "groups": "2"}
    assert attributes["batch_norm"] == {"uses": "batch statistics", "eps": "1e-05", "momentum": "0.3"}


def test_the_input_may_be_a_tensor_or_a_shape_and_its_own_graph_is_not_drawn(model: nn.Module) -> None:
    leaf = tg.randn(2, 1, 8, 8, requires_grad=True)
    by_tensor, by_shape = record_model(model, leaf * 2.0), record_model(model, (2, 1, 8, 8))
    assert by_tensor == by_shape
    assert labels(by_tensor, Role.INPUT) == ["input"]


def test_a_shape_takes_the_dtype_of_the_model(model: nn.Module) -> None:
    graph = record_model(model.double(), [2, 1, 8, 8])
    assert {node.dtype for node in graph.nodes} == {"float64"}


def test_a_function_of_several_tensors_with_several_results() -> None:
    def both(a: tg.Tensor, b: tg.Tensor) -> dict[str, Any]:
        return {"sum": a + b, "others": [a * b, (a - b,)]}

    graph = record_model(both, (tg.ones(2), tg.ones(2)))
    assert graph.title == "both"
    assert labels(graph, Role.INPUT) == ["input 0", "input 1"]
    assert labels(graph, Role.OUTPUT) == ["sum", "others", "others"]
    assert [labels(graph)[e.tail] for e in graph.edges if e.argument == ""] == ["add", "mul", "sub"]


def test_a_parameter_that_two_layers_share_is_one_node() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(3, 3, bias=False)
            self.second = nn.Linear(3, 3, bias=False)
            self.second.weight = self.first.weight

        def forward(self, input: tg.Tensor) -> tg.Tensor:
            return self.second(self.first(input))

    graph = record_model(Tied(), (1, 3))
    assert labels(graph, Role.PARAMETER) == ["first.weight"]
    assert sum(edge.argument == "weight" for edge in graph.edges) == 2


def test_a_module_called_twice_is_two_clusters() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.ConvBlock(2, 2, 3, padding=1, order="convention", activation="relu")

        def forward(self, input: tg.Tensor) -> tg.Tensor:
            return self.block(self.block(input).exp())

    graph = record_model(Twice(), (2, 2, 5, 5))
    assert [c.path for c in graph.clusters].count("Twice/block") == 2


# -- opened operations ------------------------------------------------------------------------------------


def test_batch_norm_opens_into_its_primitives_in_both_modes() -> None:
    layer = nn.BatchNorm2d(3)
    training = record_model(layer, (4, 3, 2, 2), expand="batch_norm")
    assert labels(training, Role.ARITHMETIC) == ["mean", "sub", "mul", "mean", "add", "rsqrt", "mul", "mul", "add"]
    evaluation = record_model(layer.eval(), (4, 3, 2, 2), expand=["batch_norm"])
    assert labels(evaluation, Role.ARITHMETIC) == ["sub", "add", "rsqrt", "mul", "mul", "add"]
    assert {"running_mean", "running_var", "weight", "bias"} <= {tail for tail, _, _ in arrows(evaluation)}
    opened = [cluster for cluster in evaluation.clusters if cluster.role is Role.NORM]
    assert [cluster.label for cluster in opened] == ["batch_norm"]
    assert all(n.cluster == opened[0].id for n in evaluation.nodes if n.role is Role.ARITHMETIC)


@pytest.mark.parametrize(("order", "names"), [("convention", ["batch_norm", "tanh"]), ("swap", ["tanh", "batch_norm"])])
def test_a_recorded_pair_is_one_box_that_opens_into_two_and_further(order: str, names: list[str]) -> None:
    """A model that is drawn is traced, and shows both; a tensor shows what computed it."""
    block = nn.ConvBlock(1, 3, 3, order=order, activation="tanh")
    for training, statistics in ((True, []), (False, ["running_mean", "running_var"])):
        block.train(training)
        assert "norm_act" not in labels(record_model(block, (2, 1, 4, 4)))
        output = block(tg.randn(2, 1, 4, 4))
        closed = record_tensor(output)
        (pair,) = (n for n in closed.nodes if n.role is Role.NORM)
        assert pair.label == "norm_act"
        assert pair.path == "ConvBlock"
        assert {"order": order, "activation": "tanh"}.items() <= dict(pair.attributes).items()
        assert labels(closed, Role.BUFFER) == statistics
        opened = record_tensor(output, expand="norm_act")
        assert [n.label for n in opened.nodes if n.role in (Role.NORM, Role.ACTIVATION)] == names
        assert labels(record_tensor(output, expand="batch_norm"), Role.NORM) == []


def test_an_operation_inside_an_opened_one_opens_too() -> None:
    logits = tg.randn(4, 3, requires_grad=True)
    loss = F.cross_entropy(logits, tg.tensor([0, 1, 2, 0], dtype="int64"))
    assert "log_softmax" in labels(record_tensor(loss, expand="cross_entropy"))
    graph = record_tensor(loss, expand=("cross_entropy", "log_softmax"))
    assert "log_softmax" not in labels(graph)
    inner = next(c for c in graph.clusters if c.label == "log_softmax")
    assert inner.parent is not None
    assert graph.clusters[inner.parent].label == "cross_entropy"


@pytest.mark.parametrize("name", sorted(set(F.ACTIVATIONS) - {"rrelu"}))  # in evaluation, rrelu is a leaky_relu
def test_every_activation_opens(name: str) -> None:
    graph = record_model(nn.activation(name).eval(), (2, 3), expand=name)
    assert [cluster.label for cluster in graph.clusters if cluster.role is Role.ACTIVATION] == [name]


# -- nothing is disturbed ---------------------------------------------------------------------------------


def test_tracing_leaves_no_trace_in_a_model_in_training() -> None:
    model = nn.Sequential(
        nn.ConvBlock(1, 4, 3, padding=1, order="swap", activation="tanh"), nn.Dropout(0.5), nn.BatchNorm2d(4)
    )
    model[2].eval()
    (model(tg.randn(4, 1, 8, 8)).sum()).backward()
    calls: list[int] = []
    model.register_forward_hook(lambda *_: calls.append(1))
    state = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    gradients = [parameter.grad.numpy().copy() for parameter in model.parameters() if parameter.grad is not None]
    modes = [module.training for module in model.modules()]
    versions = [tensor.version.count for tensor in (*model.parameters(), *model.buffers())]
    random_state = default_generator.get_state()

    graph = record_model(model, tg.randn(4, 1, 8, 8))
    # randn above draws; the trace itself, dropout included, must not
    default_generator.set_state(random_state)
    record_model(model, (4, 1, 8, 8))

    assert graph.mode == "mixed"
    assert default_generator.get_state() == random_state
    assert {k: v.tolist() for k, v in state.items()} == {k: v.tolist() for k, v in model.state_dict().items()}
    assert any(name.endswith("num_batches_tracked") for name in state)
    after = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert len(after) == len(gradients) > 0
    assert all(np.array_equal(a.numpy(), b) for a, b in zip(after, gradients, strict=True))
    assert [module.training for module in model.modules()] == modes
    assert [tensor.version.count for tensor in (*model.parameters(), *model.buffers())] == versions
    assert calls == []


def test_a_training_trace_shows_the_training_graph_and_puts_the_statistics_back() -> None:
    layer = nn.BatchNorm2d(3)
    graph = record_model(layer, tg.randn(4, 3, 2, 2))
    assert dict(graph.nodes[-2].attributes)["uses"] == "batch statistics"
    assert layer.running_mean.tolist() == [0.0, 0.0, 0.0]
    assert layer.training


def test_a_model_that_fails_is_put_back_too() -> None:
    class Fails(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(3)

        def forward(self, input: tg.Tensor) -> tg.Tensor:
            return self.norm(input).reshape(7)

    model = Fails()
    with pytest.raises(ArgumentError, match="reshape"):
        record_model(model, tg.randn(4, 3))
    assert model.norm.running_mean.tolist() == [0.0, 0.0, 0.0]
    assert model.norm.training


def test_a_function_does_not_move_the_random_state() -> None:
    state = default_generator.get_state()
    record_model(lambda x: F.dropout(x, 0.5), (4, 3))
    assert default_generator.get_state() == state


def test_a_graph_that_waits_for_backward_still_works_after_drawing() -> None:
    model = nn.BatchNorm2d(3).eval()
    loss = model(tg.randn(4, 3, 2, 2)).sum()
    record_model(model.train(), (4, 3, 2, 2))
    loss.backward()
    assert model.weight.grad is not None


# -- wrong calls ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("input", ["image", (1, "a"), {"x": 1}, 3, (1.5, 2)])
def test_an_input_that_is_none_is_refused(model: nn.Module, input: Any) -> None:
    with pytest.raises(DTypeError, match=r"in draw: expected (a Tensor|each length of the shape)"):
        record_model(model, input)


def test_a_model_without_a_tensor_to_draw_is_refused() -> None:
    with pytest.raises(DTypeError, match="a model that returns a Tensor"):
        record_model(lambda x: 3, (1,))


def test_only_fused_operations_open(model: nn.Module) -> None:
    with pytest.raises(ArgumentError, match="did you mean 'batch_norm'"):
        record_model(model, (2, 1, 8, 8), expand="batchnorm")
