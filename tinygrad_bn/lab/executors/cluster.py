"""The workers of a Dask cluster: one of this machine's own, or an existing one behind a scheduler's address.

Runs are handed out one by one: a worker has one run at a time, whatever number of threads it offers, and the next one
when that has ended. When a worker is gone, its run goes on from its last whole epoch on another one. What a run has
to say it writes to its folder, which workers and we must therefore all see.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...backend import set_num_threads
from ...errors import ArgumentError, DataError, StateError, explain, missing_dependency
from ..config import RunConfig
from ..environment import package_version
from ..runfolder import RunFolder
from .base import (
    POLL_SECONDS,
    RETRIES,
    THREAD_VARIABLES,
    OnEnd,
    OnNote,
    OnPoll,
    Waiting,
    attempt,
    unheard,
    write_failure,
)
from .gpus import least_used, visible
from .processes import interrupts_blocked, interrupts_noted

CONNECT_SECONDS = 10
#: How often it is said that there is no worker.
REMIND_SECONDS = 30.0
#: How long a shared file system may take to show us what a worker has written.
VISIBLE_SECONDS = 30.0


@dataclass(frozen=True)
class Cluster:
    """Trains the runs on a Dask cluster; see `Executor`.

    Attributes:
        address: of a scheduler that is there already; None starts a cluster of separate processes on this machine.
        jobs: how many runs at a time; None, one on each worker of an existing cluster.
        tensorboard: also write event files for TensorBoard.
        gpus: of this machine, that the workers of a cluster here are shared among, see `gpus_for`. The workers of
            an existing one use what they were started with.

    Raises:
        MissingDependencyError: the package distributed is not installed.
    """

    address: str | None = None
    jobs: int | None = None
    tensorboard: bool = False
    gpus: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _distributed()

    def run(
        self, root: Path, configs: Sequence[RunConfig], on_poll: OnPoll, on_end: OnEnd, on_note: OnNote = unheard
    ) -> None:
        """Train the runs.

        Raises:
            ArgumentError: no scheduler answers at the address.
            DataError: a worker does not see the folder.
            StateError: a worker has another version than we have, or the scheduler is gone.
        """
        if not configs:
            return
        root = root.resolve()
        root.mkdir(parents=True, exist_ok=True)
        with interrupts_noted() as interrupts, self._client() as client, _token(root) as token:
            on_note(_welcome(client))
            sweep = _Sweep(client, root, token, self, Waiting(root, configs), on_end, on_note)
            try:
                while sweep.goes_on():
                    on_poll([task.config for task in sweep.running.values()])
                    time.sleep(POLL_SECONDS)
                    if interrupts:
                        raise KeyboardInterrupt
            finally:
                sweep.abandon()

    @contextlib.contextmanager
    def _client(self) -> Iterator[Any]:
        distributed = _distributed()
        with contextlib.ExitStack() as stack:
            if self.address is None:
                place: Any = stack.enter_context(_local_cluster(self.jobs or 1))
            else:
                place = self.address
            secured = distributed.Security().get_connection_args("client")["ssl_context"] is not None
            if (self.address or "").startswith("tls://") and not secured:
                remedy = "name certificates there: distributed.comm.tls"
                raise ArgumentError(explain("cluster", "keys for tls:// in Dask's configuration", "none", remedy))
            try:
                client = distributed.Client(place, timeout=CONNECT_SECONDS, set_as_default=False)
            except (OSError, ValueError) as error:  # TimeoutError is an OSError; ValueError: no such kind of address
                remedy = "start one with: dask scheduler"
                got = f"no answer within {CONNECT_SECONDS} s ({error})"
                raise ArgumentError(explain("cluster", f"a Dask scheduler at {place}", got, remedy)) from error
            with client:
                yield client


@dataclass
class _Task:
    """A run that a worker has."""

    config: RunConfig
    future: Any


@dataclass
class _Sweep:
    """The runs on their way through the cluster."""

    client: Any
    root: Path
    token: str
    how: Cluster
    waiting: Waiting
    on_end: OnEnd
    on_note: OnNote
    running: dict[str, _Task] = field(default_factory=dict)  # by the worker's address
    known: dict[str, bool] = field(default_factory=dict)  # workers, and whether they can be used
    gpu_of: dict[str, str | None] = field(default_factory=dict)  # of the workers that are there
    lonely_since: float | None = None

    def goes_on(self) -> bool:
        """Collect what has ended, hand out what is left, and return whether there is anything left."""
        try:
            there = list(self.client.nthreads())
        except OSError as error:
            got = f"no answer ({error})"
            remedy = "every run is kept up to its last whole epoch: the same command goes on"
            raise StateError(explain("cluster", "a scheduler that stays", got, remedy)) from error
        for worker, task in list(self.running.items()):
            if worker not in there or task.future.done():
                del self.running[worker]
                self._collect(worker, task, is_there=worker in there)
        self.gpu_of = {worker: gpu for worker, gpu in self.gpu_of.items() if worker in there}
        self._introduce([worker for worker in there if worker not in self.known])
        usable = [worker for worker in there if self.known.get(worker)]
        self._complain_if_lonely(usable)
        for worker in usable:
            if worker not in self.running and len(self.running) < (self.how.jobs or len(usable)):
                self._hand_out(worker)
        return bool(self.waiting or self.running)

    def abandon(self) -> None:
        """Let go of what is under way; the runs end at their next whole epoch."""
        if self.client.status == "running":
            self.client.cancel([task.future for task in self.running.values()], force=True)

    def _hand_out(self, worker: str) -> None:
        """Give a worker the next run that is not done yet."""
        while self.waiting:
            config = self.waiting.take()
            if RunFolder(self.root, config).is_done:  # by another comparison in the same folder
                self.on_end(config)
                continue
            future = self.client.submit(
                _work,
                str(self.root),
                config,
                self.how.tensorboard,
                key=f"run-{config.fingerprint}-{secrets.token_hex(4)}",
                workers=[worker],
                pure=False,
            )
            self.running[worker] = _Task(config, future)
            return

    def _collect(self, worker: str, task: _Task, is_there: bool) -> None:
        """See what has become of a run whose worker is done with it, or gone."""
        folder = RunFolder(self.root, task.config)
        status = task.future.status
        if status == "finished":
            _wait_until_visible(folder)
            self.on_end(task.config)
            return
        if status == "error" and is_there and not _is_loss(task.future.exception()):
            error = task.future.exception()
            write_failure(folder, type(error).__name__, f"on worker {worker}: {error}")
            self.on_end(task.config)
            return
        task.future.cancel(force=True)
        if folder.is_done:
            self.on_end(task.config)
        elif self.waiting.try_again(task.config):
            self.on_note(f"{task.config.label}: worker {worker} is gone; the run goes on elsewhere")
        else:
            cause = f"its worker was lost {RETRIES + 1} times, the last one at {worker}; is there enough memory?"
            write_failure(folder, "WorkerLost", cause)
            self.on_end(task.config)

    def _introduce(self, workers: Sequence[str]) -> None:
        """Find out whether new workers can be used. Of those there at the beginning, each has to be."""
        if not workers:
            return
        at_the_beginning = not self.known
        for worker in workers:
            self.gpu_of[worker] = least_used(self.how.gpus, self.gpu_of.values())
        arguments = (str(self.root), self.token, {worker: self.gpu_of[worker] for worker in workers})
        found = self.client.run(_introduction, *arguments, workers=list(workers), on_error="return")
        for worker in workers:
            objection = _objection(worker, found.get(worker), self.root)
            self.known[worker] = objection is None
            if objection is not None and at_the_beginning:
                raise objection
            if objection is not None:
                self.on_note(f"a new worker is not used: {objection}")

    def _complain_if_lonely(self, usable: Sequence[str]) -> None:
        now = time.monotonic()
        if usable:
            self.lonely_since = None
        elif self.lonely_since is None:
            self.lonely_since = now
        elif now - self.lonely_since > REMIND_SECONDS:
            self.lonely_since = now
            runs = len(self.waiting)
            scheduler = self.client.scheduler_info()["address"]
            self.on_note(f"no worker: {runs} runs wait for one to come to {scheduler} (Ctrl-C ends the waiting)")


class Abandoned(BaseException):
    """Nobody waits for this run any longer: its client was interrupted, or is gone."""


_one_at_a_time = threading.Lock()


def _work(root: str, config: RunConfig, tensorboard: bool) -> bool:
    """Train one run on a worker."""
    _use_one_thread()
    worker = _distributed().get_worker()
    key = worker.get_current_task()

    def check() -> None:
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":
            raise Abandoned(key)

    with _one_at_a_time:  # a worker may have several threads, and other clients
        check()
        return attempt(Path(root), config, tensorboard, check)


def _introduction(root: str, token: str, gpu_of: Mapping[str, str | None], dask_worker: Any) -> dict[str, Any]:
    """What a worker, which Dask names here, says about itself before it is given a run; it is told its GPU."""
    _use_one_thread()
    os.environ.update(visible(gpu_of[dask_worker.address]))  # CUDA reads it when the first run begins
    _safetensors_is_there()
    return {"version": package_version("tinygrad_bn"), "sees": Path(root, token).is_file()}


def _use_one_thread() -> None:
    """Compute with one thread, as processes do, unless whoever started the worker has chosen another number."""
    if not os.environ.get(THREAD_VARIABLES[0]):
        set_num_threads(1)


def _safetensors_is_there() -> None:
    if importlib.util.find_spec("safetensors") is None:
        raise missing_dependency("cluster", "safetensors", "lab")


def _objection(worker: str, found: Any, root: Path) -> Exception | None:
    """Why a worker cannot be used, or None when it can."""
    ours = package_version("tinygrad_bn")
    if not isinstance(found, dict):
        expected = f"tinygrad_bn {ours} on worker {worker}"
        got = "the worker is gone" if found is None else f"{type(found).__name__}: {found}"
        remedy = f"install there: pip install 'tinygrad_bn[lab,fast,dask]=={ours}'"
        return StateError(explain("cluster", expected, got, remedy))
    if found["version"] != ours:
        expected = f"tinygrad_bn {ours} on worker {worker}, as here"
        return StateError(explain("cluster", expected, found["version"], "install the same version everywhere"))
    if not found["sees"]:
        expected = f"worker {worker} to see the folder {root}"
        remedy = "give a folder on a file system that all machines share, under the same path: --out FOLDER"
        return DataError(explain("cluster", expected, "not there", remedy))
    return None


def _is_loss(error: BaseException | None) -> bool:
    """Whether a run ended because of its worker, not because of itself."""
    return type(error).__name__ in ("KilledWorker", "Abandoned")


def _wait_until_visible(folder: RunFolder) -> None:
    deadline = time.monotonic() + VISIBLE_SECONDS
    while not folder.is_done and folder.error() is None and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def _token(root: Path) -> Iterator[str]:
    """A file in the folder that can only be found by who sees this very folder."""
    name = f".seen-{secrets.token_hex(8)}"
    (root / name).touch()
    try:
        yield name
    finally:
        (root / name).unlink(missing_ok=True)


@contextlib.contextmanager
def _local_cluster(workers: int) -> Iterator[Any]:
    """Processes of this machine, each with one thread; those that die are replaced."""
    dask, distributed = _dask(), _distributed()
    # Read as a worker is started, also as the successor of a dead one: before NumPy is there.
    environment = dict.fromkeys(THREAD_VARIABLES, "1")
    with dask.config.set({"distributed.nanny.pre-spawn-environ": environment}):
        with interrupts_blocked():
            cluster = distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                memory_limit=0,
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )
        with cluster:
            yield cluster


def _welcome(client: Any) -> str:
    """Where the cluster can be watched."""
    number = len(client.nthreads())
    workers = f"{number} worker" if number == 1 else f"{number} workers"
    return f"Dask cluster with {workers}; dashboard: {client.dashboard_link}"


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise missing_dependency("cluster", "distributed", "dask") from error
    return distributed


def _dask() -> Any:
    try:
        import dask
    except ImportError as error:
        raise missing_dependency("cluster", "distributed", "dask") from error
    return dask
