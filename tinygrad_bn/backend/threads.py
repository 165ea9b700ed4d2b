"""One pool of threads for the compiled kernels, and one setting for it and for the BLAS below NumPy.

The threads are plain Python threads that live as long as the process; the compiled code that they run lets go of the
interpreter lock. Below them everything is single-threaded, so no two pools fight for the cores, and several Python
threads may compute at the same time: their work queues up.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from itertools import count
from queue import SimpleQueue

from ..checks import as_index
from ..errors import ArgumentError, explain, missing_dependency

VARIABLE = "TINYGRAD_BN_THREADS"


class _Work:
    """A function to be called once with each number below `total`, by every thread that comes to help."""

    __slots__ = ("_done", "_ended", "_error", "_function", "_numbers", "_total")

    def __init__(self, function: Callable[[int], None], total: int) -> None:
        self._function = function
        self._total = total
        self._numbers = count()  # next() on a count is atomic: no number is taken twice
        self._ended = count(1)
        self._done = threading.Lock()
        self._done.acquire()
        self._error: BaseException | None = None

    def help(self) -> None:
        """Call the function with numbers that nobody has taken, until there are none."""
        while (number := next(self._numbers)) < self._total:
            try:
                if self._error is None:
                    self._function(number)
            except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
                self._error = error
            if next(self._ended) == self._total:
                self._done.release()

    def wait(self) -> None:
        """Return when every call has ended, or raise what one of them raised."""
        self._done.acquire()
        if self._error is not None:
            raise self._error


class ThreadPool:
    """Calls a function over a range of numbers on up to `size` threads, the caller's among them.

    Args:
        size: how many threads work at the same time; they are started when first needed.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.restart()

    def restart(self) -> None:
        """Start afresh, as in a forked child, where the parent's threads do not exist."""
        self._queue: SimpleQueue[_Work] = SimpleQueue()
        self._started = 0
        self._starting = threading.Lock()

    def run(self, function: Callable[[int], None], total: int) -> None:
        """Call function(0) to function(total - 1), in any order and several at a time; wait for all of them.

        What one of the calls raises is raised here.
        """
        helpers = min(total, self.size) - 1
        if helpers < 1:
            for number in range(total):
                function(number)
            return
        with self._starting:
            while self._started < helpers:
                threading.Thread(target=_serve, args=(self._queue,), name="tinygrad_bn", daemon=True).start()
                self._started += 1
        work = _Work(function, total)
        for _ in range(helpers):
            self._queue.put(work)
        work.help()
        work.wait()


def _serve(queue: SimpleQueue[_Work]) -> None:
    while True:
        queue.get().help()


def _number_from_environment() -> int:
    text = os.environ.get(VARIABLE)
    if not text:
        return available_cores()
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentError(explain(VARIABLE, "a whole number of threads, at least 1", repr(text)))
    return int(text)


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_pool: ThreadPool | None = None
_making = threading.Lock()


def thread_pool() -> ThreadPool:
    """Return the process's pool, of the size that `set_num_threads` or TINYGRAD_BN_THREADS says.

    Raises:
        ArgumentError: TINYGRAD_BN_THREADS is not a number of threads.
    """
    global _pool
    with _making:
        if _pool is None:
            _pool = ThreadPool(_number_from_environment())
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=_pool.restart)
            if os.environ.get(VARIABLE):
                _limit_blas(_pool.size)
        return _pool


def get_num_threads() -> int:
    """Return how many threads compute at the same time on the CPU."""
    return thread_pool().size


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
    thread_pool().size = size


def _limit_blas(number: int) -> bool:
    """Set the number of BLAS threads; return whether the package that can do so is there."""
    try:
        import threadpoolctl
    except ImportError:
        return False
    threadpoolctl.threadpool_limits(number, user_api="blas")
    return True
