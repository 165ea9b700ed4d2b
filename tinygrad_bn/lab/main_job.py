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
from .executor import default_jobs, execute
from .graphs import draw_graphs
from .progress import Progress, Silent
from .report import write_report
from .runfolder import RunFolder, write_json
from .training import build_model

MakeProgress = Callable[[int, int], Progress]


def compare(
    config: CompareConfig | None = None,
    *,
    out: Path | str | None = None,
    jobs: int | None = None,
    progress: MakeProgress | None = None,
) -> Comparison:
    """Train all runs of a comparison that are not done yet, then draw the graphs and write the page.

    Called from a script, it must stand under `if __name__ == "__main__":`, since runs are processes of their own.

    Args:
        config: what to compare; the default is the question of the README.
        out: the folder for everything; `runs/compare-<fingerprint>` by default. Finished runs in it are kept.
        jobs: processes at a time; by default one per core (one on a GPU). 0 trains in this process.
        progress: makes the object that tells how far it is, from the number of all runs and of those done.

    Returns:
        The comparison; `comparison.unfinished` holds the runs that failed, with their causes.

    Raises:
        ArgumentError, DataError, DeviceError, MissingDependencyError: before anything is trained or written.
    """
    config = config or CompareConfig()
    jobs = default_jobs(config.device) if jobs is None else jobs
    _check_before_any_harm(config, jobs)
    root = Path(out) if out is not None else Path("runs") / f"compare-{config.fingerprint}"
    if root.exists() and not root.is_dir():
        raise ArgumentError(explain("compare", "out to be a folder", f"the file {root}"))
    root.mkdir(parents=True, exist_ok=True)
    write_json(root / "config.json", config.to_dict())
    comparison = Comparison(root)
    draw_graphs(comparison)

    runs = config.runs()
    waiting = [run for run in runs if not RunFolder(root, run).is_done]
    with (progress or _silent)(len(runs), len(runs) - len(waiting)) as told:

        def poll(running: Sequence[RunConfig]) -> None:
            told.running([RunFolder(root, run) for run in running])

        def ended(run: RunConfig) -> None:
            told.ended(RunFolder(root, run))

        execute(root, waiting, jobs, poll, ended)

    write_report(comparison)
    return comparison


def _check_before_any_harm(config: CompareConfig, jobs: int) -> None:
    if jobs < 0:
        raise ArgumentError(explain("compare", "jobs of at least 0", str(jobs)))
    get_device(config.device)
    for package in ("scipy", "matplotlib"):
        if importlib.util.find_spec(package) is None:
            raise missing_dependency("compare", package, "lab")
    # Fetches a set that is not there yet, once and not in every process; and shows that the network fits it.
    training_set = data.load(config.dataset, "train")
    if len(training_set) < config.batch_size:
        expected = f"batch_size of at most {len(training_set)}, the images of {config.dataset}"
        raise ArgumentError(explain("compare", expected, str(config.batch_size)))
    first_seed = config.seeds[0]
    for run in config.runs():
        if run.seed == first_seed:
            build_model(run, training_set)


def _silent(total: int, done: int) -> Progress:
    return Silent()
