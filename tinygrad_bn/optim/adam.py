"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..backend import each_time, once
from ..checks import as_number
from ..errors import ArgumentError, explain
from ..kernels import AdamSettings, kernels_of
from ..tensor import Tensor
from .optimizer import Group, Optimizer, Parameters, laid_out_as
from .skipping import count_step, counted_alike


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015).

        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g^2
        parameter -= lr * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

    with g = gradient + weight_decay * parameter in step t = 1, 2, ...

    Args:
        params: see `Optimizer`.
        lr: learning rate, > 0.
        betas: (b1, b2), each in [0, 1).
        eps: >= 0.
        weight_decay: >= 0.
    """

    buffers = ("exp_avg", "exp_avg_sq")
    counters = ("step",)
    decoupled: ClassVar[bool] = False
    """Weight decay shrinks the parameter itself, instead of being part of the gradient."""

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def check_settings(self, group: Group) -> None:
        """Raise if a group's settings are out of range; those that fit become numbers of Python."""
        super().check_settings(group)
        where = type(self).__name__
        betas = group["betas"]
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise ArgumentError(explain(where, "betas to be two numbers", repr(betas)))
        group["betas"] = tuple(
            as_number(where, f"betas[{number}]", beta, at_least=0.0, below=1.0) for number, beta in enumerate(betas)
        )
        group["eps"] = as_number(where, "eps", group["eps"], at_least=0.0)

    def update(self, parameters: list[Tensor], group: Group, states: list[dict[str, Any]], skip: Tensor | None) -> None:
        """Change parameters of one device."""
        device = parameters[0].device
        with once():
            for parameter, state in zip(parameters, states, strict=True):
                if not state:
                    state.update(step=0, exp_avg=laid_out_as(parameter, 0.0), exp_avg_sq=laid_out_as(parameter, 0.0))
        each_time(lambda: _count(states))
        for numbers in counted_alike(states, [state["step"] for state in states]).values():
            together = [states[number] for number in numbers]
            kernels_of(device).adam_all(
                [parameters[number].data for number in numbers],
                [parameters[number].grad.data for number in numbers],
                [state["exp_avg"].data for state in together],
                [state["exp_avg_sq"].data for state in together],
                self._settings(group, together[0]),
                count_step(skip, device, together, self.state, together[0]["step"] - 1),
            )

    def _settings(self, group: Group, state: dict[str, Any]) -> Callable[[], AdamSettings]:
        """Return what gives the numbers of the step that `state` has come to."""
        return lambda: AdamSettings(
            state["step"], group["lr"], group["betas"], group["eps"], group["weight_decay"], self.decoupled
        )


def _count(states: list[dict[str, Any]]) -> None:
    for state in states:
        state["step"] += 1


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019).

    As `Adam`, with g = gradient, and before each step `parameter *= 1 - lr * weight_decay`.

    Args:
        params, lr, betas, eps: as in `Adam`.
        weight_decay: >= 0; 0.01 by default.
    """

    decoupled = True

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)
