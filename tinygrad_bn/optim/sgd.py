"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from ..checks import as_number
from ..creation import zeros_like
from ..errors import ArgumentError, explain
from ..kernels import kernels_of
from ..tensor import Tensor
from .optimizer import Group, Optimizer, Parameters


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

    def update(self, parameters: list[Tensor], group: Group, states: list[dict[str, Any]]) -> None:
        """Change parameters of one device."""
        kernels = kernels_of(parameters[0].device)
        settings = {name: group[name] for name in ("momentum", "dampening", "weight_decay", "nesterov")}
        settings["learning_rate"] = group["lr"]
        arrays = [parameter.data for parameter in parameters]
        gradients = [parameter.grad.data for parameter in parameters]
        if group["momentum"] == 0:
            kernels.sgd_all(arrays, gradients, None, **settings, first_step=False)
            return
        starting = {number for number, state in enumerate(states) if "momentum_buffer" not in state}
        for number in starting:
            states[number]["momentum_buffer"] = zeros_like(parameters[number])
        for first_step in (True, False):
            numbers = [number for number in range(len(states)) if (number in starting) == first_step]
            if numbers:
                kernels.sgd_all(
                    [arrays[number] for number in numbers],
                    [gradients[number] for number in numbers],
                    [states[number]["momentum_buffer"].data for number in numbers],
                    **settings,
                    first_step=first_step,
                )
