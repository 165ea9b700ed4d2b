"""IDX files, the format of MNIST and its relatives.

Layout (http://yann.lecun.com/exdb/mnist/): two zero bytes, one byte for the type (8 = unsigned byte), one
byte for the number of dimensions, each dimension as a big-endian 32-bit number, then the values in C order.
"""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path

import numpy as np

from ..errors import DataError, explain
from .payload import check_claim, check_sha256, open_payload, read_exactly

_UNSIGNED_BYTE = 8
_MOST_DIMENSIONS = 4


def read_idx(path: str | os.PathLike[str], sha256: str | None = None) -> np.ndarray:
    """Read an IDX file of unsigned bytes, plain or compressed (.gz, .bz2).

    Args:
        path: the file.
        sha256: the digest its decompressed contents must have; None accepts any.

    Returns:
        A read-only uint8 array with the dimensions that the file states.

    Raises:
        DataError: the file is missing, truncated, too long, damaged, or not an IDX file of unsigned bytes. A
            length that the file cannot hold is refused before memory is taken for it.
    """
    where, file = "read_idx", Path(path)
    with open_payload(file) as stream:
        start = read_exactly(where, file, stream, 4)
        if start[:3] != bytes([0, 0, _UNSIGNED_BYTE]) or not 1 <= start[3] <= _MOST_DIMENSIONS:
            raise DataError(
                explain(
                    where,
                    f"{file} to start with 00 00 08 and 01 .. 0{_MOST_DIMENSIONS} (IDX, unsigned bytes)",
                    start.hex(" "),
                )
            )
        sizes = read_exactly(where, file, stream, 4 * start[3])
        shape = tuple(int.from_bytes(sizes[i : i + 4], "big") for i in range(0, len(sizes), 4))
        count = math.prod(shape)
        check_claim(where, file, len(start) + len(sizes) + count)
        values = read_exactly(where, file, stream, count)
        # Reading past the end also makes a decompressor check its trailing checksum.
        if stream.read(1):
            raise DataError(explain(where, f"{file} to end after {count} values of shape {shape}", "more bytes"))
    if sha256 is not None:
        check_sha256(where, file, "contents", sha256, hashlib.sha256(start + sizes + values).hexdigest())
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)


def encode_idx(array: np.ndarray) -> bytes:
    """Return an array of unsigned bytes as the contents of an IDX file.

    >>> encode_idx(np.array([[1, 2, 3]], dtype=np.uint8)).hex(" ")
    '00 00 08 02 00 00 00 01 00 00 00 03 01 02 03'
    """
    if array.dtype != np.uint8 or not 1 <= array.ndim <= _MOST_DIMENSIONS:
        raise DataError(
            explain(
                "encode_idx",
                f"uint8 values in 1 .. {_MOST_DIMENSIONS} dimensions",
                f"{array.dtype} of shape {array.shape}",
            )
        )
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, _UNSIGNED_BYTE, array.ndim]) + sizes + array.tobytes()
