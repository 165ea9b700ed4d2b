"""Training in this process, one run after the other: the simplest executor, good for a debugger."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..config import RunConfig
from .base import OnEnd, OnNote, OnPoll, Waiting, attempt, unheard


@dataclass(frozen=True)
class InProcess:
    """Trains one run after the other in the calling process; see `Executor`.

    Attributes:
        tensorboard: also write event files for TensorBoard.
    """

    tensorboard: bool = False

    def run(
        self, root: Path, configs: Sequence[RunConfig], on_poll: OnPoll, on_end: OnEnd, on_note: OnNote = unheard
    ) -> None:
        """Train the runs; a few times a second becomes once an epoch here."""
        waiting = Waiting(root, configs)
        while waiting:
            config = waiting.take()
            on_poll([config])
            attempt(root, config, self.tensorboard, functools.partial(on_poll, [config]))
            on_end(config)
