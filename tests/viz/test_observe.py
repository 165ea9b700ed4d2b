"""What was measured of a graph, against NumPy, SciPy and PyTorch."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn
from tinygrad_bn.autograd import Op, apply
from tinygrad_bn.viz import GraphRecord, NodeRecord, draw, record_model
from tinygrad_bn.viz.facts import BINS, MOST_VALUES, facts_of


def node_of(graph: GraphRecord, label: str, number: int = 0) -> NodeRecord:
    return [node for node in graph.nodes if node.label == label and node.derivative_of is None][number]


def images(*shape: int) -> tg.Tensor:
    return tg.tensor(np.random.default_rng(0).standard_normal(shape).astype("float32"))


def test_statistics_are_those_of_numpy_and_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    array = np.random.default_rng(1).gamma(2.0, size=(5, 3, 4, 4)).astype("float32")
    array[:, 1] = 0.0
    facts = facts_of(array, 1)
    wide = array.astype("float64")
    assert facts.mean == pytest.approx(wide.mean(), rel=1e-12)
    assert facts.variance == pytest.approx(wide.var(), rel=1e-6)
    assert (facts.minimum, facts.maximum) == (wide.min(), wide.max())
    assert facts.zeros == pytest.approx(1 / 3)
    assert facts.norm == pytest.approx(np.linalg.norm(wide))
    assert facts.saturation == pytest.approx(np.abs(wide).mean() / np.abs(wide).max())
    assert facts.channels is not None
    skewness = [stats.skew(wide[:, c].ravel(), bias=False) for c in (0, 2)]
    assert [facts.channels.skewness[c] for c in (0, 2)] == pytest.approx(skewness)
    assert math.isnan(facts.channels.skewness[1])
    assert facts.skewness == pytest.approx(np.abs(skewness).mean())
    assert facts.channels.variance == pytest.approx(wide.var(axis=(0, 2, 3)))
    assert facts.channels.zeros == (0.0, 1.0, 0.0)
    counts, edges = np.histogram(wide, BINS)
    assert facts.histogram.counts == tuple(counts)
    assert (facts.histogram.low, facts.histogram.high) == (edges[0], edges[-1])
    assert facts.values is None


@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (1, 1, 5, 5), (MOST_VALUES,), (MOST_VALUES + 1,)])
def test_small_tensors_keep_their_numbers(shape: tuple[int, ...]) -> None:
    array = np.arange(math.prod(shape), dtype="float32").reshape(shape)
    facts = facts_of(array, None)
    assert facts.values == (tuple(range(array.size)) if array.size <= MOST_VALUES else None)
    assert facts.channels is None


def test_values_that_are_not_finite_are_counted_and_left_out() -> None:
    array = np.array([[1.0, np.nan, 3.0], [np.inf, -np.inf, np.nan]])
    facts = facts_of(array, 0)
    assert facts.not_finite == 4
    assert (facts.mean, facts.minimum, facts.maximum) == (2.0, 1.0, 3.0)
    assert facts.channels is not None
    assert facts.channels.mean[0] == 2.0
    assert math.isnan(facts.channels.mean[1])
    assert sum(facts.histogram.counts) == 2


def test_constants_and_huge_ranges_have_a_histogram() -> None:
    assert facts_of(np.full((2, 3), 7.0), 1).histogram.counts == (6,)
    assert sum(facts_of(np.array([-1e308, 1e308]), 0).histogram.counts) == 2
    assert facts_of(np.zeros((0, 3)), 1).histogram.counts == ()


@pytest.mark.parametrize("scale", [1e-45, 1e-40, 1e-25, 1e-8, 1.0, 1e22, 1e37])
def test_vanishing_and_exploding_values_have_their_statistics(scale: float) -> None:
    array = (np.random.default_rng(0).standard_normal((50, 3, 8)) * scale).astype("float32")
    array[:, 2] = array[:, 2] * np.float32(1e-3)  # channels of different sizes, each by itself
    facts, wide = facts_of(array, 1), array.astype("float64")
    assert facts.channels is not None
    precise = {"rel": 1e-4}
    assert facts.norm == pytest.approx(np.linalg.norm(wide), **precise)
    assert facts.variance == pytest.approx(wide.var(), **precise)
    assert facts.channels.variance == pytest.approx(wide.var(axis=(0, 2)), **precise)
    assert facts.channels.norm == pytest.approx(np.sqrt(np.square(wide).sum(axis=(0, 2))), **precise)
    assert facts.channels.mean == pytest.approx(wide.mean(axis=(0, 2)), rel=1e-3)
    assert sum(facts.histogram.counts) == array.size
    assert np.array_equal(facts.histogram.counts, np.histogram(wide, BINS)[0]) or scale < 1e-37


def test_a_network_in_which_the_gradient_vanishes_is_observed() -> None:
    tg.manual_seed(0)
    layers = [layer for _ in range(80) for layer in (nn.Linear(8, 8), nn.Sigmoid())]
    graph = record_model(nn.Sequential(*layers), images(16, 8), observe=True, checks=False)
    norms = [n.observation.gradient.norm for n in graph.nodes if n.observation and n.observation.gradient]
    assert 0.0 <= min(norms) < 1e-35


def test_channels_are_those_of_the_second_axis_also_of_an_input_that_needs_a_gradient() -> None:
    x = images(6, 3, 8, 8)
    x.requires_grad_()
    graph = record_model(nn.BatchNorm2d(3), x, target=None, observe=True)
    for label, channels in (("input", 3), ("batch_norm", 3), ("weight", 3)):
        observation = node_of(graph, label).observation
        assert observation is not None
        assert observation.value.channels is not None
        assert len(observation.value.channels.mean) == channels
    labelled = record_model(nn.Linear(3, 4), images(6, 3), target=np.arange(6) % 4, observe=True)
    labels = node_of(labelled, "labels").observation
    assert labels is not None
    assert labels.value.channels is None


def test_values_and_gradients_are_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 6 * 6, 3))
    x, labels = images(6, 1, 8, 8), np.array([0, 1, 2, 0, 1, 2])
    graph = record_model(model, x, target=tg.tensor(labels), observe=True)

    weights = {name: torch.tensor(np.array(p)) for name, p in model.state_dict().items()}
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.Tanh(),
        torch.nn.Flatten(),
        torch.nn.Linear(4 * 6 * 6, 3),
    )
    theirs.load_state_dict(weights)
    outputs = [torch.tensor(np.array(x))]
    for layer in theirs:
        outputs.append(layer(outputs[-1]))
        outputs[-1].retain_grad()
    loss = torch.nn.functional.cross_entropy(outputs[-1], torch.tensor(labels))
    loss.backward()

    for label, output in zip(("conv2d", "batch_norm", "tanh", "reshape", "linear"), outputs[1:], strict=True):
        observation = node_of(graph, label).observation
        assert observation is not None
        assert observation.gradient is not None
        assert observation.value.norm == pytest.approx(output.norm().item(), rel=1e-5)
        assert observation.gradient.norm == pytest.approx(output.grad.norm().item(), rel=1e-4)
        assert observation.seconds is not None
        assert observation.seconds > 0.0
        assert observation.gradient_error is not None
        assert observation.gradient_error < 1e-6
    for name, parameter in theirs.named_parameters():
        observation = node_of(graph, name).observation
        assert observation is not None
        assert observation.gradient is not None
        assert observation.gradient.norm == pytest.approx(parameter.grad.norm().item(), rel=1e-4, abs=1e-7)
    end = node_of(graph, "loss").observation
    assert end is not None
    assert end.value.values == pytest.approx((loss.item(),))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_mixed_precision_is_observed_with_its_casts(dtype: str) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 6 * 6, 3))
    labels = tg.tensor([0, 1, 2], dtype="int64")
    with tg.autocast(dtype):
        graph = record_model(model, images(3, 1, 8, 8), target=labels, observe=True)
        source = draw(model, images(3, 1, 8, 8)).source
    plain = record_model(model, images(3, 1, 8, 8), target=labels, observe=True)
    casts = [node.dtype for node in graph.nodes if node.label == "astype" and node.derivative_of is None]
    assert casts == [dtype] * 5 + ["float32"]  # the images, two weights and two biases; and the logits
    assert source.count("astype") >= 5
    for label, expected in (("conv2d", dtype), ("batch_norm", dtype), ("linear", dtype), ("cross_entropy", "float32")):
        node, reference = node_of(graph, label), node_of(plain, label)
        assert node.dtype == expected
        assert node.observation is not None
        assert reference.observation is not None
        assert node.observation.value.norm == pytest.approx(reference.observation.value.norm, rel=0.02)
        assert node.observation.gradient is not None
        assert node.observation.gradient_error is not None
        assert node.observation.gradient_error < 1e-6  # checked in float64


def test_a_wrong_derivative_is_seen() -> None:
    class Wrong(Op):
        name = "wrong"

        def forward(self, kernels: object, x: np.ndarray) -> np.ndarray:
            return x * x

        def retained_inputs(self) -> tuple[int, ...]:
            return (0,)

        def backward(self, grad: tg.Tensor, inputs: list[tg.Tensor], output: object) -> tuple[tg.Tensor]:
            return (grad * inputs[0],)

    x = images(4)
    x.requires_grad_()
    graph = record_model(lambda x: apply(Wrong(), x), x, observe=True)
    observation = node_of(graph, "wrong").observation
    assert observation is not None
    assert observation.gradient_error is not None
    assert observation.gradient_error > 1e-2


@pytest.mark.parametrize("training", [True, False])
def test_observing_leaves_the_model_as_it_was(training: bool) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Dropout(0.5)).train(training)
    tg.manual_seed(3)
    before = {name: np.array(value) for name, value in model.state_dict().items()}
    record_model(model, images(3, 1, 5, 5), observe=True, backward=True, expand=("batch_norm", "relu"))
    drawn = np.array(tg.randn(3))
    tg.manual_seed(3)
    assert np.array_equal(drawn, np.array(tg.randn(3)))
    assert all(np.array_equal(value, np.array(model.state_dict()[name])) for name, value in before.items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training is training


def test_hooks_are_not_called() -> None:
    layer, calls = nn.Linear(3, 2), []
    layer.register_forward_hook(lambda *_: calls.append("forward"))
    layer.weight.register_hook(lambda gradient: calls.append("gradient"))
    graph = record_model(layer, images(4, 3), observe=True)
    assert calls == []
    weight = node_of(graph, "weight").observation
    assert weight is not None
    assert weight.gradient is not None
    layer(images(4, 3)).sum().backward()
    assert calls == ["forward", "gradient"]


def test_an_opened_operation_is_observed_inside() -> None:
    model, x = nn.BatchNorm2d(2), images(4, 2, 3, 3)
    closed = node_of(record_model(model, x, observe=True), "batch_norm").observation
    opened = record_model(model, x, observe=True, expand="batch_norm")
    last = node_of(opened, "add", 1).observation
    assert closed is not None
    assert last is not None
    assert last.value.norm == pytest.approx(closed.value.norm, rel=1e-5)
    assert closed.gradient is not None
    assert last.gradient is not None
    assert last.gradient.norm == pytest.approx(closed.gradient.norm, rel=1e-6)
    scaled = node_of(opened, "mul", 2).observation
    assert scaled is not None
    assert scaled.gradient is not None


def test_memory_is_counted_once() -> None:
    x = tg.ones(10, 10, requires_grad=True)
    graph = record_model(lambda x: F.tanh(F.tanh(x)) * 2.0, x)
    # Each tanh keeps its own output, 400 bytes; the product with a number keeps nothing.
    assert [node.kept_bytes for node in graph.nodes if node.label in ("tanh", "mul")] == [400, 400, 0]
    shared = record_model(lambda x: (y := F.tanh(x)) * y, x)
    assert sum(node.kept_bytes for node in shared.nodes) == 400


def test_an_input_that_needs_no_gradient_keeps_nothing() -> None:
    graph = record_model(F.tanh, tg.ones(10))
    assert [node.kept_bytes for node in graph.nodes] == [0, 0, 0]


def test_the_shape_of_an_input_stands_for_random_numbers_when_they_are_observed() -> None:
    first, second = (record_model(nn.BatchNorm2d(2), (4, 2, 6, 6), observe=True) for _ in range(2))
    input = first.nodes[0].observation
    assert input is not None
    assert abs(input.value.mean) < 0.3
    assert input.value.variance == pytest.approx(1, abs=0.3)
    facts = [[str(node.observation and node.observation.value) for node in graph.nodes] for graph in (first, second)]
    assert facts[0] == facts[1]
