"""Precise statistics for BatchNorm: those of a whole data set under fixed weights, beside the running averages.

The running averages that evaluation uses lag behind the weights, because the batches they come from were seen with
earlier ones. Precise statistics (Wu & Johnson 2021, "Rethinking 'Batch' in BatchNorm") are the mean and the variance of
everything that a BatchNorm sees while data goes through the network with the weights it has in the end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ... import nn
from ...autograd import no_grad
from ...errors import ArgumentError, StateError, explain
from ...nn.undisturbed import undisturbed
from ...tensor import Tensor

Array = np.ndarray[Any, np.dtype[Any]]
_BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d


class Statistics(NamedTuple):
    """What a BatchNorm normalises with in evaluation: mean and unbiased variance, float64, shape (channels,)."""

    mean: Array
    variance: Array


class Distance(NamedTuple):
    """How far the running averages of a layer are from precise statistics, as means over its channels.

    Attributes:
        mean: |running mean - precise mean| / precise deviation.
        variance: |log(running variance / precise variance)|.
    """

    mean: float
    variance: float


def precise_statistics(model: nn.Module, batches: Iterable[Any]) -> dict[str, Statistics]:
    """Mean and variance of what each BatchNorm sees over some batches, by the layers' names.

    Data goes through the network once, as in training: every BatchNorm normalises with the batch's own statistics, so a
    later layer sees what it saw in training, whatever the running averages are. Everything else is as in evaluation;
    nothing is dropped. The statistics are those of all values of all batches together, so batches count by their size,
    and the variance holds what lies between batches, which an average of batch variances leaves out. It is unbiased,
    as the running variance is.

    The model is left as it was: running averages, mode, hooks, gradients and the random state.

    Args:
        model: the network.
        batches: inputs of the network, or pairs of inputs and labels as a `data.DataLoader` gives them; in batches as
            large as those of training, since what later layers see depends on their size. Some thousand images do.

    Returns:
        The statistics of the BatchNorms that keep running averages and that data went through.

    Raises:
        ArgumentError: there is no batch.

    >>> import tinygrad_bn as tg
    >>> model = nn.Sequential(nn.BatchNorm1d(1))
    >>> batches = [tg.tensor([[1.0], [3.0]]), tg.tensor([[5.0], [7.0], [9.0]])]
    >>> found = precise_statistics(model, batches)["0"]
    >>> found.mean.tolist(), found.variance.tolist()
    ([5.0], [10.0])
    """
    norms = _tracking_norms(model)
    pools = {name: _Pool(norm.num_features) for name, norm in norms.items()}
    momenta = {name: norm.momentum for name, norm in norms.items()}
    count = 0
    with undisturbed(model), no_grad():
        try:
            for module in model.modules():
                module.training = isinstance(module, _BatchNorm)
            for name, norm in norms.items():
                norm.reset_running_stats()  # which may not be finite
                norm.momentum = 1.0  # so that the averages are those of the last batch alone
                norm.register_forward_hook(_adding_to(pools[name]))
            for batch in batches:
                model(batch[0] if isinstance(batch, tuple | list) else batch)
                count += 1
        finally:
            for name, norm in norms.items():
                norm.momentum = momenta[name]
    if count == 0:
        raise ArgumentError(explain("precise_statistics", "at least one batch", "none"))
    return {name: pool.statistics() for name, pool in pools.items() if pool.count > 0}


@contextlib.contextmanager
def with_statistics(model: nn.Module, statistics: Mapping[str, Statistics]) -> Iterator[None]:
    """Inside the `with` block BatchNorms evaluate with these statistics; afterwards with their own again.

    Args:
        model: the network.
        statistics: by the layers' names, from `precise_statistics`; other layers keep theirs.

    Raises:
        StateError: a name or a shape does not fit the model; nothing was changed.
    """
    norms = _fitting("with_statistics", model, statistics)
    buffers = [
        (buffer, values, buffer.data.copy())
        for name, norm in norms.items()
        for buffer, values in zip((norm.running_mean, norm.running_var), statistics[name], strict=True)
        if buffer is not None
    ]
    try:
        for buffer, values, _ in buffers:
            buffer.assign_(Tensor(values.astype(buffer.dtype), device=buffer.device))
        yield
    finally:
        for buffer, _, before in buffers:
            buffer.assign_(before)


def running_distances(model: nn.Module, statistics: Mapping[str, Statistics]) -> dict[str, Distance]:
    """How far each layer's running averages are from precise statistics.

    Variances are taken with the layer's eps, as the layer does: so a channel that never changes has a distance, too.

    Raises:
        StateError: a name or a shape does not fit the model.
    """
    distances = {}
    for name, norm in _fitting("running_distances", model, statistics).items():
        running_mean, running_variance = _running(norm)
        mean, variance = statistics[name]
        deviation = np.sqrt(variance + norm.eps)
        logarithm = np.log((running_variance + norm.eps) / (variance + norm.eps))
        distances[name] = Distance(
            float(np.mean(np.abs(running_mean - mean) / deviation)), float(np.mean(np.abs(logarithm)))
        )
    return distances


class _Pool:
    """Mean and variance of all values of all batches, from those of each batch (Chan, Golub & LeVeque 1979)."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self._mean = np.zeros(channels)
        self._squares = np.zeros(channels)

    def add(self, count: int, mean: Array, variance: Array) -> None:
        """Add a batch of `count` values per channel, of this mean and unbiased variance."""
        total = self.count + count
        delta = mean - self._mean
        self._squares += variance * (count - 1) + delta**2 * self.count * count / total
        self._mean += delta * count / total
        self.count = total

    def statistics(self) -> Statistics:
        """Mean and unbiased variance of everything."""
        return Statistics(self._mean, self._squares / (self.count - 1))


def _adding_to(pool: _Pool) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
    def add(module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        assert isinstance(module, _BatchNorm)
        pool.add(output.size // module.num_features, *_running(module))

    return add


def _running(norm: _BatchNorm) -> Statistics:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return Statistics(norm.running_mean.numpy().astype(np.float64), norm.running_var.numpy().astype(np.float64))


def _tracking_norms(model: nn.Module) -> dict[str, _BatchNorm]:
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    }


def _fitting(where: str, model: nn.Module, statistics: Mapping[str, Statistics]) -> dict[str, _BatchNorm]:
    """The BatchNorms of these statistics, when all of them are there and have their shapes."""
    norms = _tracking_norms(model)
    for name, values in statistics.items():
        if name not in norms:
            expected = f"statistics of the model's BatchNorms ({', '.join(norms) or 'it has none'})"
            raise StateError(explain(where, expected, repr(name), "nothing was changed"))
        shape = (norms[name].num_features,)
        if any(value.shape != shape for value in values):
            got = f"{' and '.join(str(value.shape) for value in values)}"
            raise StateError(
                explain(where, f"mean and variance of {name} of shape {shape}", got, "nothing was changed")
            )
    return {name: norms[name] for name in statistics}
