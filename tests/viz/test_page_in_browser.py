"""The interactive page in a real browser, from a file and without a network: clicked, searched, slid and read."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import Chromium, chromium

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.viz.comparing.compare import compare
from tinygrad_bn.viz.document import frame_document, graph_document, page_document
from tinygrad_bn.viz.page import page_html
from tinygrad_bn.viz.trace import record_model

SECONDS = 30.0
ORDERS = ("convention", "swap")
NORM = "features.0.norm#batch_norm"
BLOCK = "features.0::ConvBlock"


def labelled(count: int) -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    return tg.tensor(random.standard_normal((count, 1, 28, 28), np.float32)), tg.tensor(random.integers(0, 10, count))


def compared(frames: int) -> dict[str, Any]:
    """Both orders of a small network with what was measured at some moments, and what differs."""
    images, labels = labelled(4)
    records, graphs = {}, []
    for order in ORDERS:
        model = nn.SmallCNN(order=order, activation="tanh")
        moments = []
        for number in range(frames):
            records[order] = record_model(model, images, target=labels, observe=True, checks=number == 0)
            moment = frame_document(records[order], f"epoch {number}")
            for observation in moment["nodes"].values():
                value = observation["value"]["saturation"]
                if value is not None:
                    observation["seeds"] = {"saturation": [value, value * 0.9, value * 1.1]}
            moments.append(moment)
            with tg.no_grad():
                for parameter in model.parameters():
                    parameter.data[...] *= 1.5
        graphs.append(graph_document(records[order], order, moments))
    difference = compare(records["convention"], records["swap"], ORDERS).document()["diff"]
    return page_document("Two orders", graphs, difference)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def two_orders() -> dict[str, Any]:
    return compared(frames=3)


Show = Callable[..., "Page"]


class Page:
    """A page that is open, with the few things that a reader does."""

    def __init__(self, browser: Chromium, path: Path) -> None:
        self.browser, self.path, self.run = browser, path, browser.run

    def until(self, condition: str) -> Any:
        end = time.monotonic() + SECONDS
        while not (found := self.run(condition)):
            assert time.monotonic() < end, f"{condition} did not come true; {self.browser.complaints}"
            time.sleep(0.02)
        return found

    def shown(self, pane: int = 0) -> list[str]:
        """What is shown in a pane."""
        found: list[str] = self.run(
            f"Array.from(document.querySelectorAll('.pane')[{pane}].querySelectorAll('.item:not(.gone)'), "
            "e => e.dataset.key)"
        )
        return found

    def item(self, key: str) -> str:
        return f"document.querySelector('.item[data-key={json.dumps(key)}]')"

    def middle(self, element: str) -> tuple[float, float]:
        # Zoom and pan are drawn with the next picture.
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        x, y = self.run(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({element}.getBoundingClientRect())")
        return x, y

    def click(self, element: str) -> None:
        """Press the mouse in the middle of what a JavaScript expression gives."""
        x, y = self.middle(element)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def point(self, element: str) -> None:
        x, y = self.middle(element)
        self.browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def choose(self, name: str, value: str) -> None:
        self.run(
            f"(() => {{ const e = document.querySelector('select[name={name}]'); e.value = {json.dumps(value)}; "
            "e.dispatchEvent(new Event('change')); })()"
        )

    def slide(self, slider: str, value: float) -> None:
        self.run(
            f"(() => {{ const e = document.querySelector('{slider} input'); e.value = {value}; "
            "e.dispatchEvent(new Event('input')); })()"
        )

    def places(self) -> dict[str, str]:
        found: dict[str, str] = self.run(
            "Object.fromEntries(Array.from(document.querySelectorAll('.item'), "
            "e => [e.dataset.key, e.getAttribute('transform')]))"
        )
        return found

    def settle(self) -> None:
        """Wait until nothing moves any more."""
        self.until("!('moving' in document.documentElement.dataset)")

    @property
    def panel(self) -> str:
        text: str = self.run("(e => e.hidden ? '' : e.innerText)(document.querySelector('.panel'))")
        return text


@pytest.fixture
def show(started: Chromium, tmp_path: Path) -> Iterator[Show]:
    """Opens a document's page; at the end it must have asked for nothing and complained of nothing."""
    opened: list[Page] = []

    def show(document: dict[str, Any], fragment: str = "", **view: Any) -> Page:
        started.complaints.clear()
        started.requests.clear()
        started.view(**{"width": 1440, "height": 900, **view})
        path = tmp_path / "page.html"
        path.write_text(page_html(document), encoding="utf-8")
        started.open(path)
        page = Page(started, path)
        opened.append(page)
        page.until("document.documentElement.dataset.ready === 'true'")
        if fragment:
            page.run(f"location.hash = {json.dumps(fragment)}")
        return page

    yield show
    assert started.complaints == []
    assert all(request == opened[-1].path.as_uri() for request in started.requests), started.requests


