"""Kill a sweep again and again, at random, until it is done; then hold it against an undisturbed one, bit for bit.

A sweep of tiny runs is started as a program of its own, by processes or by a Dask cluster in turn. After a random time
one of three things is killed with SIGKILL: a worker, the sweep's own process alone, or its whole group. Nothing may be
lost (every run ends with a result, and no attempt starts before an epoch that was left), nothing may be done twice (no
attempt without a kill), and the numbers must be those of a sweep that nobody disturbed.

    python scripts/chaos.py --rounds 3 --seed 7
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_bn.lab.config import RunConfig
from tinygrad_bn.lab.executors import executor_for
from tinygrad_bn.lab.runfolder import RunFolder

RUNS = [
    RunConfig(dataset="synthetic", width=2, epochs=10, batch_size=50, order=order, activation="tanh", seed=seed)
    for seed in range(3)
    for order in ("convention", "swap")
]
JOBS = 2
#: Seconds to a kill: from the middle of a start to some epochs later.
PAUSES = (1.0, 12.0)


def main() -> int:
    """Run the rounds; the exit code is 1 when a sweep did not come to what it should have."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=2, help="sweeps to disturb (default: 2)")
    parser.add_argument("--seed", type=int, default=None, help="of the kills (default: another one each time)")
    parser.add_argument("--sweep", nargs=2, metavar=("FOLDER", "CLUSTER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.sweep is not None:
        folder, cluster = arguments.sweep
        sweep(Path(folder), None if cluster == "none" else cluster)
        return 0
    seed = random.SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    print(f"kills are drawn with --seed {seed}")
    generator = random.Random(seed)
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        sweep(Path(folder, "undisturbed"), None)
        for number in range(1, arguments.rounds + 1):
            root = Path(folder, str(number))
            kills = disturbed_sweep(root, generator)
            problems = problems_of(root, Path(folder, "undisturbed"), kills)
            failures += problems
            print(
                f"round {number}: {kills} kills, {len(RUNS)} runs: {'; '.join(problems) or 'as expected'}", flush=True
            )
    return 1 if failures else 0


def sweep(root: Path, cluster: str | None) -> None:
    """Train the runs."""
    executor_for(JOBS, cluster).run(root, RUNS, lambda running: None, lambda config: None)


def disturbed_sweep(root: Path, generator: random.Random) -> int:
    """Start the sweep and kill, until it ends by itself; return the number of kills."""
    kills = 0
    while True:
        cluster = generator.choice(["none", "local"])
        command = [sys.executable, __file__, "--sweep", str(root), cluster]
        with subprocess.Popen(command, start_new_session=True) as process:
            while process.poll() is None:
                deadline = time.monotonic() + generator.uniform(*PAUSES)
                while process.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.01)
                if process.poll() is None:
                    kills += 1
                    kill_something(process.pid, generator)
            if process.returncode == 0:
                return kills
        wait_for_end_of(process.pid)


def kill_something(leader: int, generator: random.Random) -> None:
    """Kill a worker, the leader of a group of processes, or the whole group."""
    workers = [pid for pid in group(leader) if pid != leader]
    what = generator.choice(["worker", "worker", "leader", "group"])
    if what == "worker" and workers:
        victim = generator.choice(workers)
        if is_alive(victim):
            os.kill(victim, signal.SIGKILL)
    elif what == "group":
        os.killpg(leader, signal.SIGKILL)
    else:
        os.kill(leader, signal.SIGKILL)
    print(f"  killed: {what}", flush=True)


def wait_for_end_of(leader: int) -> None:
    """Wait until nobody of the group is left: workers end by themselves when their leader is gone."""
    deadline = time.monotonic() + 60
    while group(leader):
        if time.monotonic() > deadline:
            raise SystemExit(f"processes that outlive their parent by a minute: {group(leader)}")
        time.sleep(0.05)


def group(leader: int) -> list[int]:
    """The living processes of a group (Linux)."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            if int(fields[2]) == leader and fields[0] != "Z":
                found.append(int(folder.name))
    return found


def is_alive(pid: int) -> bool:
    """Whether there is such a process."""
    return Path(f"/proc/{pid}").exists()


def problems_of(root: Path, undisturbed: Path, kills: int) -> list[str]:
    """What is not as it should be after a disturbed sweep."""
    problems = []
    extra = 0
    for config in RUNS:
        folder, other = RunFolder(root, config), RunFolder(undisturbed, config)
        if not folder.is_done:
            problems.append(f"{config.label}: no result: {folder.error()}")
            continue
        starts = [line["from_epoch"] for line in folder.attempts()]
        extra += len(starts) - 1
        if starts != sorted(starts):
            problems.append(f"{config.label}: an attempt went back: {starts}")
        problems += [f"{config.label}: {name} differs" for name, same in comparisons(folder, other) if not same]
    if extra > JOBS * kills:
        problems.append(f"{extra} attempts more than runs after {kills} kills")
    return problems


def comparisons(folder: RunFolder, other: RunFolder) -> Sequence[tuple[str, bool]]:
    """What is compared, and whether it is the same."""
    ours, theirs = folder.probes(), other.probes()
    checkpoints = [(each.path / "checkpoint.safetensors").read_bytes() for each in (folder, other)]
    return (
        ("result.json", timeless(folder.result()) == timeless(other.result())),
        ("metrics.jsonl", timeless(folder.metrics()) == timeless(other.metrics())),
        ("checkpoint.safetensors", checkpoints[0] == checkpoints[1]),
        ("probes.npz", set(ours) == set(theirs) and all(_equal(ours[name], theirs[name]) for name in ours)),
    )


def timeless(content: Any) -> str:
    """The content as JSON, without the times, which no two runs share."""
    if isinstance(content, list):
        return json.dumps([timeless(part) for part in content])
    return json.dumps({name: value for name, value in content.items() if name != "seconds"})


def _equal(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


if __name__ == "__main__":
    sys.exit(main())
