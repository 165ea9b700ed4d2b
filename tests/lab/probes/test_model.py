"""What the probes say about a network, against the same numbers from whole arrays (NumPy, SciPy)."""

from __future__ import annotations

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


def test_skewness_of_tanh_of_a_normal_input() -> None:
    """tanh of N(1, 1) has skewness -1.283, of N(2, 4) -1.661; mean |tanh| is .683 and .833."""
    normal = np.random.default_rng(0).normal(size=(400, 2, 50, 50))
    values = np.tanh(normal * np.array([1.0, 2.0])[:, None, None] + np.array([1.0, 2.0])[:, None, None])
    recorder = Recorder(["block"], -1.0, 1.0)
    for batch in np.split(values, 4):
        recorder.add(0, ACTIVATION_OUTPUT, batch)
    (layer,) = layers_of(recorder.arrays(), ACTIVATION_OUTPUT)
    np.testing.assert_allclose(layer.skewness, [-1.283, -1.661], atol=0.01)
    np.testing.assert_allclose(layer.absolute_sum / layer.count, [0.683, 0.833], atol=0.002)
