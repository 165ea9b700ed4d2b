"""Sharing the GPUs of a machine among runs: each run sees one of them, and takes it for the only one there is."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ...backend.cuda import VISIBLE, device_count


def gpus_for(device: str) -> tuple[str, ...]:
    """Return the GPUs that runs on a device are shared among, as CUDA_VISIBLE_DEVICES names them.

    With "cuda" these are all that this process may use. There are none to share where the device is another one: a GPU
    that is named is the one that all runs are to use.

    Raises:
        DeviceError: no GPU can be used; the message says why.
    """
    if device != "cuda":
        return ()
    count = device_count()
    named = os.environ.get(VISIBLE)
    names = [name.strip() for name in named.split(",")] if named else [str(number) for number in range(count)]
    return tuple(names[:count])


def least_used(gpus: Sequence[str], in_use: Iterable[str | None]) -> str | None:
    """Return the GPU that has the fewest runs, the first one of several; None where there is none to choose.

    >>> least_used(("0", "1"), ["0"]), least_used(("0", "1"), []), least_used((), [])
    ('1', '0', None)
    """
    runs = Counter(in_use)
    return min(gpus, key=lambda gpu: runs[gpu], default=None)


def visible(gpu: str | None) -> dict[str, str]:
    """Return the environment variables with which a process sees one GPU alone; None leaves it as it is."""
    return {} if gpu is None else {VISIBLE: gpu}


@contextlib.contextmanager
def inherited(variables: Mapping[str, str]) -> Iterator[None]:
    """Give environment variables to the processes that are started inside."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