def alone(document: dict[str, Any], number: int = 0) -> dict[str, Any]:
    return page_document("One", document["graphs"][number : number + 1])


# -- modules ----------------------------------------------------------------------------------------------


def test_a_closed_module_opens_and_its_heading_closes_it(show: Show, two_orders: dict[str, Any]) -> None:
    page = show(alone(two_orders))
    page.choose("levels", "2")
    page.settle()
    assert BLOCK in page.shown()
    assert NORM not in page.shown()
    box = page.run(f"{page.item(BLOCK)}.textContent")
    assert "conv2d" in box
    page.click(page.item(BLOCK))
    page.settle()
    assert BLOCK not in page.shown()
    assert {"features.0.conv#conv2d", NORM, "features.0.act#tanh"} <= set(page.shown())
    page.click(f"document.querySelector('[data-heading={json.dumps(BLOCK)}] .closer')")
    page.settle()
    page.until(f"!document.querySelector('.item[data-key={json.dumps(NORM)}]')")
    assert BLOCK in page.shown()


def test_the_depth_can_be_chosen(show: Show, two_orders: dict[str, Any]) -> None:
    page = show(alone(two_orders))
    page.choose("levels", "0")
    page.settle()
    assert set(page.shown()) == {"#input", "SmallCNN::SmallCNN", "#labels", "#cross_entropy", "#loss"}
    page.choose("levels", "3")
    page.settle()
    assert len(page.shown()) == 23  # every operation, the input, the labels and the loss
    assert page.run("document.querySelectorAll('.item.form-stack').length") == 0


def test_a_chain_of_many_operations_starts_with_few_things_to_look_at(show: Show) -> None:
    graphs = [
        graph_document(record_model(nn.VGG(order=order, activation="tanh"), (2, 3, 32, 32)), order) for order in ORDERS
    ]
    page = show(page_document("VGG16", graphs))
    assert page.run("document.querySelectorAll('.pane').length") == 2
    shown = page.shown()
    assert 15 <= len(shown) <= 60
    assert page.shown(1) == shown
    words = f"Array.from({page.item(BLOCK)}.querySelectorAll('.glyph'), e => e.textContent)"
    assert page.run(words) == ["conv2d", "batch_norm", "tanh"]
    assert page.run(words.replace("document.", "document.querySelectorAll('.pane')[1].")) == [
        "conv2d",
        "tanh",
        "batch_norm",
    ]
    # Three that are alike are one, until they are asked for.
    last = page.run(f"{page.item('features.14::ConvBlock')}.textContent")
    assert "14–16" in last
    assert "×3" in last
    assert "features.15::ConvBlock" not in shown
    # All of it can be seen, and read: letters of at least 6 pixels.
    assert page.run(
        "Array.from(document.querySelectorAll('.item')).every(e => { const b = e.getBoundingClientRect(); "
        "return b.top >= 0 && b.bottom <= innerHeight && b.left >= 0 && b.right <= innerWidth; })"
    )
    assert page.run("document.querySelector('.item text').getBoundingClientRect().height") > 8
    # Both panes show the same part.
    page.browser.press("+", "+")
    same = "(views => views[0] === views[1] && views[0])"
    views = "Array.from(document.querySelectorAll('.viewport'), e => e.getAttribute('transform'))"
    assert "matrix" in page.until(f"{same}({views})")
    page.browser.press("0", "0")
    page.click(page.item("features.14::ConvBlock"))
    page.settle()
    assert {"features.14::ConvBlock", "features.15::ConvBlock", "features.16::ConvBlock"} <= set(page.shown(1))


