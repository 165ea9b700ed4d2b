"""A comparison as it lies on disk: its config, its runs, and what the pairs say. Everything is read from the folder."""

from __future__ import annotations

import functools
import math
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, unknown_choice
from .config import CompareConfig, Condition, RunConfig, shown
from .document import Figure
from .quantities import ACCURACY, Quantity
from .runfolder import RunFolder
from .statistics import PairedComparison, compare_pairs, plural, sentence
from .tables import Table, comparison_table

#: Sentences are broken into lines of this many characters when a comparison is printed.
TEXT_WIDTH = 100


@dataclass(frozen=True)
class RunRecord:
    """One run: what was asked, and what its folder says about it.

    Attributes:
        config: the run.
        folder: where it lies.
        condition: what it is compared under.
        order: the word of the comparison that it stands for; `nwdbn` trains in the order "convention".
    """

    config: RunConfig
    folder: RunFolder
    condition: Condition
    order: str

    @property
    def label(self) -> str:
        """`tanh, learning_rate 0.1 swap seed 3`."""
        return f"{self.condition.label} {self.order} seed {self.config.seed}"

    @property
    def is_done(self) -> bool:
        """Whether there is a result that can be read."""
        return self.folder.is_done and not self.damage

    @functools.cached_property
    def damage(self) -> str:
        """Why the files of a run that is done cannot be used, and what to do; "" when they can."""
        try:
            numbers = [self.result[name] for name in ("test_accuracy", "test_loss", "seconds")]
            if not isinstance(self.environment, dict) or not isinstance(self.result["layers"], list):
                raise TypeError("layers are no list")
            if not all(isinstance(number, int | float | None) for number in numbers):
                raise TypeError("numbers are no numbers")
        except (DataError, KeyError, TypeError) as error:
            return f"damaged ({type(error).__name__}: {error}); delete {self.folder.path} and run the same command"
        return ""

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
        if self.folder.is_done:
            return self.damage
        error = self.folder.error()
        return f"{error['type']}: {error['message']}" if error else "not trained yet"


