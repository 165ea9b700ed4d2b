"""How long a run may take: what does not fit is left out, the least important first."""

from __future__ import annotations

import time

_RESERVE = 15.0
"""Seconds that are kept for writing the results."""


class Budget:
    """Counts down from now on.

    Args:
        minutes: how long the run may take; None: as long as it wants.
    """

    def __init__(self, minutes: float | None) -> None:
        self._end = None if minutes is None else time.monotonic() + 60.0 * minutes - _RESERVE

    def at_most(self, seconds: float) -> float:
        """Return so many seconds, or what is left where that is less; never below one."""
        return seconds if self._end is None else max(1.0, min(seconds, self._end - time.monotonic()))

    def allows(self, seconds: float) -> bool:
        """Return whether something that takes about so many seconds still fits."""
        return self._end is None or time.monotonic() + seconds <= self._end
