"""What the probes say about a network, against the same numbers from whole arrays (NumPy, SciPy)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.lab import ModelProbe, layers_of
from tinygrad_bn.lab.probes import ACTIVATION_OUTPUT, BLOCK_OUTPUT, Recorder, mechanism, on_one_range

stats = pytest.importorskip("scipy.stats")

IMAGES = np.random.default_rng(1).normal(size=(90, 1, 8, 8)).astype(np.float32)


def small_cnn(order: str, activation: str) -> nn.Module:
    tg.manual_seed(0)
    model = nn.SmallCNN(1, 4, 8, width=4, order=order, activation=activation)
    for _ in range(3):
        model(tg.tensor(IMAGES))  # running statistics that are not the initial ones
    return model.eval()


BATCHES = np.split(IMAGES, [7, 40, 41])


def whole_outputs(model: nn.Module, place: str) -> list[np.ndarray]:
    """The outputs of all activations, or of all blocks, for all images.

    They are computed in the batches that the probe sees: the algorithm of a convolution, and so the last digits of its
    output, depends on the size of the batch.
    """
    blocks = [module for module in model.modules() if isinstance(module, nn.ConvBlock | nn.LinearBlock)]
    outputs: list[list[np.ndarray]] = [[] for _ in blocks]
    handles = [
        (block.act if place == ACTIVATION_OUTPUT else block).register_forward_hook(
            lambda module, arguments, output, parts=parts: parts.append(np.array(output.numpy(), dtype=np.float64))
        )
        for block, parts in zip(blocks, outputs, strict=True)
    ]
    with tg.no_grad():
        for batch in BATCHES:
            model(tg.tensor(batch))
    for handle in handles:
        handle.remove()
    return [np.concatenate(parts) for parts in outputs]


def probe_in_batches(model: nn.Module, activation: str) -> dict[str, np.ndarray]:
    probe = ModelProbe(model, activation)
    with probe.watching(), tg.no_grad():
        for batch in BATCHES:
            model(tg.tensor(batch))
    return probe.arrays()


@pytest.mark.parametrize("activation", ["tanh", "relu", "shifted_tanh"])
@pytest.mark.parametrize("order", ["convention", "swap", "preact"])
def test_the_mechanism_equals_its_definition_on_whole_arrays(order: str, activation: str) -> None:
    model = small_cnn(order, activation)
    layers = mechanism(probe_in_batches(model, activation))
    activations, blocks = whole_outputs(model, ACTIVATION_OUTPUT), whole_outputs(model, BLOCK_OUTPUT)
    assert len(layers) == len(activations) == 5
    for layer, g, h in zip(layers, activations, blocks, strict=True):
        by_channel = np.moveaxis(g, 1, 0).reshape(g.shape[1], -1)
        changing = by_channel.std(axis=1) > 1e-12
        skewness = stats.skew(by_channel[changing], axis=1, bias=False)
        assert layer["saturation"] == pytest.approx(np.abs(g).mean() / np.abs(g).max(), rel=1e-6)
        assert layer["skewness"] == pytest.approx(np.abs(skewness).mean(), rel=1e-5)
        assert layer["constant_channels"] == np.sum(~changing)
        assert layer["sparsity"] == pytest.approx(1 - np.abs(h).mean() / np.abs(h).max(), rel=1e-6)
        assert layer["zero_fraction"] == pytest.approx(np.mean(h == 0.0))
        assert layer["not_finite"] == 0
        assert layer["mean"] == pytest.approx(g.mean(), rel=1e-6, abs=1e-7)
        assert layer["deviation"] == pytest.approx(g.std(), rel=1e-6)
        assert layer["activation_zero_fraction"] == pytest.approx(np.mean(g == 0.0))
        assert layer["dead_channels"] == np.sum((by_channel == 0.0).all(axis=1))
        assert layer["block_mean"] == pytest.approx(h.mean(), rel=1e-6, abs=1e-7)
        assert layer["block_deviation"] == pytest.approx(h.std(), rel=1e-6)
        assert layer["gini_low"] <= layer["gini"] <= layer["gini_high"]
        assert layer["gini"] == pytest.approx(gini_of_sorted(h), abs=1e-4)


@pytest.mark.parametrize("place", [ACTIVATION_OUTPUT, BLOCK_OUTPUT])
@pytest.mark.parametrize(("order", "activation"), [("convention", "relu"), ("swap", "tanh"), ("swap", "relu")])
def test_each_channel_equals_its_definition_on_whole_arrays(order: str, activation: str, place: str) -> None:
    model = small_cnn(order, activation)
    layers = layers_of(probe_in_batches(model, activation), place)
    for layer, values in zip(layers, whole_outputs(model, place), strict=True):
        channels = np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)
        magnitudes = np.abs(channels)
        np.testing.assert_allclose(layer.mean, channels.mean(axis=1), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(layer.variance, channels.var(axis=1), rtol=1e-9)
        with np.errstate(invalid="ignore"):
            own = magnitudes.mean(axis=1) / magnitudes.max(axis=1)
        np.testing.assert_allclose(layer.own_saturation, own, rtol=1e-9)
        shared = magnitudes.mean(axis=1) / magnitudes.max()
        np.testing.assert_allclose(layer.channel_saturation, shared, rtol=1e-9)
        np.testing.assert_allclose(layer.channel_sparsity, 1.0 - shared, rtol=1e-9)
        assert layer.saturation == pytest.approx(layer.channel_saturation.mean())
        np.testing.assert_array_equal(layer.channel_zero_fraction, np.mean(channels == 0.0, axis=1))
        np.testing.assert_array_equal(layer.dead, (channels == 0.0).all(axis=1))
        np.testing.assert_array_equal(layer.constant, channels.min(axis=1) == channels.max(axis=1))
        low, estimate, high = layer.gini
        for index, channel in enumerate(channels):
            if layer.dead[index]:
                assert np.isnan(estimate[index])
            else:
                assert low[index] - 1e-12 <= gini_of_sorted(channel) <= high[index] + 1e-12
                assert estimate[index] == pytest.approx(gini_of_sorted(channel), abs=2e-3)


def gini_of_sorted(values: np.ndarray) -> float:
    ordered = np.sort(np.abs(values).ravel())
    ranks = 2.0 * np.arange(1, ordered.size + 1) - ordered.size - 1.0
    return float(np.sum(ranks * ordered) / (ordered.size * ordered.sum()))


def test_dead_and_constant_channels() -> None:
    values = np.random.default_rng(0).normal(size=(20, 5, 2, 2))
    values[:, 0] = 0.0  # dead
    values[:, 1] = 0.5  # constant
    values[:, 2] = 0.0  # dead but for one value
    values[13, 2, 1, 1] = 1e-20
    values[:, 3] = 0.0  # what is not finite is not dead
    values[4, 3, 0, 0] = np.nan
    recorder = Recorder(["block"], -1.0, 1.0)
    for place in (ACTIVATION_OUTPUT, BLOCK_OUTPUT):
        for batch in np.split(values, [1, 12]):
            recorder.add(0, place, batch)
    (layer,) = layers_of(recorder.arrays(), ACTIVATION_OUTPUT)
    assert layer.dead.tolist() == [True, False, False, False, False]
    assert layer.constant.tolist() == [True, True, False, False, False]
    (numbers,) = mechanism(recorder.arrays())
    assert (numbers["dead_channels"], numbers["constant_channels"], numbers["not_finite"]) == (1, 2, 1)


def test_a_layer_that_saw_no_finite_value_has_no_numbers() -> None:
    recorder = Recorder(["block"], -1.0, 1.0)
    for place in (ACTIVATION_OUTPUT, BLOCK_OUTPUT):
        recorder.add(0, place, np.full((4, 2), np.nan))
    (numbers,) = mechanism(recorder.arrays())
    names = ("saturation", "skewness", "sparsity", "zero_fraction", "gini", "mean", "deviation", "block_skewness")
    assert np.isnan([numbers[name] for name in names]).all()
    assert (numbers["dead_channels"], numbers["constant_channels"], numbers["not_finite"]) == (0, 0, 8)


def test_histograms_count_every_value_where_it_lies() -> None:
    model = small_cnn("swap", "tanh")
    arrays = probe_in_batches(model, "tanh")
    for place in (ACTIVATION_OUTPUT, BLOCK_OUTPUT):
        for layer, values in zip(layers_of(arrays, place), whole_outputs(model, place), strict=True):
            by_channel = np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)
            for counts, channel in zip(layer.counts, by_channel, strict=True):
                difference = counts - np.histogram(channel, bins=layer.edges)[0]
                # float32 results of other batch sizes may differ in the last bit and cross an edge.
                assert np.abs(difference).sum() <= 4
                assert counts.sum() == channel.size
    assert layers_of(arrays, ACTIVATION_OUTPUT)[0].edges[[0, -1]].tolist() == [-1.0, 1.0]


def test_blocks_that_end_with_the_activation_have_one_place() -> None:
    arrays = probe_in_batches(small_cnn("convention", "relu"), "relu")
    for inner, outer in zip(layers_of(arrays, ACTIVATION_OUTPUT), layers_of(arrays, BLOCK_OUTPUT), strict=True):
        np.testing.assert_array_equal(inner.counts, outer.counts)


def test_watching_leaves_the_network_as_it_was() -> None:
    model = small_cnn("swap", "tanh")
    before = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
    with tg.no_grad():
        plain = model(tg.tensor(IMAGES)).numpy().copy()
        probe = ModelProbe(model, "tanh")
        with probe.watching():
            watched = model(tg.tensor(IMAGES)).numpy()
        np.testing.assert_array_equal(watched, plain)
        recorded = probe.arrays()["000/activation/count"].copy()
        model(tg.tensor(IMAGES))
    np.testing.assert_array_equal(probe.arrays()["000/activation/count"], recorded)
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), before[name])


def test_activations_outside_blocks_are_watched_too() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.LinearBlock(3, 2, order="swap", activation="tanh")).eval()
    probe = ModelProbe(model, "tanh")
    with probe.watching():
        model(tg.zeros(5, 4))
    assert [layer.name for layer in layers_of(probe.arrays(), BLOCK_OUTPUT)] == ["1", "2"]


@pytest.mark.parametrize("name", ["mlp", "vgg11", "resnet20", "preresnet20", "mobilenet"])
def test_every_architecture_can_be_watched(name: str) -> None:
    tg.manual_seed(0)
    model = nn.build_model(name, in_channels=1, image_size=32, width=2, order="swap", activation="tanh").eval()
    probe = ModelProbe(model, "tanh")
    with probe.watching(), tg.no_grad():
        model(tg.randn(3, 1, 32, 32))
    layers = mechanism(probe.arrays())
    assert len(layers) >= 2
    assert all(0.0 < layer["saturation"] <= 1.0 for layer in layers)


def test_histograms_on_one_range_are_those_of_that_range() -> None:
    generator = np.random.default_rng(0)
    narrow, wide = generator.normal(size=(200, 3)), 30.0 * generator.normal(size=(200, 3))
    probes = []
    for values in (narrow, wide):
        recorder = Recorder(["block"], 0.0, float("inf"))
        recorder.add(0, ACTIVATION_OUTPUT, values)
        probes += layers_of(recorder.arrays(), ACTIVATION_OUTPUT)
    together = on_one_range(probes)
    assert probes[0].edges[-1] < probes[1].edges[-1]
    np.testing.assert_array_equal(together[0].edges, together[1].edges)
    for probe, values in zip(together, (narrow, wide), strict=True):
        for counts, channel in zip(probe.counts, values.T, strict=True):
            np.testing.assert_array_equal(counts, np.histogram(channel, bins=together[1].edges)[0])


def test_a_layer_of_zeros_has_no_saturation_and_no_skewness() -> None:
    recorder = Recorder(["dead"], 0.0, float("inf"))
    recorder.add(0, ACTIVATION_OUTPUT, np.zeros((8, 2, 3, 3)))
    recorder.add(0, BLOCK_OUTPUT, np.zeros((8, 2, 3, 3)))
    (layer,) = mechanism(recorder.arrays())
    assert np.isnan([layer["saturation"], layer["skewness"], layer["sparsity"]]).all()
    assert (layer["constant_channels"], layer["zero_fraction"]) == (2, 1.0)


def moments_of_transformed_normal(function: Callable[[float], float], mean: float, deviation: float) -> list[float]:
    """Mean, deviation, skewness and mean magnitude of function(z), z ~ N(mean, deviation), by integration."""
    integrate = pytest.importorskip("scipy.integrate")

    def expectation(of: Callable[[float], float]) -> float:
        def weighted(z: float) -> float:
            return float(of(function(mean + deviation * z)) * np.exp(-z * z / 2.0) / np.sqrt(2.0 * np.pi))

        kink = -mean / deviation
        parts = [integrate.quad(weighted, *ends, epsabs=1e-12)[0] for ends in ((-12.0, kink), (kink, 12.0))]
        return float(sum(parts))

    first = expectation(lambda value: value)
    second = expectation(lambda value: (value - first) ** 2)
    third = expectation(lambda value: (value - first) ** 3)
    return [first, second**0.5, third / second**1.5, expectation(abs)]


#: function, mean and deviation of its normal input, and what is derived for it: skewness and mean magnitude.
DERIVED = [
    (lambda z: max(z, 0.0), 0.0, 1.0, 1.6406, 0.3989),
    (np.tanh, 0.0, 1.0, 0.0, 0.556),
    (np.tanh, 1.0, 1.0, -1.283, 0.683),
    (np.tanh, 2.0, 2.0, -1.661, 0.833),
    (np.tanh, 3.0, 3.0, -1.768, 0.888),
]


@pytest.mark.parametrize(("function", "mean", "deviation", "skewness", "magnitude"), DERIVED)
def test_derived_values_are_those_of_the_integrals(
    function: Callable[[float], float], mean: float, deviation: float, skewness: float, magnitude: float
) -> None:
    *_, integrated, absolute = moments_of_transformed_normal(function, mean, deviation)
    assert integrated == pytest.approx(skewness, abs=6e-4)
    assert absolute == pytest.approx(magnitude, abs=6e-4)


def test_relu_of_a_normal_input_has_the_derived_mean_and_deviation() -> None:
    mean, deviation, *_ = moments_of_transformed_normal(lambda z: max(z, 0.0), 0.0, 1.0)
    assert (mean, deviation, -mean / deviation) == pytest.approx((0.3989, 0.5838, -0.6833), abs=6e-5)


def test_the_probe_of_many_samples_comes_to_the_derived_values() -> None:
    generator = np.random.default_rng(0)
    recorder = Recorder(["block"], -math.inf, math.inf)
    for _ in range(4):
        normal = generator.normal(size=(100_000, len(DERIVED)))
        channels = [
            np.maximum(z, 0.0) if channel == 0 else np.tanh(mean + deviation * z)
            for channel, (z, (_, mean, deviation, *_)) in enumerate(zip(normal.T, DERIVED, strict=True))
        ]
        recorder.add(0, ACTIVATION_OUTPUT, np.stack(channels, axis=1).astype(np.float32))
    (layer,) = layers_of(recorder.arrays(), ACTIVATION_OUTPUT)
    for channel, (function, mean, deviation, skewness, magnitude) in enumerate(DERIVED):
        expected = moments_of_transformed_normal(function, mean, deviation)
        assert layer.mean[channel] == pytest.approx(expected[0], abs=5e-3)
        assert layer.variance[channel] == pytest.approx(expected[1] ** 2, abs=5e-3)
        assert layer.skewness[channel] == pytest.approx(skewness, abs=0.02)
        assert layer.absolute_sum[channel] / layer.count[channel] == pytest.approx(magnitude, abs=3e-3)
    assert layer.channel_zero_fraction[0] == pytest.approx(0.5, abs=3e-3)
