"""Reading data files that may be truncated, corrupt or hostile: bounded, checked, with one kind of error."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from ..errors import DataError, explain

LARGEST_PAYLOAD = 1 << 30
"""More than any set read here holds, in bytes; a file that claims more is damaged or hostile."""

_CHUNK = 1 << 20
# Deflate cannot do better than 1032 : 1 (zlib's technical notes), so a .gz file's length bounds its contents.
_GZIP_MAX_RATIO = 1032


@contextmanager
def open_payload(path: Path) -> Iterator[IO[bytes]]:
    """Open a plain, gzip- or bzip2-compressed file for reading its contents; the first bytes decide which.

    Raises:
        DataError: the file cannot be read, or its compressed contents are damaged, at any time inside the
            `with`.
    """
    try:
        with path.open("rb") as file:
            start = file.read(3)
            file.seek(0)
            if start[:2] == b"\x1f\x8b":
                with gzip.GzipFile(fileobj=file, mode="rb") as stream:
                    yield cast(IO[bytes], stream)
            elif start == b"BZh":
                with bz2.BZ2File(file) as stream:
                    yield cast(IO[bytes], stream)
            else:
                yield file
    # Each decompressor has its own words for "damaged"; bz2 says OSError and EOFError.
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(explain("reading data", f"a readable, undamaged file {path}", f"{error}")) from error


def check_claim(where: str, path: Path, claimed: int) -> None:
    """Refuse a claimed length of contents that the file cannot hold, before anything is allocated for it."""
    with path.open("rb") as file:
        start = file.read(3)
    size = path.stat().st_size
    holds = LARGEST_PAYLOAD
    if start[:2] == b"\x1f\x8b":
        holds = min(holds, size * _GZIP_MAX_RATIO)
    elif start != b"BZh":
        holds = min(holds, size)
    if claimed > holds:
        raise DataError(
            explain(where, f"at most {holds} bytes of contents in {path}", f"a header that claims {claimed}")
        )


def read_exactly(where: str, path: Path, stream: IO[bytes], count: int) -> bytes:
    """Read `count` bytes; memory grows with what is really there, never with what is claimed."""
    chunks: list[bytes] = []
    missing = count
    while missing:
        chunk = stream.read(min(missing, _CHUNK))
        if not chunk:
            raise DataError(
                explain(where, f"{count} more bytes in {path}", f"only {count - missing}", "the file is truncated")
            )
        chunks.append(chunk)
        missing -= len(chunk)
    return b"".join(chunks)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as it lies on disk."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(explain("reading data", f"a readable file {path}", f"{error}")) from error


def check_sha256(where: str, path: Path, what: str, expected: str, digest: str) -> None:
    """Raise DataError unless a digest is the expected one."""
    if digest != expected:
        raise DataError(
            explain(
                where,
                f"{what} of {path} with SHA-256 {expected}",
                digest,
                "the file is damaged or not the original; move it away and put the original in its place",
            )
        )
