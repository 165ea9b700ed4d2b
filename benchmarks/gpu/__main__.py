"""Find out on a GPU all there is to find out, and write it down; see docs/gpu.md."""

from __future__ import annotations

import argparse
import datetime
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import tinygrad_bn as tg
from tinygrad_bn.backend import unavailable_reason
from tinygrad_bn.files import atomic_writer

from ..environments import ROOT
from ..progress import Progress
from . import benching, testing
from .budget import Budget
from .contestants import GpuFleet, contestants
from .discovering import Discovery
from .discovery.listed import ITEMS
from .plan import Task, run_all
from .record import Record, Records
from .report import as_markdown
from .tables import Measured, conclusions
from .workloads import COMPILED, REPLAYED

RESULTS = ROOT / "benchmarks" / "results"
PARTS = ("discovery", "tests", "bench")
QUICK_MINUTES = 8.0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--only", metavar="PARTS", help=f"of {', '.join(PARTS)}; comma-separated (default: all)")
    parser.add_argument("--minutes", type=float, metavar="N", help="leave out what does not fit, the least important")
    parser.add_argument("--quick", action="store_true", help=f"fewer rounds, and {QUICK_MINUTES:g} minutes at most")
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="takes the results (default: benchmarks/results/gpu)"
    )
    parser.add_argument("--resume", action="store_true", help="leave out what passed in today's results already")
    parser.add_argument("--list", action="store_true", help="list what would be done, in order, and end")
    parser.add_argument(
        "--rehearsal",
        action="store_true",
        help="go through small parts of everything on the CPU; what is measured so says nothing of any GPU",
    )
    return parser


def main() -> int:
    """Find out, and write and print the results."""
    parser = build_parser()
    options = parser.parse_args()
    chosen = PARTS if options.only is None else tuple(part.strip() for part in options.only.split(","))
    unknown = [part for part in chosen if part not in PARTS]
    if unknown:
        parser.error(f"no part is called {unknown[0]!r}; there are {', '.join(PARTS)}")
    if options.minutes is not None and options.minutes <= 0:
        parser.error(f"--minutes must be above 0, got {options.minutes:g}")
    reason = None if options.rehearsal or options.list else unavailable_reason("cuda")
    if reason is not None:
        print(
            f"nothing to be found out without a GPU: {reason}\n(--rehearsal goes through it on the CPU)",
            file=sys.stderr,
        )
        return 1
    budget = Budget(options.minutes or (QUICK_MINUTES if options.quick else None))
    progress = Progress()
    with tempfile.TemporaryDirectory(prefix="tinygrad_bn-gpu-") as folder:
        device = "cpu" if options.rehearsal else "cuda"
        without = (*COMPILED, *REPLAYED) if options.rehearsal else COMPILED[:1] if options.quick else ()
        fleet = GpuFleet(contestants(device, without), Path(folder), progress.line, budget)
        with fleet, Discovery(device, Path(folder), budget) as discovery:
            tasks = _tasks(options, device, budget, fleet, discovery)
            tasks = [task for task in tasks if task.part in chosen]
            if options.list:
                for task in sorted(tasks, key=lambda task: task.priority):
                    print(f"{task.part:<10} {task.name:<40} {task.title}")
                return 0
            return _run(tasks, budget, options, progress)


def _tasks(
    options: argparse.Namespace, device: str, budget: Budget, fleet: GpuFleet, discovery: Discovery
) -> list[Task]:
    benched = benching.rehearsed(fleet) if options.rehearsal else benching.tasks(fleet, options.quick)
    found = [discovery.task(item) for item in ITEMS.values() if not (options.quick and item.priority >= 5)]
    return [*benched, *testing.tasks(device, budget, options.rehearsal), *found]


def _run(tasks: list[Task], budget: Budget, options: argparse.Namespace, progress: Progress) -> int:
    card = "rehearsal on the CPU" if options.rehearsal else tg.cuda.get_device_name()
    folder = options.output or RESULTS / ("scratch/gpu" if options.rehearsal else "gpu")
    run = {"card": card, **_about()}
    stem = f"{run['date']}-{re.sub(r'[^a-z0-9]+', '-', card.lower()).strip('-')}"
    records = Records(folder / f"{stem}.json")

    def keep(record: Record) -> None:
        records.add(record)
        with atomic_writer(folder / f"{stem}.md") as file:
            file.write(as_markdown(records).encode())
        progress.line(f"{record.status.upper():<4} {record.title}: {record.line}")

    if options.resume:
        tasks = [task for task in tasks if not records.passed(task.part, task.name)]
    keep(Record("run", "run", "the run", "pass", " ".join(sys.argv[1:]), data=run))
    try:
        run_all(tasks, budget, keep)
    except KeyboardInterrupt:
        progress.line("interrupted; what was found so far is written down")
    print(f"\n{conclusions(Measured(records))}\n\nwritten to {os.path.relpath(folder / stem)}.md and .json")
    return 0


def _about() -> dict[str, Any]:
    """Return date, machine and state of the code; nothing that names a person or a host."""
    about: dict[str, Any] = {"date": datetime.date.today().isoformat(), "cores": os.cpu_count()}
    try:
        from tinygrad_bn.lab.environment import processor  # which takes more packages than there may be here

        about["processor"] = processor()
    except ImportError as error:
        about["processor"] = f"unknown ({error})"
    try:
        asked = ["git", "describe", "--always", "--dirty"]
        done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
        about["commit"] = done.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        about["commit"] = "unknown"
    about["options"] = " ".join(sys.argv[1:]) or "none"
    return about


if __name__ == "__main__":
    sys.exit(main())
