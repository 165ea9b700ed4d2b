"""Sharing a kernel's work among the threads."""

from __future__ import annotations

from typing import Any

from ...backend.threads import thread_pool

_WORTH_SHARING = 60_000.0
"""Nanoseconds of work below which handing some of it to another thread costs more than it saves."""

_PARTS_PER_THREAD = 4
"""More parts than threads, so that a thread whose core is taken away for a while holds nobody up."""


def number_of_parts(count: int, nanoseconds: float, most: int | None = None) -> int:
    """Return into how many parts to cut `count` equal pieces of work that take one thread `nanoseconds` in all.

    Args:
        most: the largest number, where every part costs something; by default a few for each thread.
    """
    threads = thread_pool().size
    if threads == 1 or nanoseconds < _WORTH_SHARING:
        return 1
    fair = threads * _PARTS_PER_THREAD if most is None else most
    return max(1, min(count, fair, int(nanoseconds / (_WORTH_SHARING / 4))))


def launch(kernel: Any, count: int, parts: int, *arguments: Any) -> None:
    """Call kernel(part, first, last, *arguments) for each part of range(count), on all threads.

    Args:
        kernel: compiled; it handles the pieces first <= i < last and writes nothing that another part touches.
        count: how many pieces there are.
        parts: how many parts to cut them into; from `number_of_parts`.
    """
    if parts == 1:
        kernel(0, 0, count, *arguments)
        return

    def run(part: int) -> None:
        kernel(part, count * part // parts, count * (part + 1) // parts, *arguments)

    thread_pool().run(run, parts)
