"""A comparison as it lies on disk: its config, its runs, and what the pairs say. Everything is read from the folder."""

from __future__ import annotations

import functools
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .config import CompareConfig, RunConfig
from .runfolder import RunFolder
from .statistics import PairedComparison, compare_pairs, plural, sentence
from .tables import Table, comparison_table

#: Sentences are broken into lines of this many characters when a comparison is printed.
TEXT_WIDTH = 100


@dataclass(frozen=True)
class RunRecord:
    """One run: what was asked, and what its folder says about it."""

    config: RunConfig
    folder: RunFolder

    @property
    def is_done(self) -> bool:
        """Whether there is a result."""
        return self.folder.is_done

    @functools.cached_property
    def result(self) -> dict[str, Any]:
        """Final accuracy (percent) and loss, per-layer mechanism, time; see `training.train`."""
        return self.folder.result()

    @functools.cached_property
    def metrics(self) -> list[dict[str, float]]:
        """One entry per epoch."""
        return self.folder.metrics()

    @functools.cached_property
    def environment(self) -> dict[str, Any]:
        """Versions and machine."""
        return self.folder.environment()

    @functools.cached_property
    def probes(self) -> dict[str, np.ndarray[Any, Any]]:
        """Histograms and moments by layer; see `probes.ModelProbe.arrays`."""
        return self.folder.probes()

    @property
    def failure(self) -> str:
        """Why there is no result, in one sentence; "" when there is one."""
        if self.is_done:
            return ""
        error = self.folder.error()
        return f"{error['type']}: {error['message']}" if error else "not trained yet"


class Comparison:
    """The records of a comparison and what they say.

    Args:
        root: the folder that `compare` wrote.

    Raises:
        DataError: there is no readable `config.json` in the folder.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self.config = CompareConfig.load(self.root / "config.json")
        self.records = [RunRecord(config, RunFolder(self.root, config)) for config in self.config.runs()]

    @property
    def finished(self) -> list[RunRecord]:
        """The runs that have a result."""
        return [record for record in self.records if record.is_done]

    @property
    def unfinished(self) -> list[RunRecord]:
        """The runs that failed or were never trained."""
        return [record for record in self.records if not record.is_done]

    def of(self, activation: str, order: str) -> list[RunRecord]:
        """The finished runs of one activation and order, by seed."""
        return [
            record
            for record in self.finished
            if record.config.activation == activation and record.config.order == order
        ]

    def accuracies(self, activation: str, order: str) -> dict[int, float]:
        """Final test accuracy in percent by seed."""
        return {record.config.seed: record.result["test_accuracy"] for record in self.of(activation, order)}

    def pairs(self, activation: str) -> list[PairedComparison]:
        """Every other order against the first."""
        first, *others = self.config.orders
        values = {order: self.accuracies(activation, order) for order in self.config.orders}
        return [compare_pairs(first, other, values[first], values[other]) for other in others]

    def table(self, activation: str) -> Table:
        """Accuracies by seed, paired differences, intervals and p values, ready to print or to put on a page."""
        values = {order: self.accuracies(activation, order) for order in self.config.orders}
        return comparison_table(values, self.pairs(activation))

    def graph_path(self, activation: str, order: str) -> Path:
        """Where the network's graph lies, if it was drawn."""
        return self.root / "graphs" / f"{activation}-{order}.svg"

    def answers(self, activation: str) -> list[str]:
        """One sentence per order that is held against the first."""
        return [sentence(pair, activation) for pair in self.pairs(activation)]

    def __str__(self) -> str:
        """Tables and sentences of all activations, and what failed."""
        parts = []
        for activation in self.config.activations:
            heading = f"{activation}: test accuracy (%) and paired differences (percentage points)"
            sentences = (textwrap.fill(answer, TEXT_WIDTH) for answer in self.answers(activation))
            lines = [heading, "", str(self.table(activation)), "", *sentences]
            parts.append("\n".join(lines))
        if self.unfinished:
            lines = [f"  {record.config.label}: {record.failure}" for record in self.unfinished]
            parts.append("\n".join([f"{plural(len(lines), 'run')} without a result:", *lines]))
        return "\n\n".join(parts)
