"""What happens inside a network: statistics of every block, gathered in one pass over the test set.

Two places of each block are watched: the activation's output, where saturation and its asymmetry are defined, and
the block's output (after BatchNorm in Swap order), where sparsity is defined (Kim, Kim & Kim, NeurIPS 2023).

Definitions, over the whole test set, of a layer and of each of its channels:

* saturation: mean |g| / max |g| over all values g of the activation's output, in [0, 1]; a channel's is relative to
  the layer's largest value, or to its own;
* skewness (asymmetric saturation): adjusted Fisher-Pearson skewness of each channel of the activation's output
  (`scipy.stats.skew(bias=False)`), and for a layer the mean of its absolute value over the channels that have one
  (a constant channel has none and is counted instead);
* sparsity: 1 - mean |h| / max |h| over the block's output h; and beside it, because that number hangs on one
  maximum, the share of values that are exactly zero and the Gini coefficient of |h|;
* dead channels: those that are exactly 0 wherever and for whichever image; constant channels: those that never change.

Each of these can be read at both places.

Histograms have fixed bins over the activation's range when it is bounded. Otherwise they start small and double
their range with the data (`streaming.GrowingHistogram`): one pass, constant memory, and no count is lost.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ... import nn
from ...functional import get_activation
from .gini import StreamingGini
from .layers import LayerProbe
from .streaming import FixedHistogram, GrowingHistogram, StreamingMoments, host_kernels

Array = np.ndarray[Any, np.dtype[Any]]

ACTIVATION_OUTPUT = "activation"
BLOCK_OUTPUT = "block"
#: Bins over the range of a bounded activation.
BOUNDED_BINS = 64
#: Bins over a growing range: many, so that a narrow distribution is still seen in the range of a wide one.
GROWING_BINS = 512


class Site:
    """Accumulated statistics of one place of the network.

    Args:
        low, high: the range of the values where it is bounded, else infinities.
    """

    def __init__(self, low: float = -math.inf, high: float = math.inf) -> None:
        self._range = (low, high)
        self._started: tuple[StreamingMoments, FixedHistogram | GrowingHistogram, StreamingGini] | None = None

    def update(self, values: Array) -> None:
        """Add a batch of shape (N, C) or (N, C, H, W)."""
        if self._started is None:
            channels = values.shape[1]
            self._started = (StreamingMoments(channels), self._histogram(channels), StreamingGini(channels))
        moments, histogram, gini = self._started
        kernels = host_kernels()
        extremes = kernels.extremes(values)
        histogram.cover(extremes)
        gini.cover(extremes)
        survey = kernels.survey(values, histogram.edges, gini.bins)
        moments.add(extremes, survey)
        histogram.add(survey)
        gini.add(survey)

    def arrays(self) -> dict[str, Array]:
        """Everything as arrays: what `LayerProbe` holds."""
        if self._started is None:
            return {}
        moments, histogram, gini = self._started
        return {
            "edges": histogram.edges,
            "counts": histogram.counts,
            "count": moments.count,
            "mean": moments.mean,
            "variance": moments.variance,
            "skewness": moments.skewness,
            "absolute_sum": moments.absolute_sum,
            "absolute_max": moments.absolute_max,
            "zeros": moments.zeros,
            "not_finite": moments.not_finite,
            "minimum": moments.minimum,
            "maximum": moments.maximum,
            "gini": np.stack(gini.channels),
            "layer_gini": np.concatenate(gini.layer),
        }

    def _histogram(self, channels: int) -> FixedHistogram | GrowingHistogram:
        low, high = self._range
        if math.isfinite(low) and math.isfinite(high):
            return FixedHistogram(channels, BOUNDED_BINS, low, high)
        return GrowingHistogram(channels, GROWING_BINS)


class Recorder:
    """The sites of all layers of a network, and their statistics as named arrays.

    Args:
        names: the blocks' names in the model, in the order in which data goes through them.
        low, high: the activation's infimum and supremum, possibly infinite.
        shared: numbers of the layers whose block ends with the activation: one place, looked at once.
    """

    def __init__(self, names: Sequence[str], low: float, high: float, shared: Collection[int] = ()) -> None:
        self.names = tuple(names)
        self.shared = frozenset(shared)
        self._sites: dict[tuple[int, str], Site] = {}
        for layer in range(len(self.names)):
            site = Site(low, high)
            self._sites[layer, ACTIVATION_OUTPUT] = site
            self._sites[layer, BLOCK_OUTPUT] = site if layer in self.shared else Site()

    def add(self, layer: int, place: str, values: Array) -> None:
        """Add a batch of values, of shape (N, C) or (N, C, H, W), seen at one place of one layer."""
        self._sites[layer, place].update(values)

    def arrays(self) -> dict[str, Array]:
        """Everything under one name each: the names of the layers, and `000/activation/mean` and so on."""
        arrays: dict[str, Array] = {"layers": np.array(self.names, dtype=np.str_)}
        for (layer, place), site in self._sites.items():
            arrays |= {_prefix(layer, place) + key: value for key, value in site.arrays().items()}
        return arrays


class ModelProbe:
    """Watches every activation of a network, and the block it stands in, through forward hooks.

    Hooks are there only while `watching`, so training is not slowed down, and they only look: output and training
    are those of the network alone.

    Args:
        model: the network; its blocks are `nn.ConvBlock` and `nn.LinearBlock`. An activation outside a block counts
            as a block of its own.
        activation: name of the activation function, for the range of its values.

    >>> from tinygrad_bn import nn, zeros
    >>> model = nn.ConvBlock(1, 2, 3, activation="tanh")
    >>> probe = ModelProbe(nn.Sequential(model), "tanh")
    >>> with probe.watching():
    ...     output = model(zeros(1, 1, 4, 4))
    >>> layers_of(probe.arrays(), ACTIVATION_OUTPUT)[0].counts.sum(axis=1).tolist()
    [4, 4]
    """

    def __init__(self, model: nn.Module, activation: str) -> None:
        self._watched = _activations_and_blocks(model)
        traits = get_activation(activation)
        self._recorder = Recorder(
            [name for name, _, _ in self._watched],
            traits.lower,
            traits.upper,
            shared=[
                layer
                for layer, (_, activation, block) in enumerate(self._watched)
                if block is activation or list(block.children())[-1] is activation
            ],
        )

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Record what goes through the network inside the `with` block."""
        handles = []
        for layer, (_, activation, block) in enumerate(self._watched):
            handles.append(activation.register_forward_hook(self._hook(layer, ACTIVATION_OUTPUT)))
            if layer not in self._recorder.shared:
                handles.append(block.register_forward_hook(self._hook(layer, BLOCK_OUTPUT)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def arrays(self) -> dict[str, Array]:
        """What has been recorded, as named arrays."""
        return self._recorder.arrays()

    def _hook(self, layer: int, place: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def record(module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
            # Not `output.numpy()`, which is read-only on the CPU: kernels copy what they may not write to.
            self._recorder.add(layer, place, output.device.to_host(output.data))

        return record


def _activations_and_blocks(model: nn.Module) -> list[tuple[str, nn.Module, nn.Module]]:
    """Name, activation and block of each activation, in the order of registration."""
    found: list[tuple[str, nn.Module, nn.Module]] = []
    inside_blocks: set[int] = set()
    for name, module in model.named_modules():
        activation = dict(module.named_children()).get("act")
        if isinstance(module, nn.ConvBlock | nn.LinearBlock) and activation is not None:
            found.append((name, activation, module))
            inside_blocks.add(id(activation))
        elif isinstance(module, nn.Activation | nn.PReLU) and id(module) not in inside_blocks:
            found.append((name, module, module))
    return found


def layers_of(arrays: Mapping[str, Array], place: str) -> list[LayerProbe]:
    """Read the layers of one place (`ACTIVATION_OUTPUT` or `BLOCK_OUTPUT`) back from saved arrays, in order."""
    names = [str(name) for name in arrays["layers"]]
    layers = []
    for index, name in enumerate(names):
        prefix = _prefix(index, place)
        found = {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
        layers.append(LayerProbe(name=name, **found))
    return layers


def mechanism(arrays: Mapping[str, Array]) -> list[dict[str, Any]]:
    """The numbers of each layer that a report shows.

    `saturation`, `skewness`, `mean`, `deviation`, `activation_zero_fraction`, `constant_channels`, `dead_channels` and
    `not_finite` are of the activation's output; `sparsity`, `zero_fraction`, `gini` (with `gini_low` and `gini_high`,
    its bounds) and what begins with `block_` are of the block's output.
    """
    both = zip(layers_of(arrays, ACTIVATION_OUTPUT), layers_of(arrays, BLOCK_OUTPUT), strict=True)
    return [_numbers(activation, block) for activation, block in both]


def _numbers(activation: LayerProbe, block: LayerProbe) -> dict[str, Any]:
    low, gini, high = block.layer_gini.tolist()
    return {
        "name": activation.name,
        "channels": len(activation.count),
        "saturation": activation.saturation,
        "skewness": activation.mean_absolute_skewness,
        "mean": activation.layer_mean,
        "deviation": math.sqrt(activation.layer_variance),
        "activation_zero_fraction": activation.zero_fraction,
        "constant_channels": activation.constant_channels,
        "dead_channels": activation.dead_channels,
        "not_finite": int(activation.not_finite.sum()),
        "sparsity": block.sparsity,
        "zero_fraction": block.zero_fraction,
        "gini": gini,
        "gini_low": low,
        "gini_high": high,
        "block_skewness": block.mean_absolute_skewness,
        "block_mean": block.layer_mean,
        "block_deviation": math.sqrt(block.layer_variance),
        "block_not_finite": int(block.not_finite.sum()),
    }


def _prefix(index: int, place: str) -> str:
    return f"{index:03d}/{place}/"
