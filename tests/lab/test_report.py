"""The page: whole, well-formed, self-contained, escaped, and saying what the folder says."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html
import re
from collections.abc import Callable
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import pytest

from tinygrad_bn.lab import figures
from tinygrad_bn.lab.comparison import Comparison
from tinygrad_bn.lab.config import CompareConfig
from tinygrad_bn.lab.report import charts, write_report
from tinygrad_bn.lab.report.markup import Markup, element, join
from tinygrad_bn.lab.report.parts import table_markup
from tinygrad_bn.lab.runfolder import RunFolder, write_json
from tinygrad_bn.lab.tables import Table
from tinygrad_bn.viz.page import asset

pytest.importorskip("matplotlib")

Make = Callable[..., Comparison]
VOID = {"meta", "img", "br", "hr"}


class Reader(HTMLParser):
    """Checks that every element is closed where it was opened, and collects what the page refers to."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.problems: list[str] = []
        self.links: list[str] = []
        self.resources: list[str] = []
        self.ids: list[str] = []
        self.pictures_without_text = 0
        self.headings: list[int] = []
        self.tags: list[str] = []
        self.scripts: list[str] = []
        self.is_data: list[bool] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.is_data.append(values.get("type") == "application/json")
            if not self.is_data[-1]:
                self.scripts.append("")
        assert not [name for name in values if name.startswith("on")], "an attribute that is a script"
        if identifier := values.get("id"):
            self.ids.append(identifier)
        if tag == "a":
            self.links.append(values["href"] or "")
        for name in ("src", "srcset", "data", "poster", "action", "xlink:href") + (() if tag == "a" else ("href",)):
            if values.get(name):
                self.resources.append(values[name] or "")
        if tag == "img" and not values.get("alt"):
            self.pictures_without_text += 1
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script" and not self.is_data[-1]:
            self.scripts[-1] += data

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> at {self.getpos()}")


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader


def page_of(comparison: Comparison) -> str:
    return write_report(comparison).read_text(encoding="utf-8")


OUR_SCRIPT = resources.files("tinygrad_bn.lab.report").joinpath("script.js").read_text(encoding="utf-8")


def assert_only_our_script(page: str) -> None:
    """One script element, ours; and the page's policy lets no other run and nothing be loaded.

    Where there are graphs to be opened, their program may run, too.
    """
    assert read(page).scripts == [OUR_SCRIPT]
    digest = base64.b64encode(hashlib.sha256(OUR_SCRIPT.encode()).digest()).decode()
    policy = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    scripts = f"'sha256-{digest}'"
    if 'id="graph-page"' in page:
        program = base64.b64encode(hashlib.sha256(asset("page.js")).digest()).decode()
        scripts += f" 'sha256-{program}' 'wasm-unsafe-eval'"
    assert [html.unescape(found) for found in policy] == [
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {scripts}"
    ]
    # It holds for what comes after it.
    assert page.index("Content-Security-Policy") < page.index("<style>") < page.index("<script")


