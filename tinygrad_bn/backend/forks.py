"""Forked processes: the child has one thread, and locks that another thread of the parent held stay locked in it."""

from __future__ import annotations

import os
from collections.abc import Callable


def renew_in_children(renew: Callable[[], None]) -> None:
    """Call a function in every forked child before anything else happens there; no system but POSIX ones forks."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew)
