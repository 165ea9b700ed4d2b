"""What a notebook shows: whole pieces of HTML with the same numbers as everywhere else."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from tinygrad_bn.errors import ArgumentError
from tinygrad_bn.lab.comparison import Comparison
from tinygrad_bn.lab.document import CaptionedTable, Code, Figure, Finding, Section, Text
from tinygrad_bn.lab.tables import Table

pytest.importorskip("matplotlib")
pytest.importorskip("scipy")


class Reader(HTMLParser):
    """Elements that are closed where they were opened, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def test_a_comparison_shows_answers_and_tables(finished: Comparison) -> None:
    shown = Reader(finished._repr_html_()).text
    for condition in finished.conditions:
        table = finished.table(condition)
        for words in (condition.label, *finished.answers(condition), *table.summary[0]):
            assert words in shown
    assert finished.hyperparameters in shown


def test_a_figure_is_found_by_its_name(finished: Comparison) -> None:
    assert {"difference", "curves-tanh", "channels-relu"} <= set(finished.figures)
    figure = finished.figure("curves-tanh")
    assert figure._repr_svg_().startswith("<?xml")
    reader = Reader(figure._repr_html_())
    assert figure.caption in reader.text
    # Two cells of one notebook must not share ids.
    assert set(reader.ids).isdisjoint(Reader(finished.figure("mechanism-tanh")._repr_html_()).ids)
    with pytest.raises(ArgumentError, match="difference, curves-tanh"):
        finished.figure("curves")


def test_a_pair_shows_every_seed(finished: Comparison) -> None:
    [pair] = finished.pairs("tanh")
    shown = Reader(pair._repr_html_()).text
    for value in (*pair.first_values, *pair.second_values):
        assert f"{value:.2f}" in shown
    assert shown.count("+1.25") == 1  # the mean
    assert ".031" in shown


def test_what_was_typed_cannot_become_markup(finished: Comparison) -> None:
    attack = "<script>alert(1)</script>"
    table = Table((attack, "b"), ((attack, "1"),), ())
    figure = Figure(attack, attack, finished.figure("difference").draw)
    parts = (Text(attack), Finding(attack), Code(attack), CaptionedTable(attack, attack, table), figure)
    section = Section(attack, attack, parts)
    for shown in (section, *parts[3:], table):
        written = shown._repr_html_()
        assert "<script" not in written
        assert "&lt;script&gt;alert(1)" in written
    assert Reader(section._repr_html_()).text.count("alert(1)") >= 8


def test_both_themes_have_the_colours_of_the_page(finished: Comparison) -> None:
    written = finished._repr_html_()
    light, dark = re.findall(r"([^\n]*) \{ --paper: (#\w+);", written)
    assert (light[0], dark[0]) == (
        '<div class="tinygrad-bn"><style>.tinygrad-bn',
        '[data-jp-theme-light="false"] .tinygrad-bn',
    )
    assert light[1] != dark[1]
