"""Which executor the command line's words mean."""

from __future__ import annotations

import re

from ...errors import ArgumentError, explain
from ..events import check_tensorboard
from .base import Executor, default_jobs
from .cluster import Cluster
from .gpus import gpus_for
from .in_process import InProcess
from .processes import Processes


def executor_for(
    jobs: int | None = None, cluster: str | None = None, *, device: str = "cpu", tensorboard: bool = False
) -> Executor:
    """Return who trains the runs of a comparison.

    Args:
        jobs: how many runs at a time. By default one per core (with "cuda" one per GPU), on an existing cluster one per
            worker. 0 trains one after the other in this process.
        cluster: None for processes of this machine, "local" for a Dask cluster on this machine, or the address of
            the scheduler of an existing one, as in "tcp://host:8786".
        device: what the runs are trained on.
        tensorboard: also write event files for TensorBoard.

    Raises:
        ArgumentError: jobs or cluster is none of these.
        DeviceError: there is no GPU for runs on "cuda".
        MissingDependencyError: a package that this needs is not installed.

    >>> executor_for(0)
    InProcess(tensorboard=False)
    """
    if jobs is not None and jobs < 0:
        raise ArgumentError(explain("execute", "jobs of at least 0", str(jobs)))
    if tensorboard:
        check_tensorboard()
    if cluster is None:
        number = default_jobs(device) if jobs is None else jobs
        return Processes(number, tensorboard, gpus_for(device)) if number else InProcess(tensorboard)
    if cluster != "local" and not re.fullmatch(r"(tcp|tls|ws|wss|ucx)://\S+:\d+", cluster):
        expected = '"local", or the address of a scheduler such as tcp://host:8786'
        raise ArgumentError(explain("cluster", expected, repr(cluster)))
    if jobs == 0:
        raise ArgumentError(explain("cluster", "jobs of at least 1", "0", "0 means this process, without a cluster"))
    if cluster != "local":
        return Cluster(cluster, jobs, tensorboard)
    return Cluster(None, default_jobs(device) if jobs is None else jobs, tensorboard, gpus_for(device))
