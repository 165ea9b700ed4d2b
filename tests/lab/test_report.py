"""The page: whole, well-formed, self-contained, escaped, and saying what the folder says."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from tinygrad_bn.lab import figures
from tinygrad_bn.lab.comparison import Comparison
from tinygrad_bn.lab.config import CompareConfig
from tinygrad_bn.lab.report import build_page, write_report
from tinygrad_bn.lab.report.markup import Markup, element, join
from tinygrad_bn.lab.runfolder import RunFolder, write_json

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

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
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
    assert "script" not in reader.tags
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
    names = {path.name for path in (finished.root / "figures").iterdir()}
    assert {"difference.svg", "curves-tanh.svg", "channels-relu.svg"} <= names
    assert len(names) == 9


def test_what_was_typed_cannot_become_markup(make_comparison: Make) -> None:
    attack = '"><script>alert(1)</script>'
    comparison = make_comparison(CompareConfig(activations=("tanh",), seeds=(0, 1), device=attack), leave_out=1)
    failed = comparison.records[-1]
    failed.folder.begin()
    failed.folder.write_error({"type": "Bad", "message": attack, "traceback": ""})
    write_json(comparison.records[0].folder.path / "env.json", {"processor": attack, attack: 1})
    page = page_of(Comparison(comparison.root))
    reader = read(page)
    assert "script" not in reader.tags
    assert reader.problems == []
    assert page.count("&lt;script&gt;alert(1)") >= 4


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
    assert page.count('src="data:image/svg+xml;base64,') == 2
    assert "script" not in read(page).tags


def test_markup_escapes_text_and_attributes_and_keeps_markup() -> None:
    assert element("p", "<b>", Markup("<i>x</i>"), None) == "<p>&lt;b&gt;<i>x</i></p>"
    assert element("a", "x", href='"><', class_="c", aria_label=None) == '<a href="&quot;&gt;&lt;" class="c">x</a>'
    assert element("img", alt="") == '<img alt="">'
    assert join("&", Markup("&amp;")) == "&amp;&amp;"


def test_the_command_that_repeats_it_is_on_the_page(make_comparison: Make) -> None:
    config = dataclasses.replace(CompareConfig(), activations=("tanh",), seeds=(3, 5), learning_rate=0.2)
    page = build_page(make_comparison(config), {})
    assert "tinygrad-bn compare --lr 0.2 --activations tanh --seeds 3,5" in page
