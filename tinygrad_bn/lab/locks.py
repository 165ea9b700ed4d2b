"""Keeping a folder to one process at a time, by a lock that dies with whoever holds it."""

from __future__ import annotations

import contextlib
import errno
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.platform != "win32":
    import fcntl

# What a file system answers that keeps no locks, as some network file systems do.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock of a file inside the `with` block; waits while another process, or thread, holds it.

    The file stays afterwards: whoever removed it could leave two others with a lock each. Where there are no locks
    (on Windows, or on a file system without them), nothing keeps two processes apart.

    Raises:
        OSError: the file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as file:
        if sys.platform != "win32":
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
        yield  # closing the file ends the lock


def is_held(path: Path) -> bool:
    """Whether another process, or thread, holds the lock of a file at this moment."""
    if sys.platform == "win32" or not path.exists():
        return False
    with open(path, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
    return False
