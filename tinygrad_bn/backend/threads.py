"""How many threads compute on the CPU: one setting for our compiled kernels and for the BLAS below NumPy."""

from __future__ import annotations

import os

from ..checks import as_index
from ..errors import ArgumentError, explain, missing_dependency

VARIABLE = "TINYGRAD_BN_THREADS"

_number: int | None = None


def get_num_threads() -> int:
    """Return how many threads compute at the same time on the CPU.

    Raises:
        ArgumentError: TINYGRAD_BN_THREADS is not a number of threads.
    """
    global _number
    if _number is None:
        _number = _from_environment() or available_cores()
    return _number


def set_num_threads(number: int) -> None:
    """Set how many threads compute at the same time on the CPU: our kernels and the BLAS below NumPy alike.

    The environment variable TINYGRAD_BN_THREADS sets it from outside; without either it is the number of cores that the
    process may use. Results may differ in the last bits between numbers of threads.

    Raises:
        ArgumentError: the number is below 1.
        MissingDependencyError: the package threadpoolctl, which reaches the BLAS, is not installed (extra `fast`).
    """
    size = as_index("set_num_threads", "number", number, 1)
    if not _limit_blas(size):
        raise missing_dependency("set_num_threads", "threadpoolctl", "fast")
    global _number
    _number = size


def _limit_blas(number: int) -> bool:
    """Set the number of BLAS threads; return whether the package that can do so is there."""
    try:
        import threadpoolctl
    except ImportError:
        return False
    threadpoolctl.threadpool_limits(number, user_api="blas")
    return True


def _from_environment() -> int | None:
    text = os.environ.get(VARIABLE)
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentError(explain(VARIABLE, "a whole number of threads, at least 1", repr(text)))
    _limit_blas(int(text))
    return int(text)


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
