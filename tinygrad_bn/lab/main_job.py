"""The main job: train every order with every seed, and put what they say on one page."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

from .. import data
from ..backend import get_device
from ..errors import ArgumentError, explain, missing_dependency
from .comparison import Comparison
from .config import CompareConfig, RunConfig
from .executors import executor_for
from .graphs import draw_graphs
from .progress import Progress, Silent
from .recipes import AUTOCASTS
from .report import write_report
from .runfolder import RunFolder, write_json
from .training import build_model

MakeProgress = Callable[[int, int], Progress]
NEEDED = ("scipy", "matplotlib", "safetensors")


def compare(
    config: CompareConfig | None = None,
    *,
    out: Path | str | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
    tensorboard: bool = False,
    progress: MakeProgress | None = None,
) -> Comparison:
    """Train all runs of a comparison that are not done yet, then draw the graphs and write the page.

    Called from a script, it must stand under `if __name__ == "__main__":`, since runs are processes of their own.

    Args:
        config: what to compare; the default is the question of the README.
        out: the folder for everything; `runs/compare-<fingerprint>` by default. Finished runs in it are kept, and
            runs that were stopped go on from their last epoch.
        jobs: processes at a time; by default one per core (with "cuda" one per GPU). 0 trains in this process.
        cluster: "local" for a Dask cluster on this machine, or the address of a scheduler; None for neither.
        tensorboard: also write event files into the run folders.
        progress: makes the object that tells how far it is, from the number of all runs and of those done.

    Returns:
        The comparison; `comparison.unfinished` holds the runs that failed, with their causes.

    Raises:
        ArgumentError, DataError, DeviceError, MissingDependencyError: before anything is trained or written.
    """
    comparison = train_all(
        config or CompareConfig(), out, jobs=jobs, cluster=cluster, tensorboard=tensorboard, progress=progress
    )
    write_report(comparison)
    return comparison


def train_all(
    config: CompareConfig,
    out: Path | str | None = None,
    *,
    jobs: int | None = None,
    cluster: str | None = None,
    tensorboard: bool = False,
    progress: MakeProgress | None = None,
) -> Comparison:
    """Train all runs that are not done yet and draw the graphs; arguments, result and errors as of `compare`."""
    executor = executor_for(jobs, cluster, device=config.device, tensorboard=tensorboard)
    check_before_any_harm(config)
    root = Path(out) if out is not None else Path("runs") / f"compare-{config.fingerprint}"
    if root.exists() and not root.is_dir():
        raise ArgumentError(explain("compare", "out to be a folder", f"the file {root}"))
    if (root / "experiment.json").exists():
        raise ArgumentError(explain("compare", "a folder of a comparison, or a new one", f"an experiment in {root}"))
    root.mkdir(parents=True, exist_ok=True)
    write_json(root / "config.json", config.to_dict())
    comparison = Comparison(root)
    draw_graphs(comparison)

    judged = len(comparison.conditions) * len(config.orders) * len(config.seeds)
    choosing = [record.config for record in comparison.tuning_records]
    done = sum(record.is_done for record in (*comparison.tuning_records, *comparison.records))
    with (progress or _silent)(len(choosing) + judged, done) as told:

        def poll(running: Sequence[RunConfig]) -> None:
            told.running([RunFolder(root, run) for run in running])

        def ended(run: RunConfig) -> None:
            told.ended(RunFolder(root, run))

        for stage in (choosing, None):
            # What tuning has chosen decides the runs of the second stage, so they are asked for only now.
            runs = [record.config for record in Comparison(root).records] if stage is None else stage
            # Two words may mean the same run under some condition; it is trained once.
            waiting = {run.fingerprint: run for run in runs if not RunFolder(root, run).is_done}
            executor.run(root, list(waiting.values()), poll, ended, told.note)
    return Comparison(root)


def check_before_any_harm(config: CompareConfig) -> None:
    """Raise if anything that the runs need is missing or does not fit: before something is trained or written."""
    get_device(config.device)
    for package in NEEDED:
        if importlib.util.find_spec(package) is None:
            raise missing_dependency("compare", package, "lab")
    seen = set()
    for condition in config.conditions():
        for order in config.orders:
            run = config.run(condition, order, config.seeds[0])
            for candidate in config.candidates() or [{}]:
                AUTOCASTS[candidate.get("autocast", run.autocast)]()  # bfloat16 is a package's
            # Fetches a set that is not there yet, once and not in every process; and shows that the network fits it.
            training_set = data.load(run.dataset, "train")
            held_out = max(run.validation_share, config.tuning_share if config.tune else 0.0)
            images = int(len(training_set) * (1.0 - held_out))
            largest = max(candidate.get("batch_size", run.batch_size) for candidate in config.candidates() or [{}])
            if images < largest:
                expected = f"batch_size of at most {images}, the training images of {run.dataset}"
                raise ArgumentError(explain("compare", expected, str(largest)))
            network = (run.model, run.width, run.depth, run.dataset, run.order, run.activation, run.initialization)
            if network not in seen:
                seen.add(network)
                build_model(run, training_set)


def _silent(total: int, done: int) -> Progress:
    return Silent()
