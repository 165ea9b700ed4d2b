"""The comparison of drawings: the same networks for all, and conduct that is told right."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from chromium import chromium

from benchmarks.drawing import __main__ as driver
from benchmarks.drawing.looking import Opened, look
from benchmarks.drawing.measuring import Drawn, Findings, Measurement
from benchmarks.drawing.networks import batch
from benchmarks.drawing.report import Report
from benchmarks.drawing.serving import Server
from benchmarks.drawing.tools import TOOLS, Tool
from benchmarks.drawing.worker_ours import Ours
from benchmarks.environments import PeerMissingError
from benchmarks.progress import Progress
from tinygrad_bn import nn


@pytest.mark.parametrize("name", ["smallcnn", "vgg16"])
def test_networks_in_pytorch_have_our_parameters(name: str) -> None:
    pytest.importorskip("torch")
    from benchmarks.drawing.networks_torch import network

    theirs, input = network(name, 0)
    ours, _ = Ours("svg", False).network(name, 0)
    assert [tuple(p.shape) for p in theirs.parameters()] == [p.shape for p in ours.parameters()]
    assert (input.numpy() == batch(name)).all()


def test_what_a_drawing_changes_is_found(tmp_path: Path) -> None:
    class Careless(Ours):
        def draw(self, model: nn.Module, input: object, stem: Path) -> Path:
            model.eval()
            model(input)
            next(iter(model.parameters())).data[...] += 1
            return stem

    request = {"do": "state", "stem": str(tmp_path / "x")}
    assert Server(Careless("svg", False)).answer(request)["changed"] == ["parameters", "mode"]
    assert Server(Ours("html", False)).answer(request)["changed"] == []


def test_a_tool_is_measured_from_start_to_end(tmp_path: Path) -> None:
    told: list[str] = []
    findings = Measurement(TOOLS[1], Path(sys.executable), tmp_path / "out", None, told.append).run()
    assert findings.same_bytes is True
    assert findings.changed == []
    assert {drawn.kind for drawn in findings.drawings.values()} == {"html"}
    assert told[0] == "tinygrad_bn-page: starting"
    assert "| tinygrad_bn-page | html |" in Report({}, {"tinygrad_bn-page": findings}).as_markdown().replace("  ", "")


def test_a_name_that_runs_and_a_request_are_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<p>text</p><script>alert(1)</script><script src='https://example.org/x.js'></script>")
    with chromium(tmp_path / "profile") as browser:
        opened = look(browser, page.as_uri(), "p", openings=1)
    assert opened.seconds is not None
    assert (opened.dialogs, opened.hosts, opened.text) == (["1"], ["example.org"], False)


def test_a_tool_that_cannot_be_had_is_named_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(tool: Tool, tell: object) -> Path:
        raise PeerMissingError("graphs cannot be installed: ERROR: No matching distribution found for keras")

    monkeypatch.setattr(driver, "interpreter", missing)
    report = Report({})
    driver._measure(report, TOOLS[-1], tmp_path, Progress())
    assert report.tools == {}
    assert report.as_markdown().endswith(
        "* keras: graphs cannot be installed: ERROR: No matching distribution found for keras\n"
    )


def test_conduct_is_told() -> None:
    nothing = Drawn(error="RuntimeError: no")
    drawings = dict.fromkeys(("smallcnn", "vgg16", "chain", "again", "no dot"), nothing)
    drawings["hostile"] = Drawn(kind="html", opened=Opened(dialogs=["1"], hosts=["example.org"]))
    text = Report({}, {"x": Findings({}, drawings, ["statistics"])}).as_markdown()
    cells = [cell.strip() for line in text.splitlines() if line.startswith("| x") for cell in line.split("|")[2:-1]]
    assert cells == ["-"] * 9 + ["-", "statistics", "error", "run, nothing drawn", "example.org"]
    assert "* x, no dot: RuntimeError: no" in text