def test_what_is_long_uses_a_wide_window(show: Show) -> None:
    graph = graph_document(record_model(nn.MobileNet(order="swap"), (2, 3, 32, 32)), "")
    width = "document.querySelector('.viewport').getBoundingClientRect().width / innerWidth"
    letters = "document.querySelector('.item text').getBoundingClientRect().height"
    pressed = "document.querySelector('.switches [aria-pressed=true][title*=columns]') !== null"
    page = show(page_document("MobileNet", [graph]))
    page.run("[...document.querySelectorAll('.switch')].find(e => e.textContent === 'repeats ×').click()")
    page.settle()
    page.choose("levels", "2")
    page.settle()
    page.middle("document.querySelector('.item')")
    assert page.run(pressed)
    assert page.run(width) > 0.35
    large, shown = page.run(letters), page.shown()
    # What is in the second column is above what is before it, and edges lead there.
    before, after = "features.5.pointwise::ConvBlock", "features.7.depthwise::ConvBlock"
    tops = [page.run(f"{page.item(key)}.getBoundingClientRect().y") for key in (before, after)]
    assert tops[1] < tops[0]
    headings = page.run("Array.from(document.querySelectorAll('.heading'), e => e.textContent)")
    assert "… Sequentialfeatures" in headings
    page.click("document.querySelector('.switches [title*=columns]')")
    page.settle()
    page.browser.press("0", "0")
    page.middle("document.querySelector('.item')")
    assert not page.run(pressed)
    assert sorted(page.shown()) == sorted(shown)
    assert page.run(letters) < 0.85 * large
    # The reader's choice stays.
    page.choose("levels", "1")
    page.choose("levels", "2")
    assert not page.run(pressed)
    # A narrow window has no room for two.
    page = show(page_document("MobileNet", [graph]), width=390, height=800)
    assert not page.run(pressed)


def test_a_box_in_two_columns_closes_as_one(show: Show) -> None:
    page = show(page_document("VGG16", [graph_document(record_model(nn.VGG(), (2, 3, 32, 32)), "")]))
    page.choose("levels", "2")
    page.settle()
    assert page.run("document.querySelectorAll('[data-heading=\"features::Sequential\"]').length") == 2
    page.click("document.querySelectorAll('[data-heading=\"features::Sequential\"]')[1].querySelector('.closer')")
    page.settle()
    page.until("document.querySelectorAll('[data-heading=\"features::Sequential\"]').length === 0")
    assert "features::Sequential" in page.shown()
    assert not any(key.startswith("features.") for key in page.shown())


# -- a node -----------------------------------------------------------------------------------------------


def test_a_node_tells_all_about_itself(show: Show, two_orders: dict[str, Any]) -> None:
    page = show(alone(two_orders), fragment=f"node={NORM.replace('#', '%23')}")
    page.until("!document.querySelector('.panel').hidden")
    text = page.panel
    for expected in ("BatchNorm2d", NORM, "4×32×28×28", "float32", "batch statistics", "weight", "bias", "saturation"):
        assert expected in text
    assert "derivative checked" not in text
    assert page.run("document.querySelectorAll('.panel .histogram').length") == 2  # of the value and of its gradient
    assert page.run("document.querySelectorAll('.panel .histogram .bar').length") >= 20
    assert page.run("document.querySelectorAll('.panel .sparkline .band').length") == 1
    # The mean over seeds and its interval, which are that of one seed and 10 % around it here.
    found = re.search(r"saturation\s+([\d.]+)\s+\[([\d.]+), ([\d.]+)\]", text)
    assert found
    mean, low, high = map(float, found.groups())
    measured = two_orders["graphs"][0]["frames"][2]["nodes"][NORM]["value"]["saturation"]
    assert [mean, low, high] == pytest.approx([measured, 0.9 * measured, 1.1 * measured], rel=5e-3)
    assert "mean over seeds, with its 95 % interval" in text.replace("\u2009", " ")
    page.click("document.querySelector('.panel .key button')")
    page.until("/copied|selected/.test(document.querySelector('.panel .key button').textContent)")
    # Only at the first moment derivatives were checked.
    page.slide(".timeline", 0)
    assert re.search(r"✓ derivative checked: relative error \d", page.panel)
    page.browser.press("Escape")
    assert page.panel == ""


