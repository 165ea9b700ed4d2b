"""Fetching one file over HTTP: whole and checked, or not at all."""

from __future__ import annotations

import http.client
import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from ..errors import DataError, explain

_CHUNK = 1 << 16
_TIMEOUT_SECONDS = 30.0
_SILENT_SECONDS = 2.0
_LINE_SECONDS = 10.0


def download(urls: Sequence[str], destination: Path, check: Callable[[Path], None]) -> None:
    """Fetch a file from the first address that delivers it, and put it at `destination` in one step.

    Args:
        urls: addresses of the same file (http or https), tried in this order.
        destination: where the file shall lie; its folder is made when there is none.
        check: called with the file under its temporary name; raises DataError when the contents are wrong.

    Raises:
        DataError: no address delivered the right file, or the folder cannot be written. Nothing is left
            behind.
    """
    where = f"download of {destination.name}"
    problems = []
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{destination.name}.", suffix=".part", dir=destination.parent)
    except OSError as error:
        raise DataError(
            explain(
                where,
                f"a folder {destination.parent} that can be written",
                f"{error}",
                "set TINYGRAD_BN_DATA to a folder that can be written, or that holds the file",
            )
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        for url in urls:
            try:
                _fetch(url, temporary)
                check(temporary)
                # mkstemp makes the file readable by its owner alone; a folder of data sets is often shared.
                temporary.chmod(0o644)
                os.replace(temporary, destination)
                return
            # ValueError: what urllib says of an address that it cannot read; DataError is one, too.
            except (OSError, http.client.HTTPException, ValueError) as error:
                problems.append(f"{url}: {error}")
    finally:
        temporary.unlink(missing_ok=True)
    raise DataError(
        explain(
            where,
            "one of its addresses to deliver the file",
            "; ".join(problems),
            f"check the network, or put the file at {destination} yourself",
        )
    )


def _fetch(url: str, temporary: Path) -> None:
    if not url.startswith(("http://", "https://")):
        raise DataError(explain("download", "an http or https address", repr(url)))
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response, temporary.open("wb") as file:
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        progress = Progress(url.rsplit("/", 1)[-1], total)
        received = 0
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            received += len(chunk)
            progress.show(received)
        progress.close()
        if total is not None and received != total:
            raise DataError(explain("download", f"{total} bytes from {url}", f"{received}", "the transfer broke off"))


class Progress:
    """Says on the error stream how far a transfer is, once it takes longer than two seconds.

    A terminal gets one line that renews itself, anything else a line every ten seconds.
    """

    def __init__(
        self,
        name: str,
        total: int | None,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._total = total
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._next = clock() + _SILENT_SECONDS
        self._shown = False

    def show(self, received: int) -> None:
        """Report the bytes received so far, if it is time."""
        now = self._clock()
        if now < self._next:
            return
        share = f" of {self._total / 1e6:.1f} MB ({received / self._total:.0%})" if self._total else " MB"
        line = f"{self._name}: {received / 1e6:.1f}{share}"
        if self._stream.isatty():
            self._stream.write(f"\r{line}")
            self._next = now + 0.2
        else:
            self._stream.write(f"{line}\n")
            self._next = now + _LINE_SECONDS
        self._stream.flush()
        self._shown = True

    def close(self) -> None:
        """End the line that a terminal shows."""
        if self._shown and self._stream.isatty():
            self._stream.write("\n")
