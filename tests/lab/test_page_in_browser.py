"""The page in a real browser, from a file and without a network: it sorts, filters, prints and can be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Chromium, chromium

from tinygrad_bn.lab.comparison import Comparison
from tinygrad_bn.lab.graphs import draw_graphs
from tinygrad_bn.lab.report import charts, write_report

pytest.importorskip("matplotlib")
pytest.importorskip("scipy")

MILLISECONDS = 5000.0  # a page of 24 runs takes about 400 on an idle machine

#: Contrast (WCAG 2.2, 1.4.3) of every piece of text with the first opaque background behind it, where it is too low.
POOR_CONTRAST = """
(() => {
  const parse = (colour) => (colour.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  let seen = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || ["SCRIPT", "title"].includes(element.tagName)) continue;
    const style = getComputedStyle(element);
    const colour = parse(element.closest("svg") ? style.fill : style.color);
    const [low, high] = [luminance(colour), luminance(behind(element))].sort((a, b) => a - b);
    seen += 1;
    if ((high + 0.05) / (low + 0.05) < 4.5) poor.push(`${walker.currentNode.data}: ${colour} on ${behind(element)}`);
  }
  return [seen, poor.slice(0, 5)];
})()
"""
RUNS = "document.querySelector('#run-table')"


@pytest.fixture(scope="module")
def page(finished: Comparison) -> Path:
    pytest.importorskip("graphviz")
    draw_graphs(finished)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(charts, "FORMATS", ("svg",))  # drawing takes most of the time
        return write_report(finished)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(started: Chromium, page: Path) -> Iterator[Chromium]:
    """The page, opened anew in a wide window; at the end it must have asked for nothing and complained of nothing."""
    started.complaints.clear()
    started.requests.clear()
    started.view()
    assert started.open(page) < MILLISECONDS
    yield started
    assert started.requests == [page.as_uri()]
    assert started.complaints == []


def column(browser: Chromium, number: int) -> list[str]:
    found: list[str] = browser.run(f"Array.from({RUNS}.tBodies[0].rows, row => row.cells[{number}].textContent)")
    return found


def test_a_click_on_a_heading_sorts(browser: Chromium) -> None:
    headings = browser.run(f"Array.from({RUNS}.tHead.rows[0].cells, cell => cell.textContent)")
    number = headings.index("test accuracy (%)")
    before = column(browser, number)
    assert len(before) == 24
    click = f"{RUNS}.tHead.rows[0].cells[{number}].querySelector('button').click()"
    browser.run(click)
    assert column(browser, number) == sorted(before, key=float)
    assert column(browser, number) != before
    assert browser.run(f"{RUNS}.tHead.rows[0].cells[{number}].ariaSort") == "ascending"
    browser.run(click)
    assert column(browser, number) == sorted(before, key=float, reverse=True)
    # Rows stay whole: a run's accuracy is that of its name.
    names = column(browser, 0)
    assert len(set(names)) == 24
    # By another column: words, and only one heading says that it sorts.
    browser.run(f"{RUNS}.tHead.rows[0].cells[1].querySelector('button').click()")
    assert column(browser, 1) == ["relu"] * 12 + ["tanh"] * 12
    assert browser.run(f"{RUNS}.querySelectorAll('[aria-sort]').length") == 1


def test_differences_sort_by_their_sign_and_the_summary_stays_below(browser: Chromium) -> None:
    rows = "document.querySelector('#numbers table').tBodies"
    browser.run("document.querySelector('#numbers thead th:last-child button').click()")
    for order in (1, -1):
        shown = browser.run(f"Array.from({rows}[0].rows, row => row.lastChild.textContent)")
        values = [float(text.replace("−", "-")) for text in shown]
        assert values == sorted(values, key=lambda value: order * value)
        assert browser.run(f"{rows}[1].rows[0].cells[0].textContent") == "mean"
        browser.run("document.querySelector('#numbers thead th:last-child button').click()")


def test_the_filter_shows_the_runs_that_contain_every_word(browser: Chromium) -> None:
    shown = f"Array.from({RUNS}.tBodies[0].rows).filter(row => row.checkVisibility()).map(row => row.textContent)"
    assert len(browser.run(shown)) == 24
    browser.run("document.querySelector('input.filter').focus()")
    browser.write("TANH swap")
    found = browser.run(shown)
    assert len(found) == 6
    assert all("tanh" in text and "swap" in text for text in found)
    assert browser.run("document.querySelector('output.filtered').value") == "6 of 24"
    browser.write(" nothing of the kind")
    assert browser.run(shown) == []
    browser.run("document.querySelector('input.filter').select()")
    browser.write(" ")
    assert len(browser.run(shown)) == 24


def test_everything_can_be_reached_by_keyboard(browser: Chromium) -> None:
    active = "document.activeElement"
    reached = []
    count = browser.run("document.querySelectorAll('a[href], button, input, summary, [tabindex=\"0\"]').length")
    for _ in range(count + 5):
        browser.press("Tab")
        reached.append(browser.run(f"{active}.tagName"))
    assert {"A", "BUTTON", "INPUT", "SUMMARY", "DIV"} <= set(reached)
    browser.run(f"{RUNS}.tHead.rows[0].cells[0].querySelector('button').focus()")
    browser.press("Enter", "\r")
    assert column(browser, 0) == sorted(column(browser, 0))
    # What can be used has a name for who does not see it.
    browser.call("Accessibility.enable")
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    browser.call("Accessibility.disable")
    used = [
        node
        for node in nodes
        if node.get("role", {}).get("value") in ("button", "link", "searchbox", "image", "region")
    ]
    assert {node["role"]["value"] for node in used} == {"button", "link", "searchbox", "image", "region"}
    assert [node for node in used if not node.get("name", {}).get("value", "").strip()] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_schemes(browser: Chromium, scheme: str) -> None:
    browser.view(scheme=scheme)
    red = browser.run("Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])")
    assert (red < 64) == (scheme == "dark")
    seen, poor = browser.run(POOR_CONTRAST)
    assert seen > 300
    assert poor == []


@pytest.mark.parametrize("width", [1280, 800, 390])
def test_the_page_is_never_wider_than_the_window(browser: Chromium, width: int) -> None:
    browser.view(width=width)
    assert browser.run("document.documentElement.scrollWidth") <= width
    # The pictures of the networks are there, and charts are wider than a stamp.
    assert browser.run("Array.from(document.images, image => image.naturalWidth > 100)") == [True] * 4
    assert (
        browser.run("Math.min(...Array.from(document.querySelectorAll('.chart > svg'), svg => svg.clientWidth))") > 340
    )


def test_print_leaves_out_what_paper_cannot_do(browser: Chromium, tmp_path: Path) -> None:
    browser.view(medium="print", scheme="dark")
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for selector in ("nav", ".filter-label"):
        assert browser.run(f"getComputedStyle(document.querySelector('{selector}')).display") == "none"
    browser.printed(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


def test_the_graphs_open_inside_the_page_with_what_was_recorded(browser: Chromium) -> None:
    frame = "document.querySelector('iframe.graphs-page').contentDocument"
    assert browser.run("document.querySelector('iframe') === null")
    browser.run("document.querySelector('.open-graphs').click()")
    ready = f"{frame}.documentElement?.dataset.ready === 'true'"
    waiting = f"""new Promise(resolve => {{
      const look = () => document.querySelector('iframe') && {ready} ? resolve(true) : setTimeout(look, 50); look();
    }})"""
    assert browser.run(waiting)
    text = browser.run(f"{frame}.body.innerText")
    for words in ("tanh, convention", "tanh, swap", "5 batch_norm moved", "epoch 3"):
        assert words in text
    assert browser.run(f"{frame}.querySelectorAll('svg').length") > 0


def test_no_other_script_runs_and_nothing_is_loaded(browser: Chromium) -> None:
    script = "const script = document.createElement('script'); script.textContent = 'window.harmed = true';"
    browser.run(f"(() => {{ {script} document.body.append(script); }})()")
    assert browser.run("window.harmed === undefined")
    assert browser.run("fetch('https://example.org').then(() => 'loaded', () => 'refused')") == "refused"
    assert any("Content Security Policy" in complaint for complaint in browser.complaints)
    browser.complaints.clear()  # those were meant
