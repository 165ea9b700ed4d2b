"""How fast the card copies, and how long Python takes to ask it for something."""

from __future__ import annotations

from typing import Any

import tinygrad_bn as tg

from ..place import Call, Place
from . import Found, Item

_GIGABYTE = 1 << 30
_CHAIN = 200


def copying(place: Place) -> Found:
    """Copy one gigabyte to another place on the card, by a kernel and by the driver; the faster one counts.

    Bytes are counted twice, as read and as written.
    """
    size = _GIGABYTE // (1024 if place.small else 1)
    xp = tg.get_device(place.ours).xp
    source = xp.arange(size // 4, dtype="int32")
    target = xp.empty_like(source)

    def by_kernel() -> None:
        target[...] = source

    ways: list[Call] = [by_kernel]
    if hasattr(source.data, "copy_from_device_async"):  # the driver's own way
        ways.append(lambda: target.data.copy_from_device_async(source.data, size))
    rates = [2.0 * size / place.seconds([way]) for way in ways]
    told = " and ".join(f"{rate / 1e12:.2f}" for rate in rates)
    return Found(f"{told} TB/s", {"bytes_per_second": max(rates), "ways": rates})


def launching(place: Place) -> Found:
    """Go through a chain of operations on two numbers, so that Python is all there is to wait for."""
    import torch

    ours, theirs = tg.ones(2, device=place.ours), torch.ones(2, device=place.theirs)
    recorded = tg.ones(2, device=place.ours, requires_grad=True)
    bare = ours.data

    def chain(x: Any) -> None:
        for _ in range(_CHAIN):
            x = x * 0.5

    def captured(start: tg.Tensor) -> tg.Tensor:
        for _ in range(_CHAIN):
            start = start * 0.5
        return start

    step = tg.capture(captured)
    for _ in range(5):
        step(ours)
    times = {
        "array module": place.seconds([lambda: chain(bare)]),
        "ours": place.seconds([lambda: chain(ours)]),
        "ours, recording a graph": place.seconds([lambda: chain(recorded)]),
        "ours, captured": place.seconds([lambda: step(ours)]),
        "PyTorch": place.seconds([lambda: chain(theirs)]),
    }
    microseconds = {name: seconds / _CHAIN * 1e6 for name, seconds in times.items()}
    line = ", ".join(f"{name} {taken:.1f} µs" for name, taken in microseconds.items())
    return Found(f"an operation takes: {line}", {"microseconds": microseconds})


ITEMS = (
    Item("copying", "copy bandwidth", copying),
    Item("launching", "what an operation costs in Python", launching),
)