def test_a_small_tensor_shows_its_numbers(show: Show) -> None:
    x = tg.tensor(np.arange(25, dtype=np.float32).reshape(5, 5) - 12, requires_grad=True, name="x")
    graph = graph_document(record_model(lambda image: image.tanh(), x, observe=True), "")
    page = show(page_document("5 × 5", [graph]))
    page.click(page.item("#tanh"))
    assert page.run("document.querySelectorAll('.panel table.heat')[0].rows.length") == 5
    assert page.run("document.querySelector('.panel table.heat').rows[2].cells[2].textContent") == "0"
    colours = page.run(
        "Array.from(document.querySelectorAll('.panel .heat td'), e => e.style.backgroundColor).slice(0, 25)"
    )
    assert len(set(colours)) > 5


def test_forward_and_backward_light_each_other_up(show: Show) -> None:
    graph = graph_document(record_model(nn.ConvBlock(1, 4, 3), labelled(2)[0], backward=True), "")
    forward = next(node for node in graph["nodes"] if node["role"] == "norm" and node["derivative_of"] is None)
    derivative = next(node for node in graph["nodes"] if node["derivative_of"] == forward["id"])
    page = show(page_document("Both ways", [graph]))
    # Side by side, in one row.
    tops = [page.run(f"{page.item(node['key'])}.getBoundingClientRect().y") for node in (forward, derivative)]
    assert abs(tops[0] - tops[1]) < 40
    page.point(page.item(forward["key"]))
    assert page.run(f"{page.item(derivative['key'])}.classList.contains('partner')")
    assert page.run("document.querySelectorAll('.curve.lit').length") >= 2
    page.point(page.item(derivative["key"]))
    assert page.run(f"{page.item(forward['key'])}.classList.contains('partner')")
    assert page.run("document.querySelectorAll('.flow-gradient').length") >= 2
    page.click("document.querySelector('.switch:last-child')")
    page.settle()
    assert derivative["key"] not in page.shown()
    assert forward["key"] in page.shown()


# -- search and keys --------------------------------------------------------------------------------------


def test_a_search_goes_from_hit_to_hit(show: Show, two_orders: dict[str, Any]) -> None:
    page = show(alone(two_orders))
    page.choose("levels", "1")
    page.settle()
    page.browser.press("/")
    assert page.run("document.activeElement.type") == "search"
    page.browser.write("batch_norm 4x32")
    assert page.run("document.querySelector('.search output').value") == "2 found"
    page.browser.press("Enter", "\r")
    page.settle()
    # What is around the hit is opened, and the hit stands in the middle.
    assert page.run("document.querySelector('.search output').value") == "1 of 2"
    assert NORM in page.shown()
    assert page.run(f"{page.item(NORM)}.classList.contains('current')")
    middle = page.run(f"(b => b.x + b.width / 2)({page.item(NORM)}.getBoundingClientRect())")
    assert 300 < middle < 1000
    assert page.run("document.querySelectorAll('.item.missed').length") > 3
    page.browser.press("Enter", "\r")
    assert page.run("document.querySelector('.search output').value") == "2 of 2"
    page.browser.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", windowsVirtualKeyCode=13, modifiers=8)
    assert page.run("document.querySelector('.search output').value") == "1 of 2"
    page.browser.press("Escape")
    assert page.run("document.querySelectorAll('.item.missed').length") == 0


def test_the_keyboard_walks_opens_and_closes(show: Show, two_orders: dict[str, Any]) -> None:
    page = show(alone(two_orders))
    page.choose("levels", "2")
    page.settle()
    selected = "document.querySelector('.item.selected')?.dataset.key"
    page.browser.press("ArrowDown")
    assert page.run(selected) == "#input"
    page.browser.press("ArrowDown")
    assert page.run(selected) == BLOCK
    page.browser.press("Enter")
    page.settle()
    assert NORM in page.shown()
    page.browser.press("ArrowDown")
    page.browser.press("ArrowDown")
    assert page.run(selected) in set(page.shown())
    page.browser.press("Backspace")
    page.settle()
    assert page.run("document.querySelector('.item.selected')?.dataset.key") == BLOCK
    before = page.run("document.querySelector('.viewport').getAttribute('transform')")
    page.browser.press("+", "+")
    page.until(f"document.querySelector('.viewport').getAttribute('transform') !== {json.dumps(before)}")
    page.browser.press("?", "?")
    assert page.run("document.querySelector('dialog').open")
    assert "Shift+Enter" in page.run("document.querySelector('dialog').innerText")
    page.run("document.querySelector('dialog').close()")


