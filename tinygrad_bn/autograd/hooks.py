"""Hooks: functions that are called with a gradient when it has arrived."""

from __future__ import annotations

import itertools
from typing import Any

_keys = itertools.count()


class HookHandle:
    """What `register_hook` returns: `remove()` takes the hook away again; so does leaving a `with` block."""

    def __init__(self, hooks: dict[int, Any], hook: Any) -> None:
        self._hooks = hooks
        self._key = next(_keys)
        hooks[self._key] = hook

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        self._hooks.pop(self._key, None)

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()
