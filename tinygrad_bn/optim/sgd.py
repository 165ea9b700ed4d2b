"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, repeat
from typing import Any

from ..backend import once, recording
from ..checks import as_number
from ..errors import ArgumentError, explain
from ..kernels import SgdSettings, kernels_of
from ..tensor import Tensor
from .optimizer import Group, Optimizer, Parameters, laid_out_as
from .skipping import count_step, counted_alike


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, in PyTorch's form (Sutskever et al. 2013).

        g = gradient + weight_decay * parameter
        v = momentum * v + (1 - dampening) * g        (in the first step v = g)
        parameter -= lr * v                           (with nesterov: lr * (g + momentum * v))

    Args:
        params: see `Optimizer`.
        lr: learning rate, > 0.
        momentum: in [0, 1).
        dampening: in [0, 1].
        weight_decay: >= 0.
        nesterov: look ahead along the velocity; needs momentum and no dampening.

    >>> import tinygrad_bn as tg
    >>> w = tg.tensor([1.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 6)
    0.8
    """

    buffers = ("momentum_buffer",)

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
        }
        super().__init__(params, defaults)

    def check_settings(self, group: Group) -> None:
        """Raise if a group's settings are out of range or do not go together; numbers become Python's."""
        super().check_settings(group)
        group["momentum"] = as_number("SGD", "momentum", group["momentum"], at_least=0.0, below=1.0)
        group["dampening"] = as_number("SGD", "dampening", group["dampening"], at_least=0.0, at_most=1.0)
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ArgumentError(
                explain(
                    "SGD",
                    "momentum > 0 and dampening 0 with nesterov",
                    f"momentum={group['momentum']}, dampening={group['dampening']}",
                )
            )

    def update(self, parameters: list[Tensor], group: Group, states: list[dict[str, Any]], skip: Tensor | None) -> None:
        """Change parameters of one device."""
        device = parameters[0].device
        under_way = recording()
        if under_way is not None:
            under_way.depends_on(lambda: group["momentum"] != 0)
        starting = [group["momentum"] != 0 and "momentum_buffer" not in state for state in states]
        for (is_first, _), numbers in counted_alike(states, starting).items():
            together = [states[number] for number in numbers]
            velocities = None
            if group["momentum"] != 0:
                with once():
                    for number in numbers if is_first else ():
                        states[number]["momentum_buffer"] = laid_out_as(parameters[number], 0.0)
                velocities = [state["momentum_buffer"].data for state in together]
            kernels_of(device).sgd_all(
                [parameters[number].data for number in numbers],
                [parameters[number].grad.data for number in numbers],
                velocities,
                _settings(group, is_first),
                count_step(skip, device, together, self.state, 0 if is_first else 1),
            )


def _settings(group: Group, first_step: bool) -> Callable[[], SgdSettings]:
    """Return what gives the numbers of a step, and when called again those of the step after."""
    is_first = chain((first_step,), repeat(False))
    return lambda: SgdSettings(
        group["lr"],
        group["momentum"],
        group["dampening"],
        group["weight_decay"],
        group["nesterov"],
        next(is_first),
    )
