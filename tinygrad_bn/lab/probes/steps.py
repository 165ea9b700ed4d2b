"""What an optimiser's steps do to the weights, layer by layer, and where BatchNorm's scale and shift go meanwhile."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from ... import nn, optim
from ...checks import as_index
from ...errors import ArgumentError, GraphError, StateError, explain
from .invariance import Norm, weight_layers
from .norms import norms

Array = np.ndarray[Any, np.dtype[Any]]

WEIGHT_QUANTITIES = ("gradient_norm", "weight_norm", "update_ratio", "effective_learning_rate")
_OF_CHANNELS: dict[str, Callable[[Array], Any]] = {"mean": np.mean, "std": np.std, "min": np.min, "max": np.max}
NORM_QUANTITIES = (
    *(f"{name}_{statistic}" for name in ("gamma", "beta") for statistic in _OF_CHANNELS),
    "gamma_negative",
    "running_mean_magnitude",
    "running_variance",
)


class StepProbe:
    """Records every n-th step of an optimiser; it only looks, so training goes on as without it, bit for bit.

    For each weight layer (`Linear`, `Conv2d`, `ConvTranspose2d`; its weight w, not its bias):

    * gradient_norm: ||g||, the gradient as the loss gives it, without weight decay; nan without a gradient;
    * weight_norm: ||w|| before the step;
    * update_ratio: ||w after - w before|| / ||w before||;
    * effective_learning_rate: learning rate / ||w||^2, where w is scale-invariant (see `weight_layers`) and the
      optimiser is SGD, whose steps it describes (van Laarhoven 2017); nan elsewhere, and "weight/reasons" says why.

    For each BatchNorm, after the step: mean, standard deviation, minimum and maximum over the channels of gamma and of
    beta; gamma_negative, how many gammas are below 0; running_mean_magnitude, the mean of |running mean|; and
    running_variance, the mean of the running variance. nan for what a layer does not have.

    Args:
        model: the network.
        optimizer: what trains it.
        every: record the steps whose number is a multiple of this.

    >>> import tinygrad_bn as tg
    >>> model = nn.LinearBlock(2, 3)
    >>> optimizer = optim.SGD(model.parameters(), lr=0.1)
    >>> probe = StepProbe(model, optimizer, every=10)
    >>> for number in range(20):
    ...     optimizer.zero_grad()
    ...     model(tg.tensor([[1.0, 2.0], [2.0, 0.0]])).sum().backward()
    ...     with probe.step(number):
    ...         optimizer.step()
    >>> arrays = probe.arrays()
    >>> arrays["step"].tolist(), arrays["weight/names"].tolist(), arrays["weight/gradient_norm"].shape
    ([0, 10], ['linear'], (2, 1))
    """

    def __init__(self, model: nn.Module, optimizer: optim.Optimizer, every: int = 1) -> None:
        self._every = as_index("StepProbe", "every", every, 1)
        self._optimizer = optimizer
        self._layers = weight_layers(model)
        self._norms = [(name, module) for name, module in model.named_modules() if isinstance(module, Norm)]
        self._reasons = [layer.reason for layer in self._layers]
        self._invariant = np.array([layer.scale_invariant for layer in self._layers], dtype=bool)
        if not isinstance(optimizer, optim.SGD):
            described = f"learning rate / ||w||^2 describes SGD, not {type(optimizer).__name__}"
            self._reasons = [
                described if layer.scale_invariant else reason
                for layer, reason in zip(self._layers, self._reasons, strict=True)
            ]
        self._steps: list[int] = []
        self._weights: dict[str, list[list[float]]] = {name: [] for name in WEIGHT_QUANTITIES}
        self._scales: dict[str, list[list[float]]] = {name: [] for name in NORM_QUANTITIES}

    def looks_at(self, number: int) -> bool:
        """Return whether the step of a number is recorded."""
        return number % self._every == 0

    @contextmanager
    def step(self, number: int) -> Iterator[None]:
        """Look before and after what stands inside the `with` block: one step of the optimiser.

        Nothing is recorded when the step raises.

        Args:
            number: of the step, counted through all epochs; each larger than those recorded before.

        Raises:
            ArgumentError: the number is not larger than the last one recorded.
            GraphError: no weight has a gradient, as before `backward`.
        """
        if not self.looks_at(as_index("StepProbe.step", "number", number, 0)):
            yield
            return
        if self._steps and number <= self._steps[-1]:
            raise ArgumentError(explain("StepProbe.step", f"a number above {self._steps[-1]}", str(number)))
        device = self._optimizer.param_groups[0]["params"][0].device
        weights = [layer.module.weight for layer in self._layers]
        trained = [weight for weight in weights if weight.grad is not None]
        if weights and not trained:
            raise GraphError(explain("StepProbe.step", "gradients", "none", "call backward() before the step"))
        sizes = norms([weight.grad.data for weight in trained], device)
        by_weight = {id(weight): size for weight, size in zip(trained, sizes, strict=True)}
        gradient_norms = [by_weight.get(id(weight), math.nan) for weight in weights]
        rates = self._learning_rates()
        before = [weight.device.copy(weight.data) for weight in weights]
        yield
        with np.errstate(all="ignore"):
            weight_norms = norms(before, device)
            updates = norms([weight.data - old for weight, old in zip(weights, before, strict=True)], device)
            found = {
                "gradient_norm": gradient_norms,
                "weight_norm": weight_norms.tolist(),
                "update_ratio": (updates / weight_norms).tolist(),
                "effective_learning_rate": (rates / weight_norms**2).tolist(),
            }
        scales = [_scale_and_shift(module) for _, module in self._norms]
        self._steps.append(number)
        for name, row in found.items():
            self._weights[name].append(row)
        for name, rows in self._scales.items():
            rows.append([scale[name] for scale in scales])

    def arrays(self) -> dict[str, Array]:
        """Everything recorded so far, as named arrays; `restore` goes on from them.

        "step": the numbers of the steps, shape (records,). "weight/names", "weight/reasons", "weight/scale_invariant":
        of the weight layers; "norm/names": of the BatchNorms. And one array of shape (records, layers) for each
        quantity: "weight/gradient_norm", ..., "norm/gamma_mean", ....
        """
        named = {f"weight/{name}": (rows, len(self._layers)) for name, rows in self._weights.items()}
        named |= {f"norm/{name}": (rows, len(self._norms)) for name, rows in self._scales.items()}
        return self._description() | {
            "step": np.array(self._steps, dtype=np.int64),
            **{
                name: np.array(rows, dtype=np.float64).reshape(len(rows), width)
                for name, (rows, width) in named.items()
            },
        }

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go on from what `arrays` returned, of a model of the same layers: what was recorded here before is forgotten.

        Raises:
            StateError: the arrays are not such; nothing was changed.
        """
        empty = self.arrays()
        if set(arrays) != set(empty):
            wrong = ", ".join(sorted(set(arrays) ^ set(empty)))
            raise StateError(explain("StepProbe.restore", "the arrays of a StepProbe", f"missing or unknown: {wrong}"))
        for name, own in self._description().items():
            if not np.array_equal(arrays[name], own):
                raise StateError(explain("StepProbe.restore", f"{name} {own.tolist()}", f"{arrays[name].tolist()}"))
        records = len(arrays["step"])
        for name, own in empty.items():
            expected = own.shape if name in self._description() else (records, *own.shape[1:])
            if arrays[name].shape != expected or arrays[name].dtype.kind != own.dtype.kind:
                got = f"shape {arrays[name].shape} and dtype {arrays[name].dtype}"
                raise StateError(explain("StepProbe.restore", f"{name} of shape {expected} and {own.dtype}", got))
        self._steps = arrays["step"].tolist()
        self._weights = {name: arrays[f"weight/{name}"].tolist() for name in WEIGHT_QUANTITIES}
        self._scales = {name: arrays[f"norm/{name}"].tolist() for name in NORM_QUANTITIES}

    def _description(self) -> dict[str, Array]:
        return {
            "weight/names": np.array([layer.name for layer in self._layers], dtype=np.str_),
            "weight/reasons": np.array(self._reasons, dtype=np.str_),
            "weight/scale_invariant": self._invariant,
            "norm/names": np.array([name for name, _ in self._norms], dtype=np.str_),
        }

    def _learning_rates(self) -> Array:
        """Return the learning rate of each weight for which it is to be related to the weight's norm, else nan."""
        if not isinstance(self._optimizer, optim.SGD):
            return np.full(len(self._layers), math.nan)
        rates = {id(parameter): group["lr"] for group in self._optimizer.param_groups for parameter in group["params"]}
        found = [rates.get(id(layer.module.weight), math.nan) for layer in self._layers]
        return np.where(self._invariant, found, math.nan)


def _scale_and_shift(module: Norm) -> dict[str, float]:
    """Return the quantities of one BatchNorm by name."""
    found = dict.fromkeys(NORM_QUANTITIES, math.nan)
    with np.errstate(all="ignore"):
        for name, parameter in (("gamma", module.weight), ("beta", module.bias)):
            if parameter is not None:
                values = parameter.numpy().astype(np.float64)
                found |= {f"{name}_{key}": float(function(values)) for key, function in _OF_CHANNELS.items()}
        if module.weight is not None:
            found["gamma_negative"] = float(np.count_nonzero(module.weight.numpy() < 0.0))
        if module.running_mean is not None and module.running_var is not None:
            found["running_mean_magnitude"] = float(np.abs(module.running_mean.numpy().astype(np.float64)).mean())
            found["running_variance"] = float(module.running_var.numpy().astype(np.float64).mean())
    return found
