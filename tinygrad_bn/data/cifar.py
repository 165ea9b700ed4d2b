"""The binary version of CIFAR-10 and CIFAR-100: a .tar.gz archive of files with fixed-length records.

Layout (https://www.cs.toronto.edu/~kriz/cifar.html): each record is one label byte (CIFAR-100: the coarse,
then the fine label) and 3,072 pixel bytes, the red, green and blue planes of a 32x32 image, each row by row.
The archive's members are read in memory by their exact names; nothing is ever unpacked onto the disk.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import DataError, explain
from .payload import LARGEST_PAYLOAD, open_payload, read_exactly

_IMAGE = (3, 32, 32)
_IMAGE_BYTES = 3 * 32 * 32


def read_cifar(
    path: str | os.PathLike[str], members: Sequence[str], label_limits: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Read record files out of a CIFAR archive, without unpacking it.

    Args:
        path: the .tar.gz archive.
        members: the exact names of the files to read, in the order in which their images shall come.
        label_limits: for each label byte of a record, the number of labels there are.

    Returns:
        Images (N, 3, 32, 32) and labels (N, number of label bytes), both uint8.

    Raises:
        DataError: the archive is missing, truncated or damaged, a member is missing, doubled or not a plain
            file, a file does not hold whole records, or a label is out of range.
    """
    file = Path(path)
    contents = _read_members(file, members)
    record = len(label_limits) + _IMAGE_BYTES
    parts = [_records(file, name, contents[name], record) for name in members]
    records = np.concatenate(parts)
    labels = records[:, : len(label_limits)]
    for column, limit in enumerate(label_limits):
        largest = int(labels[:, column].max())
        if largest >= limit:
            raise DataError(explain("read_cifar", f"labels below {limit} in {file}", str(largest)))
    images = np.ascontiguousarray(records[:, len(label_limits) :]).reshape(-1, *_IMAGE)
    return images, np.ascontiguousarray(labels)


def _records(file: Path, name: str, payload: bytes, record: int) -> np.ndarray:
    if not payload or len(payload) % record:
        raise DataError(
            explain("read_cifar", f"{name} in {file} to hold records of {record} bytes", f"{len(payload)} bytes")
        )
    return np.frombuffer(payload, dtype=np.uint8).reshape(-1, record)


def _read_members(file: Path, names: Sequence[str]) -> dict[str, bytes]:
    where = "read_cifar"
    found: dict[str, bytes] = {}
    try:
        with open_payload(file) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                # tarfile would skip a member block by block, however long it claims to be.
                if not 0 <= member.size <= LARGEST_PAYLOAD:
                    raise DataError(
                        explain(where, f"members of at most {LARGEST_PAYLOAD} bytes in {file}", f"{member.size}")
                    )
                if member.name not in names:
                    continue
                contents = archive.extractfile(member) if member.isreg() else None
                if contents is None or member.name in found:
                    raise DataError(
                        explain(where, f"one plain file {member.name} in {file}", "another kind or a second one")
                    )
                found[member.name] = read_exactly(where, file, contents, member.size)
            # The rest is read so that gzip checks the archive's trailing checksum.
            while stream.read(1 << 20):
                pass
    # tarfile has no one error for a damaged archive: besides its own it lets those of its number parsing, of
    # its dictionaries and of its recursion over extended headers through.
    except (tarfile.TarError, ValueError, LookupError, OverflowError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(explain(where, f"an undamaged tar archive {file}", f"{error}")) from error
    missing = [name for name in names if name not in found]
    if missing:
        raise DataError(explain(where, f"the files {', '.join(names)} in {file}", f"no {', '.join(missing)}"))
    return found
