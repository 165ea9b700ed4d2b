"""The table of every run, which can be sorted and filtered on the page."""

from __future__ import annotations

from collections.abc import Sequence

from ..comparison import Comparison, RunRecord
from ..config import shown
from ..progress import duration
from ..quantities import QUANTITIES, Quantity
from .markup import Markup, element, join
from .parts import caption_markup, scroll

TUNING = " Accuracy and loss of the stage “tuning” are those of held-out training images, not of the test set."


def runs_table(comparison: Comparison, key: str) -> Markup:
    """Every run of a comparison, tuning's too, with what was asked and what came out.

    Args:
        comparison: whose runs.
        key: differs between the tables of a page.
    """
    records = [*comparison.records, *comparison.tuning_records]
    settings = [*comparison.config.vary, *comparison.config.tune]
    results = [record.result for record in records if record.is_done]
    quantities = [quantity for quantity in QUANTITIES if any(quantity.of(result) is not None for result in results)]
    stage = ["stage"] if comparison.config.tune else []
    heading = [
        *(element("th", name, scope="col") for name in ("run", *stage, "activation", "order", *settings, "seed")),
        *(element("th", _whole_words(quantity.title), scope="col", class_="number") for quantity in quantities),
        element("th", "time", scope="col", class_="number"),
    ]
    tuning = {record.folder.path for record in comparison.tuning_records}
    rows = [
        _row(record, settings, quantities, stage and ["tuning" if record.folder.path in tuning else "judged"])
        for record in records
    ]
    field = element(
        "label",
        "Show runs that contain ",
        element("input", type="search", class_="filter", data_table=key, placeholder="for example: tanh swap"),
        element("output", class_="filtered"),
        class_="filter-label screen-only",
    )
    table = element(
        "table",
        caption_markup("Every run. A click on a heading sorts." + (TUNING if comparison.config.tune else "")),
        element("thead", element("tr", *heading)),
        element("tbody", *rows),
        id=key,
        class_="sortable runs",
    )
    return join(field, element("div", scroll(table, "Table, every run"), class_="wide"))


def _row(record: RunRecord, settings: Sequence[str], quantities: Sequence[Quantity], stage: Sequence[str]) -> Markup:
    config = record.config.to_dict()
    asked = [
        *stage,
        config["activation"],
        record.order,
        *(shown(config[name]) for name in settings),
        str(config["seed"]),
    ]
    cells = [*(element("td", text) for text in asked)]
    if record.is_done:
        for quantity in quantities:
            value = quantity.of(record.result)
            cells.append(element("td", "" if value is None else _digits(value, quantity), class_="number"))
        seconds = record.result["seconds"]
        time = duration(seconds) + (", diverged" if record.result["diverged"] else "")
        cells.append(element("td", time, class_="number", data_value=f"{seconds:.3f}"))
    else:
        cells.append(element("td", record.failure, colspan=str(len(quantities) + 1), class_="failure"))
    name = element("th", element("code", record.config.fingerprint), scope="row")
    return element("tr", name, *cells)


def _whole_words(text: str) -> Markup:
    """Text that breaks at spaces only: Firefox would part the bar from |skewness|."""
    first, *others = (element("span", word, class_="nowrap") for word in text.split(" "))
    return join(first, *(part for word in others for part in (" ", word)))


def _digits(value: float, quantity: Quantity) -> str:
    """Percentages with the digits that they have everywhere on the page, others with four that say something."""
    if "(%)" in quantity.title:
        return f"{value:.2f}"
    return f"{value:g}" if float(value).is_integer() else f"{value:#.4g}"
