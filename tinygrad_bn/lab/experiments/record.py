"""An experiment as it lies on disk, run or read, and its page."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...backend import default_generator
from ...errors import ArgumentError, DataError, explain, unknown_choice
from ..comparison import Comparison
from ..config import CompareConfig
from ..document import CaptionedTable, Finding, Section
from ..main_job import MakeProgress, check_before_any_harm, train_all
from ..report.markup import element, join
from ..report.page import REPORT_NAME, Chapter, build_page, comparison_chapter, sections_chapter
from ..runfolder import read_json, write_json, write_text
from .experiment import SIZES, Experiment, Measurement, Training
from .registry import get_experiment

FILE = "experiment.json"


class ExperimentRecord:
    """A run of an experiment, finished or not.

    Args:
        root: its folder.

    Attributes:
        experiment: what it is.
        size: one of `SIZES`.
        overrides: settings of the trainings that were asked for instead of the experiment's own.

    Raises:
        DataError: the folder holds no experiment.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        saved = read_json(self.root / FILE)
        if not {"name", "size", "overrides"} <= set(saved):
            raise DataError(explain("experiment", f"name, size and overrides in {self.root / FILE}", str(list(saved))))
        self.experiment = get_experiment(saved["name"])
        self.size: str = saved["size"]
        self.overrides: dict[str, Any] = saved["overrides"]

    @property
    def parts(self) -> list[Measurement | Training]:
        """Measurements and trainings, with the overrides applied."""
        return parts_of(self.experiment, self.size, self.overrides)

    def comparison(self, part: str) -> Comparison:
        """A training by its name.

        Raises:
            DataError: it was not begun.
        """
        return Comparison(self.root / part)

    def numbers(self, measurement: Measurement) -> dict[str, Any]:
        """What a measurement has found.

        Raises:
            DataError: it was not made.
        """
        return read_json(self.path_of(measurement))

    def path_of(self, measurement: Measurement) -> Path:
        """Where a measurement's numbers lie."""
        return self.root / "measurements" / f"{measurement.name}-{measurement.fingerprint}.json"

    def sections(self, part: Measurement | Training) -> Sequence[Section]:
        """What is shown about a part beside what every comparison shows."""
        if isinstance(part, Measurement):
            return part.present(self.numbers(part))
        return part.present(self.comparison(part.name))

    @property
    def unfinished(self) -> int:
        """The number of runs without a result."""
        return sum(len(self.comparison(part.name).unfinished) for part in self.parts if isinstance(part, Training))

    def write_report(self) -> Path:
        """Write the page, and figures and numbers as files beside it; returns the page's path."""
        chapters = [self._chapter(number, part) for number, part in enumerate(self.parts, start=1)]
        lead = join(*(element("p", text, class_="lead") for text in self.experiment.introduction))
        path = self.root / REPORT_NAME
        title = f"{self.experiment.name}: {self.experiment.title}"
        write_text(path, build_page(title, self.experiment.title, lead, chapters))
        return path

    def __str__(self) -> str:
        parts = [f"{self.experiment.name} ({self.size}): {self.experiment.title}"]
        for part in self.parts:
            shown = [p for s in self.sections(part) for p in s.parts if isinstance(p, Finding | CaptionedTable)]
            parts += [f"-- {part.title} --", *map(str, shown)]
            if isinstance(part, Training):
                parts.append(str(self.comparison(part.name)))
        return "\n\n".join(parts)

    def _chapter(self, number: int, part: Measurement | Training) -> Chapter:
        key = f"{number}-{part.name}-"
        sections = self.sections(part)
        if isinstance(part, Measurement):
            return sections_chapter(sections, self.root, key=key, title=part.title)
        comparison = self.comparison(part.name)
        return comparison_chapter(comparison, self.root, key=key, title=part.title, sections=sections)


def run_experiment(
    name: str,
    size: str = "small",
    *,
    overrides: Mapping[str, Any] | None = None,
    out: Path | str | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
    tensorboard: bool = False,
    progress: MakeProgress | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> ExperimentRecord:
    """Make all measurements and trainings of an experiment that are not done yet, and write its page.

    Args:
        name: of the experiment.
        size: "small" (minutes on two cores) or "paper" (the paper's, for a GPU).
        overrides: fields of `CompareConfig` for all its trainings, such as {"seeds": (0, 1, 2)}.
        out: its folder; `runs/<name>-<size>` by default, with a suffix for overrides.
        jobs, cluster, tensorboard, progress: as of `compare`.
        say: told in a line what is done next.

    Raises:
        ArgumentError: an unknown name or size, or an override does not fit; before anything is done.
    """
    experiment = get_experiment(name)
    overrides = dict(overrides or {})
    parts = parts_of(experiment, size, overrides)
    for part in parts:
        if isinstance(part, Training):
            check_before_any_harm(part.config)
    root = Path(out) if out is not None else Path("runs") / _folder_name(experiment, size, parts, overrides)
    if root.exists() and not root.is_dir():
        raise ArgumentError(explain("experiment", "out to be a folder", f"the file {root}"))
    if (root / FILE).is_file() and read_json(root / FILE).get("name") != name:
        raise ArgumentError(explain("experiment", f"a folder of {name}, or a new one", f"another experiment in {root}"))
    root.mkdir(parents=True, exist_ok=True)
    saved = {name: list(value) if isinstance(value, tuple) else value for name, value in overrides.items()}
    write_json(root / FILE, {"name": name, "size": size, "overrides": saved})
    record = ExperimentRecord(root)
    for part in parts:
        if isinstance(part, Training):
            say(f"training: {part.title}")
            train_all(
                part.config, root / part.name, jobs=jobs, cluster=cluster, tensorboard=tensorboard, progress=progress
            )
        elif not record.path_of(part).is_file():
            say(f"measuring: {part.title}")
            _measure(record, part)
    record.write_report()
    return record


def parts_of(experiment: Experiment, size: str, overrides: Mapping[str, Any]) -> list[Measurement | Training]:
    """The parts of an experiment, with other settings for its trainings.

    Raises:
        ArgumentError: an unknown size; or a setting that does not exist, that a training varies or tunes itself, or
            that is out of range.
    """
    if size not in SIZES:
        raise unknown_choice("experiment", "the size", size, SIZES)
    parts: list[Measurement | Training] = []
    for part in experiment.parts(size):
        if isinstance(part, Training):
            part = dataclasses.replace(part, config=_overridden(part.config, overrides))
        parts.append(part)
    return parts


def _overridden(config: CompareConfig, overrides: Mapping[str, Any]) -> CompareConfig:
    fields = [field.name for field in dataclasses.fields(CompareConfig)]
    for name in overrides:
        if name not in fields:
            raise unknown_choice("experiment", "the setting", name, fields)
        if name in config.vary or name in config.tune:
            raise ArgumentError(explain("experiment", f"{name} as the experiment varies it", f"{name} set"))
    return dataclasses.replace(config, **overrides)


def _folder_name(
    experiment: Experiment, size: str, parts: Sequence[Measurement | Training], overrides: Mapping[str, Any]
) -> str:
    if not overrides:
        return f"{experiment.name}-{size}"
    first = next(part.config.fingerprint for part in parts if isinstance(part, Training))
    return f"{experiment.name}-{size}-{first}"


def _measure(record: ExperimentRecord, measurement: Measurement) -> None:
    state = default_generator.get_state()
    try:
        numbers = measurement.measure(**measurement.parameters)
    finally:
        default_generator.set_state(state)
    path = record.path_of(measurement)
    path.parent.mkdir(exist_ok=True)
    write_json(path, numbers)
