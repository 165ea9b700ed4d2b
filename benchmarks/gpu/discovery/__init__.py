"""What has to be found out on a GPU, in this order, each item by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..place import Place


class SkipItemError(Exception):
    """What an item needs is not there; the message says what."""


@dataclass
class Found:
    """What an item found.

    Args:
        line: in one line.
        data: numbers, JSON values; "rows" are the lines of a table of its own.
        passed: whether it is as it should be.
    """

    line: str
    data: dict[str, Any] = field(default_factory=dict)
    passed: bool = True


@dataclass(frozen=True)
class Item:
    """Something to find out.

    Args:
        name, title: for the command line and for the tables.
        find: finds it out; raises SkipItemError, or anything else where it fails.
        seconds: about how long it takes; nobody has measured it.
        priority: when its turn comes, see `plan.Task`.
    """

    name: str
    title: str
    find: Callable[[Place], Found]
    seconds: float = 10.0
    priority: int = 0
