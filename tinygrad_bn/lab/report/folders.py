"""Pages from folders, whatever the folders hold: what `tinygrad-bn report` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...errors import ArgumentError, explain
from ..comparison import Comparison
from ..contrast import Contrast
from ..experiments.record import FILE as EXPERIMENT_FILE
from ..experiments.record import ExperimentRecord
from ..runfolder import write_text
from .page import REPORT_NAME, build_page, sections_chapter, write_report


def report_folders(folders: Sequence[Path], out: Path | None = None) -> tuple[str, Path, int]:
    """Write the page of one folder, or one page of several comparisons.

    Args:
        folders: at least one. An experiment's folder has a page of its own; its trainings are comparisons too.
        out: the page.

    Returns:
        What the page says as text, where it is, and the number of runs without a result.

    Raises:
        DataError: a folder holds neither a comparison nor an experiment.
        ArgumentError: an experiment among several folders, a folder twice, or `out` is no .html.
    """
    _check_different(folders)
    _check_page(out)
    experiments = [folder for folder in folders if (folder / EXPERIMENT_FILE).is_file()]
    if experiments and (len(folders) > 1 or out is not None):
        remedy = "name the folders of its trainings, which lie in it, or that folder alone without --out"
        raise ArgumentError(explain("report", "comparisons", f"the experiment {experiments[0]}", remedy))
    if experiments:
        record = ExperimentRecord(experiments[0])
        return str(record), record.write_report(), record.unfinished
    comparisons = [Comparison(folder) for folder in folders]
    path = out or (Path(REPORT_NAME) if len(comparisons) > 1 else None)
    written = write_report(*comparisons, path=path)
    unfinished = sum(len(comparison.unfinished) for comparison in comparisons)
    return "\n\n".join(map(str, comparisons)), written, unfinished


def report_contrast(first: Path, second: Path, out: Path | None = None) -> tuple[str, Path, int]:
    """Write the page that holds two comparisons against each other; arguments and result as of `report_folders`."""
    _check_different((first, second))
    _check_page(out)
    comparisons = (Comparison(first), Comparison(second))
    contrast = Contrast(*comparisons)
    section = contrast.section()
    path = out or Path(f"{first.name}-against-{second.name}.html")
    path.parent.mkdir(parents=True, exist_ok=True)
    chapter = sections_chapter([section], path.parent)
    write_text(path, build_page(section.title, section.title, None, [chapter]))
    return str(contrast), path, sum(len(comparison.unfinished) for comparison in comparisons)


def _check_different(folders: Sequence[Path]) -> None:
    places = [folder.resolve() for folder in folders]
    for folder, place in zip(folders, places, strict=True):
        if places.count(place) > 1:
            raise ArgumentError(explain("report", "folders that differ from each other", f"{folder} twice"))


def _check_page(out: Path | None) -> None:
    if out is not None and out.suffix not in (".html", ".htm"):
        raise ArgumentError(explain("report", "a page with a name that ends in .html", str(out)))
