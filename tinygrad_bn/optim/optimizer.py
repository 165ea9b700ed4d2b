"""What every optimiser has: parameter groups, state, and steps that change parameters in place."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ..autograd import check_writable
from ..backend import Recording, once, recording
from ..checks import as_index, as_number
from ..dtypes import is_floating
from ..errors import ArgumentError, DTypeError, GraphError, StateError, explain
from ..tensor import Tensor
from .settings import Settings
from .skipping import without_skipped_steps

Group = dict[str, Any]
Parameters = Iterable[Tensor] | Iterable[Mapping[str, Any]] | Iterable[tuple[str, Tensor]]

GROUP_EXTRAS = {"param_names", "name", "initial_lr"}
"""What a group may hold beside its parameters and the settings of its optimiser."""


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
    counters: ClassVar[tuple[str, ...]] = ()
    """Names of the state's whole numbers."""

    def __init__(self, params: Parameters, defaults: dict[str, Any]) -> None:
        self._where = type(self).__name__
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        if isinstance(params, Tensor):
            raise DTypeError(
                explain(self._where, "an iterable of parameters", "one Tensor", "write model.parameters() or [tensor]")
            )
        if not isinstance(params, Iterable):
            got = type(params).__name__
            raise DTypeError(explain(self._where, "an iterable of parameters", got, "write model.parameters()"))
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
        unknown = sorted(set(new) - set(self.defaults) - {"params"} - GROUP_EXTRAS)
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
        as_number(self._where, "lr", new["lr"], above=0.0)
        self.check_settings(new)
        self.param_groups.append(Settings(new))

    def _check_parameter(self, parameter: Any) -> None:
        if not isinstance(parameter, Tensor):
            raise DTypeError(explain(self._where, "parameters that are Tensors", type(parameter).__name__))
        if not parameter.is_leaf:
            raise GraphError(
                explain(self._where, "leaf tensors", f"one computed by {parameter._node!r}", "use detach() first")
            )
        if not is_floating(parameter.dtype):
            raise DTypeError(explain(self._where, "floating-point parameters", str(parameter.dtype)))
        check_writable(self._where, parameter)

    def check_settings(self, group: Group) -> None:
        """Raise if a group's settings are out of range; those that fit become numbers of Python."""
        group["lr"] = as_number(self._where, "lr", group["lr"], at_least=0.0)  # a schedule may end at 0
        group["weight_decay"] = as_number(self._where, "weight_decay", group["weight_decay"], at_least=0.0)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or (`set_to_none=False`) fill those there are with zeros."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if set_to_none:
                    parameter.grad = None
                elif parameter.grad is not None:
                    parameter.grad = parameter.grad.detach() * 0.0

    def step(self, skip: Tensor | None = None) -> None:
        """Change every parameter that has a gradient, in place; those without are left alone.

        Args:
            skip: a bool without axes; where it is True the step changes neither parameters nor what is remembered of
                them, and counts as not taken: Adam's bias correction and `state_dict` go on from the steps that were.
                Nobody reads it on the host, so a device need not be waited for: this is how loss scaling leaves out
                steps whose gradients have overflowed. (`state[...]["step"]` counts them; `state_dict` does not.)

        In a captured step everything acts again before each replay: the settings of the groups are read anew, and the
        steps are counted.
        """
        if skip is not None and (not isinstance(skip, Tensor) or skip.dtype != bool or skip.ndim):
            got = f"{skip.dtype} of shape {skip.shape}" if isinstance(skip, Tensor) else type(skip).__name__
            raise DTypeError(explain(f"{self._where}.step", "skip: a bool tensor without axes, or None", got))
        # Infinities and NaN are values like any other here, as in every operation.
        with np.errstate(all="ignore"):
            for group in self.param_groups:
                by_device: dict[Any, list[Tensor]] = {}
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        by_device.setdefault(parameter.device, []).append(parameter)
                for parameters in by_device.values():
                    states = [self._state_of(parameter) for parameter in parameters]
                    for parameter in parameters:
                        parameter.has_changed()
                    self.update(parameters, group, states, skip)
        under_way = recording()
        if under_way is not None:
            self._note(under_way)

    def _note(self, under_way: Recording) -> None:
        """Tell a recording what it depends on: the groups, and the tensors that are remembered."""
        under_way.finds(self.__dict__, "state")
        under_way.counts(self.param_groups)
        for group in self.param_groups:
            under_way.counts(group["params"])
        for state in self.state.values():
            for value in state.values():
                if isinstance(value, Tensor):
                    under_way.uses(value)

    def _state_of(self, parameter: Tensor) -> dict[str, Any]:
        """Return what is remembered of a parameter; its tensors follow the parameter to another device or dtype."""
        state = self.state.setdefault(parameter, {})
        for name in self.buffers:
            buffer = state.get(name)
            if buffer is not None and (buffer.device is not parameter.device or buffer.dtype != parameter.dtype):
                with once():
                    state[name] = laid_out_as(parameter, buffer.to(parameter.device).data)
        return state

    def update(self, parameters: list[Tensor], group: Group, states: list[dict[str, Any]], skip: Tensor | None) -> None:
        """Change parameters of one device that have gradients.

        Args:
            parameters: at least one, all of one group.
            group: its settings.
            states: what is remembered of each parameter; empty before its first step.
            skip: as in `step`.
        """
        raise DTypeError(explain(type(self).__name__, "a subclass that defines update", "none"))

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the state: {"state": {position: {...}}, "param_groups": [...]}, as in PyTorch.

        Parameters are numbered through all groups; the state's tensors are copies, everything else plain Python values.
        """
        positions = {p: i for i, p in enumerate(self._all_parameters())}
        remembered = without_skipped_steps(self.state, self.counters)
        groups = [
            {name: copy.deepcopy(value) for name, value in group.items() if name != "params"}
            | {"params": [positions[p] for p in group["params"]]}
            for group in self.param_groups
        ]
        state = {
            positions[parameter]: {name: Tensor(v) if isinstance(v, Tensor) else v for name, v in values.items()}
            for parameter, values in remembered.items()
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
        saved = state_dict["param_groups"]
        if not isinstance(saved, Sequence) or not all(
            isinstance(g, Mapping) and isinstance(g.get("params"), Sequence) for g in saved
        ):
            raise StateError(explain(where, "param_groups to be mappings with a list 'params'", repr(saved)[:80]))
        sizes = [len(g["params"]) for g in self.param_groups], [len(g["params"]) for g in saved]
        if sizes[0] != sizes[1]:
            raise StateError(explain(where, f"groups of {sizes[0]} parameters", f"groups of {sizes[1]}"))
        try:
            settings = [self._loaded_settings(where, group) for group in saved]
            state = self._loaded_state(where, [number for g in saved for number in g["params"]], state_dict["state"])
        except (ArgumentError, DTypeError) as error:
            raise StateError(str(error)) from error
        for group, new in zip(self.param_groups, settings, strict=True):
            group.update(new)
        self.state = state

    def _loaded_settings(self, where: str, group: Mapping[str, Any]) -> Group:
        """Return a checked copy of a saved group, without its parameters."""
        settings = {name: copy.deepcopy(value) for name, value in group.items() if name != "params"}
        missing = sorted(set(self.defaults) - set(settings))
        unknown = sorted(set(settings) - set(self.defaults) - GROUP_EXTRAS)
        if missing or unknown:
            got = f"none called {missing}" if missing else f"unknown ones called {unknown}"
            raise StateError(explain(where, f"the settings of this optimiser: {', '.join(self.defaults)}", got))
        self.check_settings(settings)
        return settings

    def _loaded_state(self, where: str, numbers: list[Any], saved: Any) -> dict[Tensor, dict[str, Any]]:
        """Return a checked copy of what is remembered of each parameter."""
        by_number = dict(
            zip([as_index(where, "each of params", n) for n in numbers], self._all_parameters(), strict=True)
        )
        if len(by_number) != len(numbers):
            raise StateError(explain(where, "each parameter's number once", str(numbers)[:80]))
        if not isinstance(saved, Mapping):
            raise StateError(explain(where, "'state' to be a mapping", repr(saved)[:80]))
        state: dict[Tensor, dict[str, Any]] = {}
        for number, values in saved.items():
            if number not in by_number:
                raise StateError(explain(where, f"state of parameters 0 to {len(numbers) - 1}", f"of {number}"))
            state[by_number[number]] = self._loaded_values(where, number, by_number[number], values)
        return state

    def _loaded_values(self, where: str, number: int, parameter: Tensor, values: Any) -> dict[str, Any]:
        if not isinstance(values, Mapping):
            raise StateError(explain(where, f"a mapping of what parameter {number} remembers", repr(values)[:80]))
        copied = dict(values)
        if not copied:
            return copied
        names = (*self.counters, *self.buffers)
        missing = [name for name in names if name not in copied]
        if missing:
            raise StateError(explain(where, f"{', '.join(names)} of parameter {number}", f"no {missing[0]}"))
        for name in self.counters:
            copied[name] = as_index(where, f"{name} of parameter {number}", copied[name], 0)
        for name in self.buffers:
            tensor = Tensor(copied[name], dtype=parameter.dtype, device=parameter.device)
            if tensor.shape != parameter.shape:
                raise StateError(
                    explain(where, f"{name} of parameter {number} of shape {parameter.shape}", str(tensor.shape))
                )
            copied[name] = laid_out_as(parameter, tensor.data)
        return copied

    def _all_parameters(self) -> Sequence[Tensor]:
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def __repr__(self) -> str:
        lines = []
        for number, group in enumerate(self.param_groups):
            settings = ", ".join(f"{k}={v}" for k, v in group.items() if k not in ("params", "param_names"))
            lines.append(f"  group {number}: {len(group['params'])} parameters, {settings}")
        return "\n".join([f"{self._where}(", *lines, ")"])


def laid_out_as(parameter: Tensor, values: Any) -> Tensor:
    """Return values, an array or a number, in a parameter's shape, dtype and memory order, on its device.

    A kernel goes through parameter, gradient and what is remembered in one walk, where they lie alike.
    """
    array = parameter.device.copy(parameter.data)
    array[...] = values
    return parameter.wrap(array)