@pytest.fixture(autouse=True)
def _only_what_the_page_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes most of the time, and one test looks at the other formats: that of the `page` below."""
    monkeypatch.setattr(charts, "FORMATS", ("svg",))


@pytest.fixture(scope="module")
def page(finished: Comparison) -> str:
    return page_of(finished)


def test_the_page_is_well_formed(page: str) -> None:
    reader = read(page)
    assert reader.problems == []
    assert reader.open == []
    assert page.startswith("<!doctype html>")
    assert reader.tags.count("h1") == 1
    assert reader.headings[0] == 1
    # No level of heading is skipped on the way down.
    assert all(after - before <= 1 for before, after in zip(reader.headings, reader.headings[1:], strict=False))


def test_the_page_needs_no_network(page: str) -> None:
    reader = read(page)
    assert [found for found in reader.resources if not found.startswith(("#", "data:"))] == []
    assert_only_our_script(page)
    style = page[page.index("<style>") : page.index("</style>")]
    assert "@import" not in style
    assert "url(" not in style
    # What SVG refers to by url(...) lies in the same page.
    for target in re.findall(r"url\(([^)]*)\)", page):
        assert target.startswith("#")
        assert target[1:] in reader.ids
    outside = [link for link in reader.links if not link.startswith("#")]
    assert outside
    assert all(link.startswith("https://") for link in outside)


def test_ids_are_unique_and_inner_links_lead_somewhere(page: str) -> None:
    reader = read(page)
    assert len(reader.ids) == len(set(reader.ids))
    assert {link[1:] for link in reader.links if link.startswith("#")} <= set(reader.ids)
    for target in re.findall(r'xlink:href="#([^"]*)"', page):
        assert target in reader.ids


def test_every_picture_is_described(page: str) -> None:
    reader = read(page)
    assert reader.pictures_without_text == 0
    # Difference, and per activation: curves, mechanism, layers, channels.
    assert page.count('role="img"') == 1 + 2 * 4
    assert len(re.findall(r'role="img"[^>]*><title>[^<]{20,}</title>', page)) == 9


def test_both_colour_schemes_and_print_are_there(page: str) -> None:
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    assert figures.INK not in page[page.index("</style>") :]


def test_answers_and_numbers_are_the_comparisons(finished: Comparison, page: str) -> None:
    for activation in ("tanh", "relu"):
        assert finished.pairs(activation)[0].called
        for sentence in finished.answers(activation):
            assert sentence in page
        table = finished.table(activation)
        for row in (*table.body, *table.summary):
            for cell in row:
                assert f">{cell}<" in page
    assert page.count('class="answer called"') == 2


def test_the_same_folder_gives_the_same_page(finished: Comparison, page: str) -> None:
    assert page_of(Comparison(finished.root)) == page


def test_figures_are_files_too(finished: Comparison, page: str) -> None:
    assert page
    kinds = ("curves", "mechanism", "layers", "channels")
    names = {"difference", *(f"{kind}-{activation}" for kind in kinds for activation in ("tanh", "relu"))}
    paths = list((finished.root / "figures").iterdir())
    assert {path.name for path in paths} == {f"{name}.{format}" for name in names for format in figures.FORMATS}
    beginnings = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}
    for path in paths:
        assert path.read_bytes().startswith(beginnings[path.suffix])


def test_what_was_typed_cannot_become_markup(make_comparison: Make) -> None:
    attack = '"><script>alert(1)</script>'
    comparison = make_comparison(CompareConfig(activations=("tanh",), seeds=(0, 1), device=attack), leave_out=1)
    failed = comparison.records[-1]
    failed.folder.begin()
    failed.folder.write_error({"type": "Bad", "message": attack, "traceback": ""})
    write_json(comparison.records[0].folder.path / "env.json", {"processor": attack, attack: 1})
    page = page_of(Comparison(comparison.root))
    assert_only_our_script(page)
    assert read(page).problems == []
    assert page.count("&lt;script&gt;alert(1)") >= 4
    assert "<script>alert" not in page


def test_failed_and_missing_runs_are_told(make_comparison: Make) -> None:
    comparison = make_comparison(leave_out=2)
    failed = comparison.records[-1]
    failed.folder.begin()
    failed.folder.write_error({"type": "MemoryError", "message": "no memory left", "traceback": ""})
    page = page_of(comparison)
    assert "2 runs of 24 without a result" in page
    assert "MemoryError: no memory left" in page
    assert "not trained yet" in page


def test_a_comparison_without_any_result_still_has_a_page(make_comparison: Make) -> None:
    page = page_of(make_comparison(leave_out=24))
    assert read(page).problems == []
    assert "nothing can be said" in page
    assert 'role="img"' not in page


def test_more_orders_and_one_seed(make_comparison: Make) -> None:
    config = CompareConfig(orders=("convention", "swap", "preact"), activations=("tanh",), seeds=(5,), epochs=1)
    comparison = make_comparison(config)
    page = page_of(comparison)
    assert read(page).problems == []
    assert "preact − convention" in page
    assert "swap − convention" in page
    assert "p can never be below" in page
    assert len(comparison.pairs("tanh")) == 2


def test_a_diverged_run_and_numbers_that_are_missing_are_drawn(make_comparison: Make) -> None:
    comparison = make_comparison(CompareConfig(activations=("relu",), seeds=(0, 1), epochs=2))
    folder: RunFolder = comparison.records[0].folder
    result = folder.result()
    result["diverged"] = True
    result["layers"][0]["skewness"] = None
    folder.write_result(result)
    (folder.path / "metrics.jsonl").write_text("", encoding="utf-8")
    folder.add_metrics({"epoch": 1, "train_loss": float("nan"), "test_loss": 1.0, "test_accuracy": 10.0})
    page = page_of(Comparison(comparison.root))
    assert "Training diverged" in page
    assert read(page).problems == []


def test_the_graphs_in_the_folder_are_embedded_as_pictures(make_comparison: Make) -> None:
    comparison = make_comparison(CompareConfig(activations=("tanh",), seeds=(0, 1)))
    for order in ("convention", "swap"):
        path = comparison.graph_path("tanh", order)
        path.parent.mkdir(exist_ok=True)
        path.write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', encoding="utf-8")
    page = page_of(comparison)
    # A script in a picture does not run.
    assert page.count('src="data:image/svg+xml;base64,') == 2
    assert_only_our_script(page)


def test_markup_escapes_text_and_attributes_and_keeps_markup() -> None:
    assert element("p", "<b>", Markup("<i>x</i>"), None) == "<p>&lt;b&gt;<i>x</i></p>"
    assert element("a", "x", href='"><', class_="c", aria_label=None) == '<a href="&quot;&gt;&lt;" class="c">x</a>'
    assert element("img", alt="") == '<img alt="">'
    assert join("&", Markup("&amp;")) == "&amp;&amp;"


def test_the_command_that_repeats_it_is_on_the_page(make_comparison: Make) -> None:
    config = dataclasses.replace(CompareConfig(), activations=("tanh",), seeds=(3, 5), learning_rate=0.2)
    page = page_of(make_comparison(config, leave_out=4))
    assert "tinygrad-bn compare --lr 0.2 --activations tanh --seeds 3,5" in page


VARIED = CompareConfig(
    activations=("tanh",),
    orders=("convention", "swap", "nwdbn"),
    seeds=(0, 1),
    epochs=1,
    vary={"weight_decay": (0.0, 5e-4)},
    tune={"learning_rate": (0.01, 0.1)},
)


def test_what_was_varied_and_tuned_is_shown(make_comparison: Make) -> None:
    comparison = make_comparison(VARIED)
    page = page_of(comparison)
    assert read(page).problems == []
    # Every condition has an answer per order, a figure shows the varied setting, and the page says which of the two
    # fair comparisons it is.
    assert page.count('class="figure-of-merit"') == 4
    assert "<h3>tanh, weight_decay 0</h3>" in page
    assert "tanh: what weight_decay changes" in page
    assert (comparison.root / "figures" / "along-weight_decay-0.svg").is_file()
    assert "Hyperparameters are tuned per order: learning_rate in {0.01, 0.1}" in page
    assert "The test set had no part in the choice." in page
    assert 'id="tuning"' in page
    assert "<td>70.01</td><td>70.10</td>" in page
    # 12 runs that are judged, and 24 that chose: 2 candidates with 2 seeds for 3 orders under 2 conditions.
    rows = page[page.index('id="run-table"') :]
    assert (rows.count("<td>judged</td>"), rows.count("<td>tuning</td>")) == (12, 24)


def test_the_legend_says_what_every_order_is(make_comparison: Make) -> None:
    orders = ("convention", "nwdbn", "swap+no-norm")
    config = CompareConfig(model="mlp", orders=orders, activations=("tanh",), seeds=(0,), epochs=1)
    page = page_of(make_comparison(config, leave_out=3))
    legend = page[page.index('class="legend"') : page.index("</ul>")]
    items = [html.unescape(re.sub("<[^>]*>", "", item)) for item in re.findall("<li>(.*?)</li>", legend)]
    assert items == [
        "convention weight → BatchNorm → activation",
        "nwdbn weight → BatchNorm → activation, gamma_weight_decay 0, beta_weight_decay 0",
        "swap+no-norm weight → activation → BatchNorm | weight → activation",
    ]


def test_several_comparisons_share_a_page(finished: Comparison, make_comparison: Make, tmp_path: Path) -> None:
    config = CompareConfig(activations=("tanh",), seeds=(0, 1), epochs=1)
    path = write_report(finished, make_comparison(config), path=tmp_path / "both" / "page.html")
    page = path.read_text(encoding="utf-8")
    reader = read(page)
    assert reader.problems == []
    test_ids_are_unique_and_inner_links_lead_somewhere(page)
    assert all(after - before <= 1 for before, after in zip(reader.headings, reader.headings[1:], strict=False))
    assert (reader.headings.count(1), reader.headings.count(2)) == (1, 3)  # two chapters, and the literature
    assert {"part-1-answer", "part-2-answer", "part-1-run-table", "part-2-run-table"} <= set(reader.ids)
    figures_written = {found.name for found in (path.parent / "figures").iterdir()}
    assert {"part-1-difference.svg", "part-1-layers-relu.svg", "part-2-curves-tanh.svg"} <= figures_written
    for number in (1, 2):
        assert (path.parent / "numbers" / f"part-{number}-comparison.json").is_file()


def test_many_conditions_stay_readable(make_comparison: Make) -> None:
    config = dataclasses.replace(
        VARIED, orders=("convention", "swap"), tune={}, vary={"momentum": (0.1, 0.2, 0.3, 0.4)}
    )
    config = dataclasses.replace(config, activations=("tanh", "relu"))
    page = page_of(make_comparison(config))
    assert 'class="answers many"' in page
    assert page.count('class="figure-of-merit"') == 8
    assert "Shown for 6 of 8 conditions." in page
    assert "<summary>2 more conditions</summary>" in page
    assert page.count('role="img"') == 1 + 2 + 6 * 4  # differences, two groups along momentum, six in detail
    assert read(page).problems == []


def test_columns_of_words_stand_to_the_left() -> None:
    table = Table(
        ("name", "number", "words"), (("a", "+1.5", "none"), ("b", "n/a", "1e-05 and more")), (("mean", "1", ""),)
    )
    written = table_markup(table, "what it is")
    assert written.startswith('<table class="sortable"><caption><span>what it is</span></caption>')
    assert re.findall(r'class="words"[^>]*>([^<]*)<', written) == ["words", "none", "1e-05 and more", ""]
