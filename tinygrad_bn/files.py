"""Writing files so that nobody ever reads half of one."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def atomic_writer(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a file for writing under another name in its folder, and rename it when the block ends without an error.

    A reader sees the old file or the whole new one. After an error the old file is untouched and nothing is left.

    Raises:
        OSError: the folder does not exist or cannot be written.
    """
    target = Path(path)
    if target.is_dir():  # otherwise the error would name the temporary file
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    try:
        file = open(temporary, "xb")  # noqa: SIM115 - closed below, where an error's path is the caller's own affair
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from None
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_file(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a whole file by `atomic_writer`; folders are made as needed.

    Raises:
        OSError: a folder cannot be made, or the file not be written.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with atomic_writer(path) as file:
        file.write(content)
