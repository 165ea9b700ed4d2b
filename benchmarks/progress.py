"""What a run says while it runs: lines, and on a terminal one more that changes."""

from __future__ import annotations

import sys
import time


class Progress:
    """Lines with the time since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._terminal = sys.stdout.isatty()

    def line(self, text: str) -> None:
        """Print a line that stays."""
        print(f"{self._cleared()}{self._clock()}  {text}", flush=True)

    def status(self, text: str) -> None:
        """Show what is being done, on a terminal, until the next line."""
        if self._terminal:
            print(f"{self._cleared()}{self._clock()}  {text[:70]}", end="", flush=True)

    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._start

    def _clock(self) -> str:
        minutes, seconds = divmod(int(self.elapsed()), 60)
        return f"{minutes:3d}:{seconds:02d}"

    def _cleared(self) -> str:
        return "\r\x1b[K" if self._terminal else ""