# -- colours, strips, epochs ------------------------------------------------------------------------------


def test_epochs_change_colours_and_strips_but_not_the_layout(show: Show, two_orders: dict[str, Any]) -> None:
    page = show(alone(two_orders))
    page.choose("levels", "3")
    page.choose("strip", "variance")
    page.choose("colouring", "variance")
    page.settle()
    strip = f"{page.item(NORM)}.querySelector('.strip')"
    cells = f"Array.from({strip}.querySelectorAll('path'), e => e.getAttribute('d').split('M').length - 1)"
    assert sum(page.run(cells)) == 32  # one cell for each channel
    picture = f"Array.from({strip}.querySelectorAll('path'), e => e.outerHTML).join('')"
    tint = f"{page.item(NORM)}.style.getPropertyValue('--tint')"
    seen, places = [], page.places()
    for number in range(3):
        page.slide(".timeline", number)
        assert page.run("document.querySelector('.timeline output').value") == f"epoch {number}"
        seen.append((page.run(tint), page.run(picture)))
        assert page.places() == places
    assert len({colour for colour, _ in seen}) == 3
    assert len({cells for _, cells in seen}) == 3
    legend = page.run("document.querySelector('.legend').innerText")
    assert "nodes: variance" in legend
    assert "channels: variance" in legend
    # The pointer reads a single channel.
    page.point(strip)
    assert re.fullmatch(
        r"channel 1[56] of 32: variance [\d.]+", page.run("document.querySelector('.note-box').textContent")
    )


def test_epochs_play(show: Show, two_orders: dict[str, Any]) -> None:
    page = show(alone(two_orders))
    assert page.run("document.querySelector('.timeline output').value") == "epoch 2"
    page.browser.press(" ", " ")
    page.until("document.querySelector('.timeline output').value === 'epoch 0'")
    page.until("document.querySelector('.timeline output').value === 'epoch 2'")


def test_without_several_moments_there_is_no_slider(show: Show) -> None:
    graph = graph_document(record_model(nn.ConvBlock(1, 4, 3), (2, 1, 8, 8)), "")
    page = show(page_document("Block", [graph]))
    assert page.run("document.querySelector('.timeline').hidden")
    assert page.run("document.querySelector('.diffbar').hidden")
    assert page.run("document.querySelector('select[name=strip]')") is None  # nothing was measured


def test_hundreds_of_channels_have_a_cell_each(show: Show) -> None:
    block = nn.ConvBlock(1, 512, 3)
    record = record_model(block, (2, 1, 6, 6), observe=True, checks=False)
    page = show(page_document("Wide", [graph_document(record, "")]))
    page.choose("strip", "mean")
    page.settle()
    strips = page.run(
        "Array.from(document.querySelectorAll('.item .strip'), s => Array.from(s.querySelectorAll('path'), "
        "e => e.getAttribute('d').split('M').length - 1).reduce((a, b) => a + b, 0))"
    )
    assert strips.count(512) >= 2


# -- the difference ---------------------------------------------------------------------------------------


def test_the_moved_batch_norm_travels(show: Show, two_orders: dict[str, Any]) -> None:
    page = show(two_orders)
    assert page.run("document.querySelector('.tabs [aria-selected=true]').textContent") == "difference"
    assert "5 batch_norm moved" in page.run("document.querySelector('.diffbar .summary').textContent")
    assert page.panel.count(NORM) == 1
    assert "after conv2d (convention) → after tanh (swap)" in page.panel
    assert "∂" not in page.panel  # derivatives follow, and nothing is said of them
    page.choose("levels", "3")
    page.settle()

    def height(key: str) -> float:
        found = page.run(f"(b => b.y + b.height / 2)({page.item(key)}.querySelector('.body').getBoundingClientRect())")
        return float(found)

    act = "features.0.act#tanh"
    assert height(NORM) < height(act)
    assert page.run(f"{page.item(NORM)}.querySelector('.badge').textContent") == "⇅"
    assert page.run(f"{page.item(NORM)}.classList.contains('diff-moved')")
    start = page.run(f"{page.item(NORM)}.getBoundingClientRect().x")
    page.slide(".diffbar", 0.5)
    # On the left of the activation.
    assert page.run(f"{page.item(NORM)}.getBoundingClientRect().x") < start - 20
    page.run("document.querySelector('.diffbar .play').click()")
    page.until("document.querySelector('.diffbar input').value === '1'")
    assert height(NORM) > height(act)
    page.click(page.item(NORM))
    assert "moved: after conv2d (convention) → after tanh (swap)" in page.panel
    # What was measured of both.
    for moment in (2, 0):
        page.slide(".timeline", moment)
        found = re.search(r"convention\s+swap\s[^Σ]*saturation\s+([\d.]+)\s+([\d.]+)", page.panel)
        assert found
        measured = [graph["frames"][moment]["nodes"][NORM]["value"]["saturation"] for graph in two_orders["graphs"]]
        assert list(map(float, found.groups())) == pytest.approx(measured, rel=5e-3)


