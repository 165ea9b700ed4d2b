"""The benchmark's command line: `python -m benchmarks`, or `make bench ARGS="..."`."""

from __future__ import annotations

import argparse
import fnmatch
import os
import tempfile
import time
from pathlib import Path

from . import workloads
from .contestants import OURS, chosen_peers, ours_with
from .tables import ratios, ratios_table, times_table
from .timing import Effort, Fleet, Outcome, measure

EPILOG = "Workloads are told in docs/benchmarks.md; `--list` names them."


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__, epilog=EPILOG)
    parser.add_argument("--only", metavar="NAMES", help="workloads to time, comma-separated, with * and ?")
    parser.add_argument("--peers", metavar="NAMES", help="peers to compare with, comma-separated (default all)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and workloads")
    parser.add_argument("--rounds", type=int, help="turns of each contestant")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of each (default: the cores)")
    parser.add_argument("--coretype", metavar="NAME", help="measure ours also with OPENBLAS_CORETYPE set to this")
    parser.add_argument("--list", action="store_true", help="list the workloads and end")
    return parser


def main() -> None:
    """Measure and report."""
    parser = build_parser()
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{workload.name:<40} {workload.title}" for workload in workloads.TIMED))
        return
    patterns = (options.only or "*").split(",")
    chosen = [w for w in workloads.TIMED if any(fnmatch.fnmatch(w.name, pattern.strip()) for pattern in patterns)]
    contestants = [OURS, *([ours_with(options.coretype)] if options.coretype else []), *chosen_peers(options.peers)]
    rounds = options.rounds or (7 if options.quick else 15)
    measured: dict[str, dict[str, Outcome]] = {}
    found = {}
    start = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="tinygrad_bn-bench-") as folder,
        Fleet(contestants, options.threads, Path(folder), print) as fleet,
    ):
        for workload in chosen:
            outcomes = measure(fleet, workload, Effort(rounds=rounds))
            measured[workload.title] = outcomes
            found[workload.title] = ratios(outcomes, getattr(workload, "bars", {}))
            print(f"[{time.monotonic() - start:5.0f} s] {workload.title}", flush=True)
            for name, outcome in outcomes.items():
                print(f"    {name:<20} {outcome.failure or ''} {outcome.median} {outcome.deviation}")
        print(fleet.missing, fleet.idle)
    print(times_table(measured, [c.name for c in contestants]))
    print()
    print(ratios_table(found))


if __name__ == "__main__":
    main()
