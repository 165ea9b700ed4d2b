"""Who trains the runs: this process, one process per run, or the workers of a Dask cluster."""

from __future__ import annotations

from .base import Executor, OnEnd, OnNote, OnPoll, attempt, default_jobs
from .choice import executor_for
from .cluster import Cluster
from .in_process import InProcess
from .processes import Processes

__all__ = [
    "Cluster",
    "Executor",
    "InProcess",
    "OnEnd",
    "OnNote",
    "OnPoll",
    "Processes",
    "attempt",
    "default_jobs",
    "executor_for",
]