def test_inside_a_closed_module_its_sign_travels(show: Show, two_orders: dict[str, Any]) -> None:
    page = show(two_orders)
    page.choose("levels", "2")
    page.settle()
    # One difference each.
    badges = "Array.from(document.querySelectorAll('.badge text'), e => e.textContent)"
    assert set(page.run(badges)) == {"⇅"}
    places = (
        "Array.from(document.querySelectorAll('.apart'), e => [e.textContent, e.getBoundingClientRect().x]).slice(0, 3)"
        ".sort((a, b) => a[1] - b[1]).map(e => e[0])"
    )
    assert page.run(places) == ["conv2d", "batch_norm", "tanh"]
    page.slide(".diffbar", 1)
    assert page.run(places) == ["conv2d", "tanh", "batch_norm"]


def test_derivatives_travel_with_what_moved(show: Show) -> None:
    graphs, records = [], []
    for order in ORDERS:
        records.append(record_model(nn.ConvBlock(1, 4, 3, order=order, activation="tanh"), (2, 1, 8, 8), backward=True))
        graphs.append(graph_document(records[-1], order))
    page = show(page_document("Both ways", graphs, compare(*records, ORDERS).document()["diff"]))
    page.settle()
    assert page.run("document.querySelectorAll('.badge').length") == 1
    assert page.run("document.querySelectorAll('.way').length") == 1
    norm, derivative = (
        next(
            node["key"]
            for node in graphs[0]["nodes"]
            if node["role"] == "norm" and bool(node["derivative_of"]) is is_derivative
        )
        for is_derivative in (False, True)
    )
    place = "(b => [b.x, b.y])({}.getBoundingClientRect())"
    starts = [page.run(place.format(page.item(key))) for key in (norm, derivative)]
    page.slide(".diffbar", 0.5)
    halves = [page.run(place.format(page.item(key))) for key in (norm, derivative)]
    # Each on its own side.
    assert halves[0][0] < starts[0][0] - 20
    assert halves[1][0] > starts[1][0] + 20
    page.slide(".diffbar", 1)
    ends = [page.run(place.format(page.item(key))) for key in (norm, derivative)]
    assert all(end[1] > start[1] + 20 for start, end in zip(starts, ends, strict=True))


# -- several networks -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def four(two_orders: dict[str, Any]) -> dict[str, Any]:
    """Four networks, as a comparison has them."""
    given: dict[str, Any] = json.loads(json.dumps({**two_orders, "graphs": two_orders["graphs"] * 2}))
    names = [f"{activation}, {order}" for activation in ("tanh", "relu") for order in ORDERS]
    for graph, name in zip(given["graphs"], names, strict=True):
        graph["name"] = name
    given["diff"]["first"], given["diff"]["second"] = names[:2]
    return given


HEADS = "Array.from(document.querySelectorAll('select.pane-title'), e => e.selectedOptions[0].textContent)"


def pick(page: Page, place: int, number: int) -> None:
    page.run(
        f"(e => {{ e.value = '{number}'; e.dispatchEvent(new Event('change')); }})"
        f"(document.querySelectorAll('select.pane-title')[{place}])"
    )


