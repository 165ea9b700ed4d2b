"""What every optimiser has: parameter groups, state, and steps that change parameters in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ..errors import ArgumentError, DTypeError, GraphError, StateError, explain
from ..tensor import Tensor

Group = dict[str, Any]
Parameters = Iterable[Tensor] | Iterable[Mapping[str, Any]] | Iterable[tuple[str, Tensor]]


class Optimizer:
    """The base of all optimisers.

    Args:
        params: parameters; or (name, parameter) pairs, as `named_parameters()` gives them; or groups: mappings with
            "params", optionally a "name", and settings that differ from the defaults.
        defaults: the settings of groups that do not say otherwise; "lr" is among them.

    Attributes:
        param_groups: the groups, each with its "params" and all settings; a schedule changes "lr" here.
        state: for each parameter what the optimiser remembers of it.

    Raises:
        ArgumentError: no parameters, one in two groups, or a setting out of range or unknown.
        GraphError: a parameter was computed by other operations, so training it would mean nothing.
    """

    buffers: ClassVar[tuple[str, ...]] = ()
    """Names of the state's tensors, which have their parameter's shape."""

    def __init__(self, params: Parameters, defaults: dict[str, Any]) -> None:
        self._where = type(self).__name__
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        if isinstance(params, Tensor):
            raise DTypeError(
                explain(self._where, "an iterable of parameters", "one Tensor", "write model.parameters() or [tensor]")
            )
        entries: list[Any] = list(params)
        if not entries:
            raise ArgumentError(explain(self._where, "at least one parameter", "none", "is the model without any?"))
        for group in entries if isinstance(entries[0], Mapping) else [{"params": entries}]:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add a group: a mapping with "params" and any settings that differ from the defaults."""
        if not isinstance(group, Mapping) or "params" not in group:
            raise ArgumentError(explain(self._where, "a mapping with 'params'", repr(group)[:80]))
        new: Group = {**self.defaults, **group}
        unknown = sorted(set(new) - set(self.defaults) - {"params", "param_names", "name", "initial_lr"})
        if unknown:
            raise ArgumentError(explain(self._where, f"settings among {', '.join(self.defaults)}", ", ".join(unknown)))
        params = new["params"]
        entries = [params] if isinstance(params, Tensor) else list(params)
        if entries and isinstance(entries[0], tuple):
            new["param_names"] = [name for name, _ in entries]
            entries = [parameter for _, parameter in entries]
        if not entries:
            raise ArgumentError(explain(self._where, "at least one parameter in each group", "none"))
        taken = {id(p) for other in self.param_groups for p in other["params"]}
        for parameter in entries:
            self._check_parameter(parameter)
            if id(parameter) in taken:
                raise ArgumentError(
                    explain(self._where, "each parameter once", f"one of shape {parameter.shape} twice")
                )
            taken.add(id(parameter))
        new["params"] = entries
        check_number(self._where, "lr", new["lr"], above=0.0)
        self.check_settings(new)
        self.param_groups.append(new)

    def _check_parameter(self, parameter: Any) -> None:
        if not isinstance(parameter, Tensor):
            raise DTypeError(explain(self._where, "parameters that are Tensors", type(parameter).__name__))
        if not parameter.is_leaf:
            raise GraphError(
                explain(self._where, "leaf tensors", f"one computed by {parameter._node!r}", "use detach() first")
            )
        if parameter.dtype.kind != "f":
            raise DTypeError(explain(self._where, "floating-point parameters", str(parameter.dtype)))

    def check_settings(self, group: Group) -> None:
        """Raise if a group's settings are out of range."""
        check_number(self._where, "lr", group["lr"], minimum=0.0)  # a schedule may end at 0
        check_number(self._where, "weight_decay", group["weight_decay"], minimum=0.0)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or (`set_to_none=False`) fill those there are with zeros."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad = None if set_to_none else parameter.grad.detach() * 0.0

    def step(self) -> None:
        """Change every parameter that has a gradient, in place; those without are left alone."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    state = self.state.setdefault(parameter, {})
                    for name in self.buffers:
                        if name in state:
                            state[name] = state[name].to(parameter.device).astype(parameter.dtype)
                    # Infinities and NaN are values like any other here, as in every operation.
                    with np.errstate(all="ignore"):
                        self.update(parameter, group, state)
                    parameter.version.count += 1

    def update(self, parameter: Tensor, group: Group, state: dict[str, Any]) -> None:
        """Change one parameter; its group has the settings, `state` is what is remembered of it."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the state: {"state": {position: {...}}, "param_groups": [...]}, as in PyTorch.

        Parameters are numbered through all groups; the state's tensors are copies, everything else plain Python values.
        """
        positions = {p: i for i, p in enumerate(self._all_parameters())}
        groups = [{**group, "params": [positions[p] for p in group["params"]]} for group in self.param_groups]
        state = {
            positions[parameter]: {name: Tensor(v) if isinstance(v, Tensor) else v for name, v in values.items()}
            for parameter, values in self.state.items()
        }
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a state that `state_dict` returned; groups and shapes must be the same.

        Raises:
            StateError: they are not; nothing was changed.
        """
        where = f"{self._where}.load_state_dict"
        if not isinstance(state_dict, Mapping) or {"state", "param_groups"} - set(state_dict):
            raise StateError(explain(where, "a mapping with 'state' and 'param_groups'", repr(state_dict)[:80]))
        own, saved = self.param_groups, state_dict["param_groups"]
        sizes = [len(group["params"]) for group in own], [len(group["params"]) for group in saved]
        if sizes[0] != sizes[1]:
            raise StateError(explain(where, f"groups of {sizes[0]} parameters", f"groups of {sizes[1]}"))
        for group in saved:
            missing = sorted(set(self.defaults) - set(group))
            if missing:
                raise StateError(explain(where, "all settings of this optimiser", f"none called {missing}"))
            self.check_settings(group)
        numbers = [number for group in saved for number in group["params"]]
        by_number = dict(zip(numbers, self._all_parameters(), strict=True))
        state: dict[Tensor, dict[str, Any]] = {}
        for number, values in state_dict["state"].items():
            if number not in by_number:
                raise StateError(explain(where, f"state of parameters 0 to {len(numbers) - 1}", f"of {number}"))
            state[by_number[number]] = self._checked_state(where, number, by_number[number], values)
        self.state = state
        for group, new in zip(own, saved, strict=True):
            group.update({name: value for name, value in new.items() if name != "params"})

    def _checked_state(self, where: str, number: int, parameter: Tensor, values: Mapping[str, Any]) -> dict[str, Any]:
        copied = dict(values)
        missing = [name for name in self.buffers if name not in copied]
        if copied and missing:
            raise StateError(explain(where, f"{', '.join(self.buffers)} of parameter {number}", f"no {missing[0]}"))
        for name in self.buffers if copied else ():
            tensor = Tensor(copied[name], dtype=parameter.dtype, device=parameter.device)
            if tensor.shape != parameter.shape:
                raise StateError(
                    explain(where, f"{name} of parameter {number} of shape {parameter.shape}", str(tensor.shape))
                )
            copied[name] = tensor
        return copied

    def _all_parameters(self) -> Sequence[Tensor]:
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def __repr__(self) -> str:
        lines = []
        for number, group in enumerate(self.param_groups):
            settings = ", ".join(f"{k}={v}" for k, v in group.items() if k not in ("params", "param_names"))
            lines.append(f"  group {number}: {len(group['params'])} parameters, {settings}")
        return "\n".join([f"{self._where}(", *lines, ")"])


def check_number(
    where: str,
    what: str,
    value: Any,
    minimum: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> None:
    """Raise unless a setting is a finite number within its range."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and value - value == 0
    if (
        not is_number
        or (minimum is not None and value < minimum)
        or (above is not None and value <= above)
        or (below is not None and value >= below)
    ):
        limits = [
            f"{sign} {limit:g}" for sign, limit in ((">=", minimum), (">", above), ("<", below)) if limit is not None
        ]
        raise ArgumentError(explain(where, f"{what} to be a number {' and '.join(limits)}", repr(value)))
