"""The numbers of a comparison as files for other programs: CSV tables and one JSON document."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .comparison import Comparison
from .config import Condition
from .quantities import ACCURACY, QUANTITIES, Quantity
from .runfolder import write_json, write_text
from .tables import Table


def write_numbers(comparison: Comparison, folder: Path, prefix: str = "") -> None:
    """Write what a comparison says into `runs.csv`, `epochs.csv`, `layers.csv`, `pairs.csv` and `comparison.json`.

    Args:
        comparison: what to write.
        folder: where to; made if it is not there.
        prefix: put before the file names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (
        ("runs", run_rows(comparison)),
        ("epochs", _epoch_rows(comparison)),
        ("layers", _layer_rows(comparison)),
        ("pairs", pair_rows(comparison)),
    ):
        write_csv(folder / f"{prefix}{name}.csv", rows)
    document = {
        "config": comparison.config.to_dict(),
        "hyperparameters": comparison.hyperparameters,
        "runs": run_rows(comparison),
        "pairs": pair_rows(comparison),
        "answers": {condition.label: comparison.answers(condition) for condition in comparison.conditions},
        "tuning": [
            {
                "activation": tuning.condition.activation,
                **tuning.condition.settings,
                "order": tuning.order,
                "candidates": tuning.candidates,
                "accuracies": [{str(seed): value for seed, value in found.items()} for found in tuning.accuracies],
                "chosen": tuning.settings,
            }
            for tuning in comparison.tunings
        ],
    }
    write_json(folder / f"{prefix}comparison.json", document)


def run_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """One row per run: condition, order, seed, and every quantity of `quantities.QUANTITIES`.

    With tuning, also its stage and what was tuned; a run of the stage "tuning" was judged on held-out training images.
    """
    rows = []
    records = [("judged", record) for record in comparison.records]
    records += [("tuning", record) for record in comparison.tuning_records]
    for stage, record in records:
        asked = {name: getattr(record.config, name) for name in comparison.config.tune}
        found = {q.key: q.of(record.result) if record.is_done else None for q in QUANTITIES}
        rows.append(
            {
                **_condition(record.condition),
                "order": record.order,
                **({"stage": stage} | asked if asked else {}),
                "seed": record.config.seed,
                "run": record.config.fingerprint,
                "done": record.is_done,
                "diverged": record.result["diverged"] if record.is_done else None,
                **found,
                "seconds": record.result["seconds"] if record.is_done else None,
                "failure": record.failure,
            }
        )
    return rows


def pair_rows(comparison: Comparison, quantities: Sequence[Quantity] = (ACCURACY,)) -> list[dict[str, Any]]:
    """One row per condition, order and quantity: the paired difference from the first order, interval and p."""
    rows = []
    for condition in comparison.conditions:
        for quantity in quantities:
            for pair in comparison.pairs(condition, quantity):
                low, high = pair.interval or (None, None)
                rows.append(
                    {
                        **_condition(condition),
                        "quantity": quantity.key,
                        "first": pair.first,
                        "second": pair.second,
                        "pairs": pair.pairs,
                        "mean_difference": pair.mean_difference if pair.pairs else None,
                        "interval_low": low,
                        "interval_high": high,
                        "p_value": pair.p_value,
                        "p_is_exact": pair.p_is_exact,
                        "called": pair.called,
                    }
                )
    return rows


def table_rows(table: Table) -> list[dict[str, str]]:
    """A table as rows by heading."""
    headings = [heading or "name" for heading in table.heading]
    return [dict(zip(headings, row, strict=True)) for row in (*table.body, *table.summary)]


def write_csv(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as CSV with a heading line; a field that a row lacks, or that is None, stays empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, stream.getvalue())


def _condition(condition: Condition) -> dict[str, Any]:
    return {"activation": condition.activation, **condition.settings}


def _epoch_rows(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {**_condition(record.condition), "order": record.order, "seed": record.config.seed, **line}
        for record in comparison.finished
        for line in record.metrics
    ]


def _layer_rows(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {**_condition(record.condition), "order": record.order, "seed": record.config.seed, "layer": number, **layer}
        for record in comparison.finished
        for number, layer in enumerate(record.result["layers"], start=1)
    ]