def test_two_of_many_are_side_by_side_and_which_can_be_chosen(show: Show, four: dict[str, Any]) -> None:
    page = show(four)
    page.click("document.querySelector('[data-tab=beside]')")
    # At first those whose difference is told.
    assert page.run(HEADS) == ["tanh, convention", "tanh, swap"]
    pick(page, 1, 3)
    assert page.run(HEADS) == ["tanh, convention", "relu, swap"]
    assert [len(page.shown(pane)) for pane in (0, 1)] == [len(page.shown())] * 2
    # Never the same one twice: they change places.
    pick(page, 0, 3)
    assert page.run(HEADS) == ["relu, swap", "tanh, convention"]
    heights = page.run("Array.from(document.querySelectorAll('.pane-title'), e => e.offsetHeight)")
    assert max(heights) < 32  # one line
    page.click("document.querySelector('[data-tab=one]')")
    assert page.run(HEADS) == ["relu, swap"]
    assert page.run("document.querySelectorAll('.pane').length") == 1
    # What is selected stays selected in the network that is chosen, if that has it.
    page.choose("levels", "3")
    page.settle()
    page.click(page.item(NORM))
    pick(page, 0, 2)
    assert page.run("document.querySelector('.item.selected').dataset.key") == NORM
    assert NORM in page.panel
    # Beside what was seen last comes its neighbour.
    page.click("document.querySelector('[data-tab=beside]')")
    assert page.run(HEADS) == ["relu, convention", "relu, swap"]


@pytest.mark.parametrize(("width", "height"), [(1500, 950), (1280, 800), (390, 800)])
def test_nothing_lies_over_the_graph_at_first(show: Show, four: dict[str, Any], width: int, height: int) -> None:
    page = show(four, width=width, height=height)
    for tab in ("diff", "beside", "one"):
        page.run(f"document.querySelector('[data-tab={tab}]').click()")
        page.settle()
        page.middle("document.querySelector('.item')")  # after the next picture
        covered = page.run(
            "(() => { const over = [...document.querySelectorAll('.legend, .switches, .pane-title')]"
            ".filter(e => e.checkVisibility()).map(e => e.getBoundingClientRect());"
            "return Array.from(document.querySelectorAll('.item:not(.gone)')).filter(e => { const b = "
            "e.getBoundingClientRect(); return over.some(o => b.left < o.right && b.right > o.left && b.top < o.bottom "
            "&& b.bottom > o.top); }).map(e => e.dataset.key); })()"
        )
        assert covered == []
        assert page.run("document.documentElement.scrollWidth") <= width
    assert page.run("document.querySelector('.toolbar').offsetHeight") < (60 if width > 860 else 140)


# -- the page ---------------------------------------------------------------------------------------------


def test_dark_and_light(show: Show, two_orders: dict[str, Any]) -> None:
    page = show(alone(two_orders), scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.run(ground)
    page.browser.press("d", "d")
    light = page.run(ground)
    assert dark != light
    assert [sum(map(int, re.findall(r"\d+", colour)[:3])) > 384 for colour in (dark, light)] == [False, True]
    page.click("document.querySelector('button.theme')")
    assert page.run(ground) == dark


def test_dark_or_light_follows_the_system_until_it_is_chosen(show: Show, two_orders: dict[str, Any]) -> None:
    page = show(alone(two_orders))
    theme = "document.documentElement.dataset.theme"
    assert page.run(theme) == "light"
    for scheme in ("dark", "light", "dark"):
        page.browser.view(scheme=scheme)
        page.until(f"{theme} === '{scheme}'")
    # Colours of numbers, too.
    page.choose("strip", "mean")
    page.settle()
    cells = "document.querySelector('.item .strip path').getAttribute('fill')"
    dark = page.run(cells)
    page.browser.view(scheme="light")
    page.until(f"{theme} === 'light'")
    assert page.run(cells) != dark
    page.click("document.querySelector('button.theme')")
    assert page.run(theme) == "dark"
    page.browser.view(scheme="dark")
    page.browser.view(scheme="light")
    page.run("new Promise(done => setTimeout(done, 100))")
    assert page.run(theme) == "dark"


def test_two_fingers_zoom(show: Show, two_orders: dict[str, Any]) -> None:
    page = show(alone(two_orders), width=390, height=800)
    page.middle("document.querySelector('.item')")
    matrix = "(m => [m.a, m.e, m.f])(document.querySelector('.viewport').transform.baseVal.consolidate().matrix)"
    zoom, before_left, before_top = page.run(matrix)
    box = page.run("(b => [b.x, b.y, b.width, b.height])(document.querySelector('.pane').getBoundingClientRect())")
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 2

    def touch(kind: str, apart: float) -> None:
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}] if kind != "touchEnd" else []
        page.browser.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    touch("touchStart", 40)
    for apart in (50, 60, 70, 80):
        touch("touchMove", apart)
    touch("touchEnd", 0)
    page.middle("document.querySelector('.item')")
    nearer, left, top = page.run(matrix)
    assert nearer == pytest.approx(2 * zoom, rel=0.02)
    # What was between the fingers is there still.
    assert (x - box[0] - left) / nearer == pytest.approx((x - box[0] - before_left) / zoom, abs=3)
    assert (y - box[1] - top) / nearer == pytest.approx((y - box[1] - before_top) / zoom, abs=3)
    # It was no click.
    assert page.panel == ""


