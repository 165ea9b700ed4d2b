"""The settings of a parameter group."""

from __future__ import annotations

from typing import Any

from ..backend.capturing import refuse_once_only


class Settings(dict[str, Any]):
    """A dict that the code of a captured step cannot change: it would while it is recorded, and never again.

    Schedules can, since their steps are taken anew before each replay.
    """

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_to_set(name)
        super().__setitem__(name, value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set several; see `dict.update`."""
        new = dict(*args, **kwargs)
        _refuse_to_set(*new)
        super().update(new)


def _refuse_to_set(*names: str) -> None:
    """Raise if a captured step is running.

    Raises:
        CaptureError: it is.
    """
    got = f"an assignment to {', '.join(map(repr, names))} of a parameter group"
    refuse_once_only("settings that a schedule changes", got, "use LambdaLR, or set it before the call")
