"""Compare speed, memory and accuracy with other frameworks, side by side; see docs/benchmarks.md."""

from __future__ import annotations

import argparse
import fnmatch
import os
import sys
import tempfile
from pathlib import Path

from . import workloads
from .accuracy import measure_accuracy
from .contestants import OURS, chosen_peers, ours_with
from .environments import ROOT, PeerMissingError
from .machine import OtherLoad, describe_machine
from .memory import measure_memory
from .progress import Progress
from .protocol import WorkerError
from .report import Report
from .tables import Outcomes, milliseconds
from .timing import Effort, Fleet, measure
from .workloads import Network, Operation, Workload

DEFAULT_OUTPUT = ROOT / "benchmarks" / "results" / "scratch"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parts = parser.add_argument_group("parts (all of them, when none is named)")
    parts.add_argument("--only", metavar="NAMES", help="time these workloads; comma-separated, with * and ?")
    parts.add_argument("--memory", action="store_true", help="memory of a training step (of the networks of --only)")
    parts.add_argument("--growth", action="store_true", help="how the time grows with batch, depth, width and side")
    parts.add_argument("--accuracy", action="store_true", help="errors of float32 convolutions against float64")
    parser.add_argument("--peers", metavar="NAMES", help="compare with these, comma-separated (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, fewer workloads: a few minutes")
    parser.add_argument("--rounds", type=int, metavar="N", help="turns of each contestant (default 15; quick 5)")
    parser.add_argument(
        "--threads", type=int, metavar="N", default=_cores(), help="threads of each contestant (default: the cores)"
    )
    parser.add_argument("--coretype", metavar="NAME", help="measure ours a second time with OPENBLAS_CORETYPE=NAME")
    parser.add_argument("--output", type=Path, metavar="FOLDER", default=DEFAULT_OUTPUT, help="takes the results")
    parser.add_argument("--list", action="store_true", help="list the workloads and end")
    return parser


def main() -> int:
    """Measure, and write and print the results."""
    parser = build_parser()
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{workload.name:<45} {workload.title}" for workload in workloads.TIMED))
        return 0
    for name in ("rounds", "threads"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(options, name)}")
    chosen = _chosen(options)
    if not chosen and options.only:
        parser.error(f"no workload is called {options.only!r}; --list names them")
    try:
        peers = chosen_peers(options.peers)
    except ValueError as error:
        parser.error(str(error))
    contestants = [OURS, *([ours_with(options.coretype)] if options.coretype else []), *peers]
    report = Report(describe_machine(options.threads), [contestant.name for contestant in contestants])
    progress, others = Progress(), OtherLoad()
    with tempfile.TemporaryDirectory(prefix="tinygrad_bn-bench-") as folder:
        fleet = Fleet(contestants, options.threads, Path(folder), progress.line)
        report.about, report.missing = fleet.about, fleet.missing
        try:
            with fleet:
                fleet.worker(OURS)  # without which there is nothing to compare
                _measure(report, fleet, progress, options, chosen)
        except PeerMissingError as error:
            print(error, file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            progress.line("interrupted; what was measured so far follows")
        finally:  # half an hour's figures are worth keeping, whatever happened to the rest
            report.machine["share of a core that a waiting worker uses"] = fleet.idle_share()
            report.machine["cores that other processes used"] = others.cores(progress.elapsed())
            report.write(options.output)
    print(f"\n{report.as_markdown()}\nwritten to {os.path.relpath(options.output)}")
    return 0


def _measure(
    report: Report, fleet: Fleet, progress: Progress, options: argparse.Namespace, chosen: list[Workload]
) -> None:
    everything = not (options.only or options.memory or options.growth or options.accuracy)
    for workload in chosen if everything or options.only else []:
        progress.status(workload.title)
        outcomes = measure(fleet, workload, _effort(workload, options))
        report.timed.append((workload, outcomes))
        progress.line(_summary(workload.title, outcomes))
    if everything or options.memory:
        for network in _memory_networks(options, chosen):
            progress.status(f"memory of {network.title}")
            report.memory[network.title] = measure_memory(fleet, network)
            peaks = (f"{name} {peak / 1e6:.0f} MB" for name, peak in report.memory[network.title].items())
            progress.line(f"{network.title:<32} " + "  ".join(peaks))
    if everything or options.growth:
        _measure_growth(report, fleet, progress, options)
    if everything or options.accuracy:
        for operation in workloads.convolution_shapes():
            progress.status(f"accuracy of {operation.title}")
            try:
                report.accuracy[operation.title] = measure_accuracy(fleet, operation)
            except (WorkerError, PeerMissingError) as error:
                progress.line(f"accuracy of {operation.title}: {error}")
        progress.line(f"accuracy of {len(report.accuracy)} convolutions")


def _measure_growth(report: Report, fleet: Fleet, progress: Progress, options: argparse.Namespace) -> None:
    for what, values in (workloads.GROWTH_QUICK if options.quick else workloads.GROWTH).items():
        curves = report.growth.setdefault(what, {})
        for value in values:
            network = workloads.growing(what, value)
            progress.status(f"growth: {network.title}")
            curves[value] = measure(fleet, network, _effort(network, options))
            progress.line(_summary(f"growth: {network.title}", curves[value]))


def _chosen(options: argparse.Namespace) -> list[Workload]:
    if options.only:
        patterns = [pattern.strip() for pattern in options.only.split(",")]
        return [w for w in workloads.TIMED if any(fnmatch.fnmatchcase(w.name, pattern) for pattern in patterns)]
    if options.quick:
        return [w for w in workloads.TIMED if not isinstance(w, Operation) or w.name in workloads.QUICK_OPERATIONS]
    return list(workloads.TIMED)


def _memory_networks(options: argparse.Namespace, chosen: list[Workload]) -> list[Network]:
    networks = [w for w in chosen if isinstance(w, Network) and w.mode == "train"]
    if options.quick and not options.only:
        return [network for network in networks if network.name in workloads.QUICK_MEMORY]
    return networks


def _effort(workload: Workload, options: argparse.Namespace) -> Effort:
    growing = workload.name.startswith("growth-")
    small = growing or not isinstance(workload, Network)
    if options.quick:
        return Effort(options.rounds or (2 if growing else 5), 0.05 if small else 0.1)
    return Effort(options.rounds or (5 if growing else 15), 0.05 if small else 0.25)


def _summary(title: str, outcomes: Outcomes) -> str:
    times = (f"{name} {milliseconds(outcome)}" for name, outcome in outcomes.items())
    return f"{title:<32} " + "  ".join(times) + " ms"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