def test_paper_shows_the_graph_and_no_controls(show: Show, two_orders: dict[str, Any], tmp_path: Path) -> None:
    page = show(two_orders, medium="print")
    for gone in (".tabs", ".zoom", "footer", ".panel", ".search"):
        assert not page.run(f"document.querySelector('{gone}').checkVisibility()")
    assert page.run("document.querySelector('svg.graph').checkVisibility()")
    page.run("dispatchEvent(new Event('beforeprint'))")
    assert page.run("document.querySelector('svg.graph').hasAttribute('viewBox')")
    page.run("dispatchEvent(new Event('afterprint'))")
    assert not page.run("document.querySelector('svg.graph').hasAttribute('viewBox')")
    page.browser.printed(tmp_path / "page.pdf")
    pdf = (tmp_path / "page.pdf").read_bytes()
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 1
    page.browser.view(medium="screen")


def test_a_narrow_screen(show: Show, two_orders: dict[str, Any]) -> None:
    page = show(two_orders, width=400, height=800)
    assert page.run("document.documentElement.scrollWidth") <= 400
    assert page.run("document.querySelector('svg.graph').getBoundingClientRect().height") > 300
    assert not page.run("document.querySelector('select[name=colouring]').checkVisibility()")
    page.click("document.querySelector('.more summary')")
    assert page.run("document.querySelector('select[name=colouring]').checkVisibility()")


HOSTILE = '</script><img src=x onerror="window.harmed=1">"];evil<b>\u2028'


def test_hostile_names_do_nothing(show: Show, two_orders: dict[str, Any]) -> None:
    text = json.dumps(two_orders)
    given = json.loads(text)
    for graph in given["graphs"]:
        graph["name"] += HOSTILE
        graph["title"] = HOSTILE
        for node in graph["nodes"]:
            node["label"] += HOSTILE
            node["name"] += HOSTILE
            node["attributes"].append([HOSTILE, HOSTILE])
            node["equation"] = {"forward": HOSTILE, "backward": HOSTILE}
        for cluster in graph["clusters"]:
            cluster["label"] += HOSTILE
            cluster["name"] += HOSTILE
        for edge in graph["edges"]:
            edge["argument"] = HOSTILE
        for frame in graph["frames"]:
            frame["name"] += HOSTILE
    given["diff"]["first"], given["diff"]["second"] = (graph["name"] for graph in given["graphs"])
    given["diff"]["summary"] = HOSTILE
    given["title"] = HOSTILE
    page = show(given)
    assert page.run("document.title").startswith(HOSTILE[:-1])
    page.choose("levels", "3")
    page.settle()
    page.click(page.item(NORM))
    assert HOSTILE[:30] in page.panel
    assert page.run("window.harmed") is None
    assert page.run("document.querySelectorAll('img').length") == 0


def test_mobilenet_opens_fast_and_stays_small(show: Show) -> None:
    random = np.random.default_rng(0)
    images, labels = tg.tensor(random.standard_normal((2, 3, 32, 32), np.float32)), tg.tensor(random.integers(0, 10, 2))
    record = record_model(nn.MobileNet(order="swap"), images, target=labels, observe=True, checks=False)
    page = show(page_document("MobileNet", [graph_document(record, "swap")]))
    assert page.path.stat().st_size < 5_000_000
    drawn = page.run("performance.getEntriesByName('drawn')[0].startTime")
    assert drawn < 2000.0
    assert 10 < len(page.shown()) <= 60