@dataclass(frozen=True)
class Tuning:
    """What tuning found for one order under one condition.

    Attributes:
        condition, order: for whom it was chosen.
        accuracies: for each candidate, in the order of the grid, the accuracy on held-out images by tuning seed;
            a run without a result is missing there.
        candidates: the settings of each candidate.
        chosen: the number of the candidate with the highest mean accuracy (the first of several), among those with a
            result for every tuning seed; None when there is none such, or while runs are missing.
        is_over: whether every run has ended, with a result or an error.
    """

    condition: Condition
    order: str
    candidates: list[dict[str, Any]]
    accuracies: list[dict[int, float]]
    chosen: int | None
    is_over: bool

    @property
    def settings(self) -> dict[str, Any]:
        """The chosen settings. Empty while nothing is chosen."""
        return {} if self.chosen is None else self.candidates[self.chosen]


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
        self.conditions = self.config.conditions()
        self.orders = self.config.orders

    @functools.cached_property
    def tuning_records(self) -> list[RunRecord]:
        """The runs that choose settings; none when nothing is tuned."""
        return [
            self._record(self.config.tuning_run(condition, order, seed, candidate), condition, order)
            for condition in self.conditions
            for seed in self.config.tuning_seeds
            for candidate in self.config.candidates()
            for order in self.orders
        ]

    @functools.cached_property
    def tunings(self) -> list[Tuning]:
        """What was chosen for each order under each condition; empty when nothing is tuned."""
        if not self.config.tune:
            return []
        return [self._tuning(condition, order) for condition in self.conditions for order in self.orders]

    @functools.cached_property
    def records(self) -> list[RunRecord]:
        """The runs that are compared; while tuning has not chosen yet, those for which it has."""
        chosen = {(tuning.condition.label, tuning.order): tuning for tuning in self.tunings}
        records = []
        for condition in self.conditions:
            for seed in self.config.seeds:
                for order in self.orders:
                    tuning = chosen.get((condition.label, order))
                    if tuning is None or tuning.chosen is not None:
                        settings = tuning.settings if tuning else {}
                        run = self.config.run(condition, order, seed, **settings)
                        records.append(self._record(run, condition, order))
        return records

    @property
    def finished(self) -> list[RunRecord]:
        """The compared runs that have a result."""
        return [record for record in self.records if record.is_done]

    @property
    def unfinished(self) -> list[RunRecord]:
        """The runs, tuning's too, that failed or were never trained."""
        return [record for record in (*self.tuning_records, *self.records) if not record.is_done]

    def condition(self, condition: Condition | str) -> Condition:
        """The condition with this label, such as "tanh"; a condition is returned as it is.

        Raises:
            ArgumentError: there is none; the message lists them.
        """
        if isinstance(condition, Condition):
            return condition
        by_label = {one.label: one for one in self.conditions}
        if condition not in by_label:
            raise unknown_choice("Comparison", "the condition", condition, by_label)
        return by_label[condition]

    def of(self, condition: Condition | str, order: str) -> list[RunRecord]:
        """The finished runs of one order under one condition, by seed."""
        under = self.condition(condition)
        return [record for record in self.finished if record.condition == under and record.order == order]

    def values(self, condition: Condition | str, order: str, quantity: Quantity = ACCURACY) -> dict[int, float]:
        """A quantity of the finished runs by seed; runs that do not have it are left out."""
        found = {record.config.seed: quantity.of(record.result) for record in self.of(condition, order)}
        return {seed: value for seed, value in found.items() if value is not None and math.isfinite(value)}

    def accuracies(self, condition: Condition | str, order: str) -> dict[int, float]:
        """Final test accuracy in percent by seed."""
        return self.values(condition, order)

    def pairs(self, condition: Condition | str, quantity: Quantity = ACCURACY) -> list[PairedComparison]:
        """Every other order against the first."""
        first, *others = self.orders
        values = {order: self.values(condition, order, quantity) for order in self.orders}
        return [compare_pairs(first, other, values[first], values[other]) for other in others]

    def table(self, condition: Condition | str) -> Table:
        """Accuracies by seed, paired differences, intervals and p values, ready to print or to put on a page."""
        values = {order: self.accuracies(condition, order) for order in self.orders}
        return comparison_table(values, self.pairs(condition))

    def graph_path(self, condition: Condition | str, order: str) -> Path:
        """Where the network's graph lies, if it was drawn."""
        return self.root / "graphs" / f"{self.condition(condition).key}-{order}.svg"

    def answers(self, condition: Condition | str) -> list[str]:
        """One sentence per order that is held against the first."""
        under = self.condition(condition)
        return [sentence(pair, under.label) for pair in self.pairs(under)]

    @property
    def hyperparameters(self) -> str:
        """Which of the two fair comparisons this is, in one sentence."""
        if not self.config.tune:
            return "Every order is trained with the same hyperparameters; nothing is tuned per order."
        grids = "; ".join(f"{name} in {{{shown(values)}}}" for name, values in self.config.tune.items())
        return (
            f"Hyperparameters are tuned per order: {grids}, chosen by mean accuracy on {self.config.tuning_share:.0%} "
            f"of the training set held out, over {plural(len(self.config.tuning_seeds), 'seed')} of their own. The "
            "test set had no part in the choice."
        )

    @functools.cached_property
    def _figures(self) -> dict[str, Figure]:
        from .plots import figures_of
        from .training_sections import training_sections

        sections = training_sections(self)
        own = [figure for section in sections for figure in section.figures]
        return {figure.name: figure for figure in (*figures_of(self), *own)}

    @property
    def figures(self) -> list[str]:
        """The names of the figures that the finished runs allow, such as "difference" and "curves-tanh"."""
        return list(self._figures)

    def figure(self, name: str) -> Figure:
        """The figure with this name; it is drawn when a notebook shows it, or by its `draw()`.

        Raises:
            ArgumentError: there is none; the message lists them.
        """
        if name not in self._figures:
            raise unknown_choice("Comparison", "the figure", name, self._figures)
        return self._figures[name]

    def _repr_html_(self) -> str:
        from .report.notebook import comparison_html

        return comparison_html(self)

    def __str__(self) -> str:
        """Tables and sentences of all conditions, and what failed."""
        parts = [textwrap.fill(self.hyperparameters, TEXT_WIDTH)] if self.config.tune else []
        for condition in self.conditions:
            heading = f"{condition.label}: test accuracy (%) and paired differences (percentage points)"
            sentences = (textwrap.fill(answer, TEXT_WIDTH) for answer in self.answers(condition))
            lines = [heading, "", str(self.table(condition)), "", *sentences]
            parts.append("\n".join(lines))
        if self.unfinished:
            lines = [f"  {record.label}: {record.failure}" for record in self.unfinished]
            parts.append("\n".join([f"{plural(len(lines), 'run')} without a result:", *lines]))
        return "\n\n".join(parts)

    def _record(self, run: RunConfig, condition: Condition, order: str) -> RunRecord:
        return RunRecord(run, RunFolder(self.root, run), condition, order)

    def _tuning(self, condition: Condition, order: str) -> Tuning:
        accuracies: list[dict[int, float]] = []
        ended = True
        for candidate in self.config.candidates():
            by_seed = {}
            for seed in self.config.tuning_seeds:
                folder = RunFolder(self.root, self.config.tuning_run(condition, order, seed, candidate))
                if folder.is_done:
                    by_seed[seed] = folder.result()["test_accuracy"]
                elif folder.error() is None:
                    ended = False
            accuracies.append(by_seed)
        whole = [place for place, by_seed in enumerate(accuracies) if len(by_seed) == len(self.config.tuning_seeds)]
        best = max(whole, key=lambda place: math.fsum(accuracies[place].values()), default=None) if ended else None
        return Tuning(condition, order, self.config.candidates(), accuracies, best, ended)
