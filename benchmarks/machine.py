"""The machine that measures, and whether others used it meanwhile."""

from __future__ import annotations

import datetime
import os
import resource
from pathlib import Path
from typing import Any

from tinygrad_bn.lab.environment import environment


def describe_machine(threads: int) -> dict[str, Any]:
    """Return date, processor, cores, system and settings; nothing that names a person or a host."""
    here = environment("cpu")
    return {
        "date": datetime.date.today().isoformat(),
        "processor": here["processor"],
        "cores": here["cores"],
        "threads of each contestant": threads,
        "system": here["system"],
        "python": here["python"],
        "load before the start": round(os.getloadavg()[0], 2),
    }


class OtherLoad:
    """How much processor time others use from now on."""

    def __init__(self) -> None:
        self._start = _busy_seconds(), _our_seconds()

    def cores(self, elapsed: float) -> float | None:
        """Return the cores that other processes used on average over so many seconds.

        Counted as ours is this process and those of its children that have ended. None where the system does not tell.
        """
        busy, before = _busy_seconds(), self._start[0]
        if busy is None or before is None:
            return None
        return round(max(busy - before - (_our_seconds() - self._start[1]), 0.0) / max(elapsed, 1.0), 2)


def _our_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _busy_seconds() -> float | None:
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    except OSError:
        return None
    user, nice, system = first.split()[1:4]
    return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")
