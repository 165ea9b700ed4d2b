"""All results of a run: as Markdown to read, as JSON to compute with."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tinygrad_bn.files import atomic_writer

from .accuracy import Accuracy, accuracy_table
from .contestants import EAGER
from .growth import Curves, growth_table, plot_growth
from .memory import Peaks, memory_table
from .tables import Outcomes, Ratio, operations_table, ratios, ratios_table, significant, spreads_table, times_table
from .timing import Outcome
from .workloads import Chain, Network, Operation, Workload


@dataclass
class Report:
    """What has been measured so far.

    Args:
        machine: processor, cores, versions, date, settings.
        contestants: names, in the order of the tables' columns.
        about: versions and settings of each contestant that was started.
        missing: the peers that could not be had, and why.
        timed: outcomes by workload.
        memory: peaks in bytes, by network.
        growth: curves by what grows.
        accuracy: relative errors, by convolution.
    """

    machine: dict[str, Any]
    contestants: list[str]
    about: dict[str, dict[str, Any]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    timed: list[tuple[Workload, Outcomes]] = field(default_factory=list)
    memory: dict[str, Peaks] = field(default_factory=dict)
    growth: dict[str, Curves] = field(default_factory=dict)
    accuracy: dict[str, Accuracy] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values; times in seconds, memory in bytes."""
        return {
            "machine": self.machine,
            "contestants": self.about,
            "missing": self.missing,
            "timed": {
                workload.name: {
                    "title": workload.title,
                    "outcomes": {name: _as_json(outcome) for name, outcome in outcomes.items()},
                    "ratios": [asdict(ratio) for ratio in self._ratios(workload, outcomes)],
                }
                for workload, outcomes in self.timed
            },
            "memory": self.memory,
            "growth": {
                what: {value: {name: _as_json(o) for name, o in outcomes.items()} for value, outcomes in curves.items()}
                for what, curves in self.growth.items()
            },
            "accuracy": {title: asdict(found) for title, found in self.accuracy.items()},
        }

    def as_markdown(self) -> str:
        """Return the tables."""
        parts = ["# Benchmark", self._about_table()]
        networks = {w.title: outcomes for w, outcomes in self.timed if isinstance(w, Network)}
        if networks:
            compared = {w.title: self._ratios(w, outcomes) for w, outcomes in self.timed if isinstance(w, Network)}
            parts += ["## Networks: our time over theirs", ratios_table(compared)]
            parts += ["## Networks: medians", times_table(networks, self.contestants)]
            parts += ["## Networks: quartiles", spreads_table(networks, self.contestants)]
        chains = [(w, outcomes) for w, outcomes in self.timed if isinstance(w, Chain)]
        if chains:
            parts += ["## The graph's overhead", *(self._chain_table(w, outcomes) for w, outcomes in chains)]
        single = [(w, outcomes) for w, outcomes in self.timed if not isinstance(w, Network | Chain)]
        if single:
            rows = [(w.title, not (isinstance(w, Operation) and w.backward), outcomes) for w, outcomes in single]
            parts += ["## Single operations", operations_table(rows)]
        if self.memory:
            parts += ["## Memory of a training step", memory_table(self.memory, self.contestants, EAGER)]
        for what, curves in self.growth.items():
            title = f"## How the time grows: {what}"
            picture = f"![time over {what}]({growth_picture(what)})"
            parts += [title, growth_table(what, curves, _present(self.contestants, curves)), picture]
        if self.accuracy:
            parts += ["## Accuracy of float32 convolutions", accuracy_table(self.accuracy, self.contestants)]
        problems = [*self.missing.values(), *self._failures()]
        if problems:
            parts += ["## What could not be measured", "\n".join(f"* {problem}" for problem in problems)]
        return "\n\n".join(parts) + "\n"

    def write(self, folder: Path) -> None:
        """Write results.json, results.md and the plots into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_writer(folder / "results.json") as file:
            file.write((json.dumps(self.as_json(), indent=1) + "\n").encode())
        for what, curves in self.growth.items():
            plot_growth(folder / growth_picture(what), what, curves, _present(self.contestants, curves))
        with atomic_writer(folder / "results.md") as file:
            file.write(self.as_markdown().encode())

    def _ratios(self, workload: Workload, outcomes: Outcomes) -> list[Ratio]:
        return ratios(outcomes, workload.bars if isinstance(workload, Network) else {})

    def _about_table(self) -> str:
        lines = [f"* {name}: {value}" for name, value in self.machine.items()]
        for name, about in self.about.items():
            versions = ", ".join(f"{package} {version}" for package, version in about["versions"].items())
            rest = {key: value for key, value in about.items() if key not in ("versions", "blas")}
            settings = ", ".join(f"{key} {value}" for key, value in rest.items())
            lines.append(f"* {name}: {versions}; {settings}; {', '.join(about['blas']) or 'BLAS unknown'}")
        return "\n".join(lines)

    def _chain_table(self, workload: Chain, outcomes: Outcomes) -> str:
        lines = [f"{workload.title}, thousands of nodes per second through forward and backward:"]
        for name, outcome in outcomes.items():
            if outcome.median is not None:
                lines.append(f"* {name}: {significant(workload.nodes / outcome.median / 1e3)}")
        return "\n".join([lines[0], "", *lines[1:]])

    def _failures(self) -> list[str]:
        failed = [
            f"{workload.title}, {name}: {outcome.failure}"
            for workload, outcomes in self.timed
            for name, outcome in outcomes.items()
            if outcome.failure is not None and name not in self.missing
        ]
        different = [
            f"{workload.title}, {name}: other results than ours "
            f"(by {outcome.deviation:.1%}, more than {outcome.tolerance:.0%})"
            for workload, outcomes in self.timed
            for name, outcome in outcomes.items()
            if outcome.deviation is not None and not outcome.same_work
        ]
        return failed + different


def growth_picture(what: str) -> str:
    """Return the name of a plot's file."""
    return f"growth-{what}.svg"


def _present(contestants: list[str], curves: Curves) -> list[str]:
    return [name for name in contestants if any(name in outcomes for outcomes in curves.values())]


def _as_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "median": outcome.median,
        "quartiles": outcome.quartiles,
        "same_work": outcome.same_work,
        "deviation": outcome.deviation if outcome.deviation != float("inf") else "infinite",
        **{key: value for key, value in asdict(outcome).items() if key != "deviation"},
    }
