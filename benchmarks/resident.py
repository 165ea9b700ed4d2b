"""The memory that this process holds, and the most it has held."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def _status(field: str) -> int:
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise KeyError(field)


def current() -> int:
    """Return the resident set in bytes; where the system does not tell, the largest one so far."""
    return _status("VmRSS") if _STATUS.exists() else _largest()


def reset_peak() -> None:
    """Forget the largest resident set so far, where the system can."""
    if _STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak() -> int:
    """Return the largest resident set since `reset_peak`, in bytes."""
    return _status("VmHWM") if _STATUS.exists() else _largest()


def _largest() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
