"""Every number on the page and in its files, computed again from the run folders' JSON with NumPy and SciPy alone."""

from __future__ import annotations

import csv
import itertools
import json
import math
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_bn.lab.comparison import Comparison
from tinygrad_bn.lab.config import CompareConfig
from tinygrad_bn.lab.plots import along_chart, curves_chart, difference_chart, mechanism_chart
from tinygrad_bn.lab.progress import duration
from tinygrad_bn.lab.report import charts, write_report

pytest.importorskip("matplotlib")
stats = pytest.importorskip("scipy.stats")

Write = Callable[[Path, CompareConfig, float, int], Comparison]
CONFIG = CompareConfig(
    activations=("tanh",),
    orders=("convention", "swap", "nwdbn"),
    seeds=(0, 1, 2, 3, 4, 7),
    epochs=2,
    vary={"momentum": (0.5, 0.9)},
    tune={"learning_rate": (0.02, 0.1)},
)
Key = tuple[str, float, str]


class Page(HTMLParser):
    """The tables by caption, rows of cells as text, and the answers."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[tuple[str, list[list[str]]]] = []
        self.answers: list[list[str]] = []
        self._into: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.tables.append(("", []))
        elif tag == "tr":
            self.tables[-1][1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][1][-1].append("")
            self._into.append(self.tables[-1][1][-1])
        elif tag == "caption":
            self._into.append([""])
        elif tag == "li" and (dict(attrs).get("class") or "").startswith("answer"):
            self.answers.append([])
            self._into.append(self.answers[-1])

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "caption", "li") and self._into:
            cells = self._into.pop()
            if tag == "caption":
                self.tables[-1] = (cells[0], self.tables[-1][1])

    def handle_data(self, data: str) -> None:
        if self._into:
            if self.answers and self._into[-1] is self.answers[-1]:
                self._into[-1].append(data)
            else:
                self._into[-1][-1] += data


class Folder:
    """The runs as they lie in the folder, read without the laboratory."""

    def __init__(self, root: Path) -> None:
        self.judged: dict[Key, dict[int, dict[str, Any]]] = {}
        self.choosing: dict[Key, dict[float, dict[int, float]]] = {}
        self.metrics: dict[tuple[Key, int], list[dict[str, Any]]] = {}
        found = {path.parent: json.loads(path.read_text()) for path in root.glob("runs/*/config.json")}
        for path, config in found.items():
            order = "nwdbn" if config["gamma_weight_decay"] == 0.0 else config["order"]
            key = (config["activation"], config["momentum"], order)
            result = json.loads((path / "result.json").read_text())
            if config["validation_share"]:
                by_rate = self.choosing.setdefault(key, {}).setdefault(config["learning_rate"], {})
                by_rate[config["seed"]] = result["test_accuracy"]
            else:
                by_seed = self.judged.setdefault(key, {})
                assert config["seed"] not in by_seed
                by_seed[config["seed"]] = {**result, "run": path.name, "learning_rate": config["learning_rate"]}
                lines = (path / "metrics.jsonl").read_text().splitlines()
                self.metrics[key, config["seed"]] = [json.loads(line) for line in lines]

    def accuracies(self, key: Key) -> dict[int, float]:
        return {seed: result["test_accuracy"] for seed, result in sorted(self.judged[key].items())}

    def differences(self, key: Key) -> np.ndarray[Any, Any]:
        first, other = self.accuracies((*key[:2], "convention")), self.accuracies(key)
        return np.array([other[seed] - first[seed] for seed in sorted(first)])


def interval_of(differences: np.ndarray[Any, Any]) -> tuple[float, float]:
    """With the number of resamples and the random state that docs/laboratory.md and the page's method name."""
    found = stats.bootstrap((differences,), np.mean, n_resamples=9999, method="BCa", rng=20230127).confidence_interval
    return float(found.low), float(found.high)


def p_of(differences: np.ndarray[Any, Any]) -> float:
    """All sign patterns, one by one."""
    patterns = np.array(list(itertools.product((-1.0, 1.0), repeat=differences.size)))
    means = np.abs((patterns * differences).mean(axis=1))
    return float(np.mean(means >= abs(differences.mean()) * (1 - 1e-12)))


