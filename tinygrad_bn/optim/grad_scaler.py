"""Loss scaling: gradients that float16 would lose are computed larger, and made small again before the step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

import numpy as np

from ..autograd.apply import check_writable
from ..backend import Device, once, recording
from ..checks import as_bool, as_index, as_number
from ..errors import ArgumentError, DTypeError, GraphError, StateError, explain
from ..kernels import kernels_of
from ..tensor import Tensor
from .optimizer import Optimizer

_WHERE = "GradScaler"


class _Stage(Enum):
    UNSCALED = "unscaled"
    STEPPED = "stepped"


class GradScaler:
    """Scales a loss so that small gradients survive in float16, and leaves out steps whose gradients overflow.

    As `torch.amp.GradScaler` (Micikevicius et al. 2018, "Mixed precision training"):

        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    The loss, and so every gradient, is multiplied by a scale. `step` divides the gradients by it, and does nothing more
    if any of them is infinite or NaN. `update` then makes the scale smaller; after many steps in a row without overflow
    it makes it larger. All of that happens on the device, where nobody waits for it: a captured step can contain it, if
    it contains all of it from `scale` to `update`. bfloat16 has float32's range and needs no scaling.

    Args:
        init_scale: the first scale, > 0.
        growth_factor: what multiplies the scale after `growth_interval` steps without overflow, > 1.
        backoff_factor: what multiplies it after an overflow, between 0 and 1.
        growth_interval: in steps, > 0.
        enabled: False lets all losses, gradients and steps pass as they are.

    >>> import tinygrad_bn as tg
    >>> weight = tg.tensor([1.0], requires_grad=True)
    >>> optimizer, scaler = tg.optim.SGD([weight], lr=0.25), tg.GradScaler(init_scale=4.0)
    >>> for x in (1.0, float("inf")):
    ...     optimizer.zero_grad()
    ...     scaler.scale((weight * x).sum()).backward()
    ...     scaler.step(optimizer)
    ...     scaler.update()
    >>> weight.item(), scaler.get_scale()
    (0.75, 2.0)
    """

    def __init__(
        self,
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._enabled = as_bool(_WHERE, "enabled", enabled)
        self._start = as_number(_WHERE, "init_scale", init_scale, above=0.0), 0
        self.growth_factor = as_number(_WHERE, "growth_factor", growth_factor, above=1.0)
        self.backoff_factor = as_number(_WHERE, "backoff_factor", backoff_factor, above=0.0, below=1.0)
        self.growth_interval = as_index(_WHERE, "growth_interval", growth_interval, 1)
        self._scale: Tensor | None = None
        self._streak: Tensor | None = None
        self._stages: dict[Optimizer, _Stage] = {}
        self._overflowed: dict[Optimizer, Tensor] = {}

    def is_enabled(self) -> bool:
        """Return whether it scales."""
        return self._enabled

    def get_scale(self) -> float:
        """Return the scale now; the device is waited for. 1 where scaling is not enabled."""
        if not self._enabled:
            return 1.0
        return self._start[0] if self._scale is None else float(self._scale.item())

    def scale(self, outputs: Any) -> Any:
        """Return a loss, or each of several (in lists, tuples, any iterable), times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._scale_for(outputs.device).to(outputs.device)
        if not isinstance(outputs, Iterable) or isinstance(outputs, str):
            raise DTypeError(explain(f"{_WHERE}.scale", "a Tensor, or an iterable of Tensors", type(outputs).__name__))
        scaled = [self.scale(output) for output in outputs]
        return tuple(scaled) if isinstance(outputs, tuple) else scaled

    def _scale_for(self, device: Device) -> Tensor:
        """Return the scale, which is made on the device of the first loss."""
        if self._scale is None:
            with once():
                self._scale = Tensor(np.asarray(self._start[0], np.float32), device=device)
                self._streak = Tensor(np.asarray(self._start[1], np.int32), device=device)
        return self._scale

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the gradients of an optimiser's parameters by the scale, in place: before they are clipped, say.

        `step` does it where it has not been done.

        Raises:
            GraphError: it was done already since the last `update`; no loss was scaled; no parameter has a gradient.
            DTypeError: it is no optimiser; a gradient is float16: parameters in float16 cannot be trained with small
                steps.
        """
        where = f"{_WHERE}.unscale_"
        _check_optimizer(where, optimizer)
        if not self._enabled:
            return
        stage = self._stages.get(optimizer)
        if stage is not None:
            got = "a second unscale_()" if stage is _Stage.UNSCALED else "one after step()"
            raise GraphError(explain(where, "one call for each optimiser between updates", got, "call update() first"))
        if self._scale is None:
            raise GraphError(explain(where, "a loss that was scaled", "none yet", "use scaler.scale(loss).backward()"))
        by_device = self._gradients(where, optimizer)
        overflowed: Tensor | None = None
        # Infinities and NaN are values like any other here, as in every operation.
        with np.errstate(all="ignore"):
            for device, gradients in by_device.items():
                flag = kernels_of(device).unscale_all(
                    [gradient.data for gradient in gradients], self._scale.to(device).data
                )
                found = self._scale.wrap(device.xp.asarray(flag), device=device).to(self._scale.device)
                overflowed = found if overflowed is None else overflowed | found
        if overflowed is None:
            remedy = "use scaler.scale(loss).backward() before"
            raise GraphError(explain(where, "an optimiser whose parameters have gradients", "none", remedy))
        self._stages[optimizer] = _Stage.UNSCALED
        self._overflowed[optimizer] = overflowed

    def _gradients(self, where: str, optimizer: Optimizer) -> dict[Device, list[Tensor]]:
        """Return the gradients of an optimiser's parameters by device, each memory once."""
        by_device: dict[Device, list[Tensor]] = {}
        seen = set()
        for group in optimizer.param_groups:
            for gradient in (parameter.grad for parameter in group["params"]):
                if gradient is None or id(gradient.data) in seen:
                    continue
                if gradient.dtype == np.float16:
                    remedy = "keep the parameters in float32, and compute inside autocast('float16')"
                    raise DTypeError(explain(where, "gradients in float32", "float16", remedy))
                check_writable(where, gradient)
                seen.add(id(gradient.data))
                by_device.setdefault(gradient.device, []).append(gradient)
        for gradients in by_device.values():
            for gradient in gradients:
                gradient.has_changed()
        return by_device

    def step(self, optimizer: Optimizer) -> None:
        """Take the optimiser's step, unless the device finds a gradient infinite or NaN; unscales them if need be.

        Raises:
            GraphError: it was called for this optimiser already since the last `update`; or as in `unscale_`.
            DTypeError: as in `unscale_`.
        """
        _check_optimizer(f"{_WHERE}.step", optimizer)
        if not self._enabled:
            optimizer.step()
            return
        if self._stages.get(optimizer) is _Stage.STEPPED:
            expected = "one call for each optimiser between updates"
            raise GraphError(explain(f"{_WHERE}.step", expected, "a second step()", "call update() first"))
        if optimizer not in self._stages:
            self.unscale_(optimizer)
        optimizer.step(skip=self._overflowed[optimizer])
        self._stages[optimizer] = _Stage.STEPPED

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Adapt the scale, after the steps of all optimisers.

        Args:
            new_scale: the next scale, a number or a tensor without axes; None adapts it to what the steps have found.

        Raises:
            GraphError: there was no step since the last update.
        """
        if not self._enabled:
            return
        where = f"{_WHERE}.update"
        if self._scale is None or self._streak is None or not (self._overflowed or new_scale is not None):
            raise GraphError(explain(where, "a step since the last update", "none", "call step(optimizer) first"))
        if new_scale is not None:
            self._set(where, self._scale, new_scale)
        else:
            first, *others = self._overflowed.values()
            overflowed = first
            for flag in others:
                overflowed = overflowed | flag
            with np.errstate(all="ignore"):
                kernels_of(self._scale.device).adapt_scale(
                    self._scale.data,
                    self._streak.data,
                    overflowed.data,
                    self.growth_factor,
                    self.backoff_factor,
                    self.growth_interval,
                )
            self._scale.has_changed()
            self._streak.has_changed()
        self._stages.clear()
        self._overflowed.clear()
        under_way = recording()
        if under_way is not None:
            under_way.finds(self.__dict__, "_scale", "growth_factor", "backoff_factor", "growth_interval")

    def _set(self, where: str, scale: Tensor, value: float | Tensor) -> None:
        if isinstance(value, Tensor):
            if value.size != 1 or value.requires_grad:
                expected = "a new scale of one element that needs no gradient"
                raise ArgumentError(explain(where, expected, f"{value!r}"))
            scale.assign_(value.to(scale.device).reshape(()))
        else:
            scale.assign_(as_number(where, "new_scale", value, above=0.0))

    def state_dict(self) -> dict[str, Any]:
        """Return the scale and what decides about it, by PyTorch's names; empty where scaling is not enabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self.growth_factor,
            "backoff_factor": self.backoff_factor,
            "growth_interval": self.growth_interval,
            "_growth_tracker": self._start[1] if self._streak is None else int(self._streak.item()),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a state that `state_dict` returned, here or in PyTorch.

        Raises:
            StateError: it is no such state, or that of a scaler that was not enabled; nothing was changed.
        """
        if not self._enabled:
            return
        where = f"{_WHERE}.load_state_dict"
        names = ("scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker")
        if not isinstance(state_dict, Mapping) or set(names) - set(state_dict):
            got = "an empty one, of a scaler that was not enabled" if not state_dict else repr(state_dict)[:80]
            raise StateError(explain(where, f"a mapping with {', '.join(names)}", got))
        try:
            new = GradScaler(*(state_dict[name] for name in names[:4]))
            streak = as_index(where, "_growth_tracker", state_dict["_growth_tracker"], 0)
        except (ArgumentError, DTypeError) as error:
            raise StateError(str(error)) from error
        self.growth_factor, self.backoff_factor = new.growth_factor, new.backoff_factor
        self.growth_interval = new.growth_interval
        self._start = new._start[0], streak
        if self._scale is not None and self._streak is not None:
            self._scale.assign_(self._start[0])
            self._streak.assign_(streak)


def _check_optimizer(where: str, value: Any) -> None:
    if not isinstance(value, Optimizer):
        raise DTypeError(explain(where, "an optimiser of tg.optim", repr(value)[:80]))
