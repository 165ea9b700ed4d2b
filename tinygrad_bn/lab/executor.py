"""The executors under their former names, until the main job asks for them by `executor_for`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .config import RunConfig
from .executors import OnEnd, OnPoll, default_jobs, executor_for

__all__ = ["default_jobs", "execute", "executor_for"]


def execute(root: Path, configs: Sequence[RunConfig], jobs: int, on_poll: OnPoll, on_end: OnEnd) -> None:
    """Train the runs in `jobs` processes; see `executors.Executor.run`."""
    executor_for(jobs).run(root, configs, on_poll, on_end)