def shown_p(value: float) -> str:
    return f"{value:.3f}".lstrip("0")


def shown_difference(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def shown_interval(interval: tuple[float, float]) -> str:
    return f"[{shown_difference(interval[0])}, {shown_difference(interval[1])}]"


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory, write_comparison: Write) -> Comparison:
    found = write_comparison(tmp_path_factory.mktemp("numbers"), CONFIG, 0.7, 0)
    # No accuracy is a round number, no two differences are alike, and one condition has no clear winner.
    generator = np.random.default_rng(5)
    for record in found.records:
        result = record.folder.result()
        result["test_accuracy"] += generator.normal(scale=0.3 if record.config.momentum == 0.5 else 2.0)
        record.folder.write_result(result)
    found = Comparison(found.root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(charts, "FORMATS", ("svg",))  # drawing takes most of the time
        write_report(found)
    return found


@pytest.fixture(scope="module")
def folder(comparison: Comparison) -> Folder:
    return Folder(comparison.root)


@pytest.fixture(scope="module")
def page(comparison: Comparison) -> Page:
    return Page((comparison.root / "report.html").read_text(encoding="utf-8"))


def conditions() -> list[tuple[str, float]]:
    return [(activation, momentum) for momentum in (0.5, 0.9) for activation in ("tanh",)]


def test_every_answer(page: Page, folder: Folder) -> None:
    expected, called = [], 0
    for activation, momentum in conditions():
        for order in ("swap", "nwdbn"):
            differences = folder.differences((activation, momentum, order))
            interval, p_value = interval_of(differences), p_of(differences)
            mean = shown_difference(float(differences.mean()))
            number = [mean, f"points, {order} − convention", shown_interval(interval), f"p = {shown_p(p_value)}"]
            expected.append([f"{activation}, momentum {momentum:g}", *number])
            sentence = page.answers[len(expected) - 1][-1]
            assert (
                f"{mean} points over 6 pairs, 95 % interval {shown_interval(interval)}, p = {shown_p(p_value)}"
                in sentence
            )
            clear = (interval[0] > 0 or interval[1] < 0) and p_value < 0.05
            called += clear
            assert ("did better than" in sentence) == clear
    assert [answer[:-1] for answer in page.answers] == expected
    assert 0 < called < 4


def test_every_seed(page: Page, folder: Folder) -> None:
    tables = [rows for caption, rows in page.tables if caption.startswith("test accuracy (%) and paired")]
    assert len(tables) == 2
    for (activation, momentum), (heading, *rows) in zip(conditions(), tables, strict=True):
        assert heading == ["seed", "convention", "swap", "nwdbn", "swap − convention", "nwdbn − convention"]
        keys = [(activation, momentum, order) for order in ("convention", "swap", "nwdbn")]
        columns = [list(folder.accuracies(key).values()) for key in keys]
        differences = [folder.differences(key) for key in keys[1:]]
        for place, seed in enumerate(sorted(folder.judged[keys[0]])):
            numbers = [f"{column[place]:.2f}" for column in columns]
            assert rows[place] == [str(seed), *numbers, *(shown_difference(found[place]) for found in differences)]
        means = [f"{np.mean(column):.2f}" for column in columns]
        assert rows[6] == ["mean", *means, *(shown_difference(found.mean()) for found in differences)]
        assert rows[7] == ["95 % interval", "", "", "", *(shown_interval(interval_of(found)) for found in differences)]
        assert rows[8] == ["sign-flip p", "", "", "", *(shown_p(p_of(found)) for found in differences)]
        assert len(rows) == 9


def test_what_was_chosen(page: Page, folder: Folder) -> None:
    [(heading, *rows)] = [rows for caption, rows in page.tables if caption.startswith("Mean accuracy (%) on")]
    assert heading == ["", "learning_rate 0.02", "learning_rate 0.1", "chosen"]
    assert len(rows) == 6
    for (activation, momentum), order in itertools.product(conditions(), ("convention", "swap", "nwdbn")):
        by_rate = folder.choosing[activation, momentum, order]
        means = {rate: np.mean(list(found.values())) for rate, found in by_rate.items()}
        best = max(means, key=lambda rate: means[rate])
        numbers = [f"{means[rate]:.2f}" for rate in (0.02, 0.1)]
        assert [f"{activation}, momentum {momentum:g}, {order}", *numbers, f"learning_rate {best:g}"] in rows
        assert {result["learning_rate"] for result in folder.judged[activation, momentum, order].values()} == {best}


def test_every_run(page: Page, folder: Folder, comparison: Comparison) -> None:
    [(heading, *rows)] = [rows for caption, rows in page.tables if caption.startswith("Every run.")]
    assert len(rows) == 2 * 3 * (6 + 2 * 2)
    by_name = {row[0]: dict(zip(heading, row, strict=True)) for row in rows}
    assert len(by_name) == len(rows)
    for (activation, momentum, order), by_seed in folder.judged.items():
        for seed, result in by_seed.items():
            row = by_name[result["run"]]
            asked = ("judged", activation, order, f"{momentum:g}", f"{result['learning_rate']:g}", str(seed))
            names = ("stage", "activation", "order", "momentum", "learning_rate", "seed")
            assert tuple(row[name] for name in names) == asked
            layers = result["layers"]
            numbers = {
                "test accuracy (%)": result["test_accuracy"],
                "test loss": result["test_loss"],
                "saturation, mean over layers": np.mean([layer["saturation"] for layer in layers]),
                "saturation, highest layer": max(layer["saturation"] for layer in layers),
                "|skewness|, mean over layers": np.mean([layer["skewness"] for layer in layers]),
                "sparsity, mean over blocks": np.mean([layer["sparsity"] for layer in layers]),
                "exact zeros, mean over blocks": np.mean([layer["zero_fraction"] for layer in layers]),
            }
            for name, number in numbers.items():
                digits = 2 if "(%)" in name else max(0, 3 - math.floor(math.log10(number))) if number else 0
                assert float(row[name]) == pytest.approx(number, abs=0.5000001 * 10.0**-digits), name
            assert row["time"] == "2.0 s"


def test_how_much_was_trained(comparison: Comparison, folder: Folder) -> None:
    text = (comparison.root / "report.html").read_text(encoding="utf-8")
    results = [json.loads(path.read_text()) for path in comparison.root.glob("runs/*/result.json")]
    seconds = sum(result["seconds"] for result in results)
    assert (len(results), seconds) == (60, 120.0)
    assert f"60 of 60 runs finished, {duration(seconds)} of training in all." in text


def rows_of(comparison: Comparison, name: str) -> list[dict[str, str]]:
    with (comparison.root / "numbers" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def key_of(row: dict[str, str]) -> Key:
    return row["activation"], float(row["momentum"]), row["order"]


def test_the_files_of_runs_epochs_and_layers(comparison: Comparison, folder: Folder) -> None:
    runs = rows_of(comparison, "runs.csv")
    judged = [row for row in runs if row["stage"] == "judged"]
    assert (len(judged), len(runs)) == (36, 36 + 6 * 2 * 2)
    for row in runs[36:]:
        accuracy = folder.choosing[key_of(row)][float(row["learning_rate"])][int(row["seed"])]
        assert (row["stage"], float(row["test_accuracy"])) == ("tuning", accuracy)
    for row in judged:
        result = folder.judged[key_of(row)][int(row["seed"])]
        assert row["run"] == result["run"]
        assert (float(row["test_accuracy"]), float(row["test_loss"])) == (result["test_accuracy"], result["test_loss"])
        assert float(row["skewness"]) == pytest.approx(np.mean([layer["skewness"] for layer in result["layers"]]))
        assert (row["done"], row["diverged"], row["failure"]) == ("True", "False", "")
    epochs = rows_of(comparison, "epochs.csv")
    assert len(epochs) == 36 * 2
    for row in epochs:
        line = folder.metrics[key_of(row), int(row["seed"])][int(row["epoch"]) - 1]
        assert {name: float(row[name]) for name in line} == line
    layers = rows_of(comparison, "layers.csv")
    assert len(layers) == 36 * 2
    for row in layers:
        layer = folder.judged[key_of(row)][int(row["seed"])]["layers"][int(row["layer"]) - 1]
        for name, value in layer.items():
            assert row[name] == ("" if value is None else str(value)), name


def test_the_files_of_pairs_and_the_document(comparison: Comparison, folder: Folder) -> None:
    document = json.loads((comparison.root / "numbers" / "comparison.json").read_text(encoding="utf-8"))
    table = rows_of(comparison, "pairs.csv")
    assert len(table) == len(document["pairs"]) == 4
    for row, entry in zip(table, document["pairs"], strict=True):
        assert row == {name: "" if value is None else str(value) for name, value in entry.items()}
        differences = folder.differences((entry["activation"], entry["momentum"], entry["second"]))
        assert entry["first"] == "convention"
        assert (entry["quantity"], entry["pairs"], entry["p_is_exact"]) == ("test_accuracy", 6, True)
        assert entry["mean_difference"] == pytest.approx(differences.mean(), abs=1e-12)
        assert (entry["interval_low"], entry["interval_high"]) == pytest.approx(interval_of(differences), abs=1e-12)
        assert entry["p_value"] == pytest.approx(p_of(differences), abs=1e-12)
    assert document["config"] == CONFIG.to_dict()
    assert [row["run"] for row in document["runs"]] == [row["run"] for row in rows_of(comparison, "runs.csv")]
    assert len(document["tuning"]) == 6
    for entry in document["tuning"]:
        by_rate = folder.choosing[entry["activation"], entry["momentum"], entry["order"]]
        assert entry["candidates"] == [{"learning_rate": 0.02}, {"learning_rate": 0.1}]
        found = [{str(seed): value for seed, value in by_rate[rate].items()} for rate in (0.02, 0.1)]
        assert entry["accuracies"] == found


def mean_line(panel: Any, order: str) -> list[float]:
    [found] = [line for line in panel.lines if line.get_label() == order]
    return list(map(float, found.get_ydata()))


def test_the_dots_and_lines_of_the_figures(comparison: Comparison, folder: Folder) -> None:
    condition = comparison.condition("tanh, momentum 0.5")
    keys = [("tanh", 0.5, order) for order in ("convention", "swap", "nwdbn")]

    [panel] = difference_chart(comparison).figure.axes
    dots = [found.get_xdata() for found in panel.lines if found.get_marker() == "o"]
    expected = [
        folder.differences((activation, momentum, order))
        for activation, momentum in conditions()
        for order in ("swap", "nwdbn")
    ]
    assert np.array(dots) == pytest.approx(np.array(expected[::-1]))  # from below upwards
    diamonds = [float(found.get_xdata()[0]) for found in panel.lines if found.get_marker() == "D"]
    assert diamonds == pytest.approx([found.mean() for found in expected[::-1]])
    bars = [tuple(found.get_xdata()) for found in panel.lines if found.get_linewidth() == 2.0]
    assert np.array(bars) == pytest.approx(np.array([interval_of(found) for found in expected[::-1]]))

    accuracy, loss = curves_chart(comparison, condition).figure.axes
    for panel, name in ((accuracy, "test_accuracy"), (loss, "train_loss")):
        thin = {tuple(map(float, found.get_ydata())) for found in panel.lines if found.get_linewidth() == 0.9}
        runs = [folder.metrics[key, seed] for key in keys for seed in folder.judged[key]]
        assert thin == {tuple(line[name] for line in run) for run in runs}

    saturation = mechanism_chart(comparison, condition).figure.axes[0]
    for key in keys:
        layers = [[layer["saturation"] for layer in run["layers"]] for run in folder.judged[key].values()]
        assert mean_line(saturation, key[2]) == pytest.approx(np.mean(layers, axis=0))

    panel = along_chart(comparison, comparison.conditions, "momentum").figure.axes[0]
    for key in keys:
        means = [np.mean(list(folder.accuracies(("tanh", momentum, key[2])).values())) for momentum in (0.5, 0.9)]
        assert mean_line(panel, key[2]) == pytest.approx(means)


def test_the_number_of_resamples_is_the_documented_one() -> None:
    text = Path("docs/laboratory.md").read_text(encoding="utf-8")
    assert re.search(r"`scipy\.stats\.bootstrap`, 9,999 resamples, fixed random state", text)
