"""Steps that the device may skip, and how many it did not.

Whether a step is skipped is known on the device alone. So is how many steps were taken: the parameters that have taken
the same steps share a counter there, which exists only once a step could be skipped. The host reads it for state dicts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..backend import Device, once, recording
from ..kernels import Skip, kernels_of
from ..tensor import Tensor

State = dict[str, Any]

_TAKEN = "taken"


def counted_alike(states: Sequence[State], keys: Sequence[Any]) -> dict[Any, list[int]]:
    """Return the numbers of the states whose parameters can be updated together: of one key and one counter."""
    together: dict[Any, list[int]] = {}
    for number, (state, key) in enumerate(zip(states, keys, strict=True)):
        together.setdefault((key, id(state.get(_TAKEN))), []).append(number)
    under_way = recording()
    if under_way is not None:
        under_way.depends_on(lambda: _what_sets_apart(states))
    return together


def _what_sets_apart(states: Sequence[State]) -> list[tuple[int, int]]:
    """Return what is the same from step to step, for as long as the same parameters can be updated together."""
    first = states[0].get("step", 0)
    return [(state.get("step", 0) - first, id(state.get(_TAKEN))) for state in states]


def count_step(
    skip: Tensor | None, device: Device, states: Sequence[State], all_states: Mapping[Tensor, State], before: int
) -> Skip | None:
    """Count a step of parameters that are updated together, where steps may be skipped.

    Args:
        skip: as in `Optimizer.step`.
        device: of the parameters.
        states: theirs, with one counter or with none.
        all_states: those of all parameters of the optimiser.
        before: how many steps these have taken before, where no counter knows better.

    Returns:
        What kernels are given; None where no step was ever to be skipped.
    """
    taken = states[0].get(_TAKEN)
    if taken is None and skip is None:
        return None
    if taken is None:
        with once():
            taken = Tensor(np.asarray(before, np.int64), device=device)
    elif taken.device is not device or sum(s.get(_TAKEN) is taken for s in all_states.values()) > len(states):
        with once():  # some of those that share it miss this step: from here on they differ
            taken = Tensor(taken, device=device)
    for state in states:
        state[_TAKEN] = taken
    flag = Tensor(np.asarray(False), device=device) if skip is None else skip.to(device)
    result = Skip(flag.data, taken.data)
    kernels_of(device).count_step(result)
    return result


def without_skipped_steps(all_states: Mapping[Tensor, State], counters: Sequence[str]) -> dict[Tensor, State]:
    """Return the states as they were if there had been only the steps that were taken; reads the counters."""
    taken = {state[_TAKEN] for state in all_states.values() if _TAKEN in state}
    counts = {counter: int(counter.item()) for counter in taken}
    result = {}
    for parameter, state in all_states.items():
        values = {name: value for name, value in state.items() if name != _TAKEN}
        if _TAKEN in state:
            count = counts[state[_TAKEN]]
            values = values | dict.fromkeys(counters, count) if count else {}
        result[parameter] = values
    return result
