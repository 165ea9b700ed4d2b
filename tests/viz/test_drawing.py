"""Writing and showing drawings on three machines: with `dot`, with pygraphviz alone, and with neither."""

from __future__ import annotations

import html
import os
import shutil
import subprocess
import sys
from pathlib import Path

import graphviz
import pytest

import tinygrad_bn as tg
from tinygrad_bn.errors import ArgumentError, MissingDependencyError
from tinygrad_bn.viz import Drawing, draw

MAGIC = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF", "jpg": b"\xff\xd8\xff", "jpeg": b"\xff\xd8\xff"}


@pytest.fixture
def drawing() -> Drawing:
    return draw(tg.tensor([1.0], requires_grad=True, name="x").exp().sum(), name="two words/..")


def needs_dot() -> None:
    if shutil.which("dot") is None:
        pytest.skip("there is no program dot")


def test_a_drawing_is_a_digraph(drawing: Drawing) -> None:
    assert isinstance(drawing, graphviz.Digraph)
    assert drawing.source.startswith("digraph two_words_ {")
    drawing.attr(bgcolor="ivory")
    drawing.node("more")
    assert "bgcolor=ivory" in drawing.source
    assert "more" in drawing.copy().source


@pytest.mark.parametrize("format", MAGIC)
def test_in_process(drawing: Drawing, without_dot: Path, tmp_path: Path, format: str) -> None:
    pytest.importorskip("pygraphviz")
    path = drawing.render(tmp_path / "sub" / "graph", format=format)
    assert path == str(tmp_path / "sub" / f"graph.{format}")
    assert Path(path).read_bytes().startswith(MAGIC[format])
    assert os.listdir(tmp_path / "sub") == [f"graph.{format}"]


@pytest.mark.parametrize("format", MAGIC)
def test_with_the_program_dot(drawing: Drawing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, format: str) -> None:
    needs_dot()
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    path = drawing.render(str(tmp_path / "graph"), format=format)
    assert Path(path).read_bytes().startswith(MAGIC[format])


def test_pixels_are_fine_enough_to_read(drawing: Drawing) -> None:
    pytest.importorskip("pygraphviz")
    width = int.from_bytes(drawing.pipe("png")[16:20], "big")
    drawing.graph_attr["dpi"] = "80"
    assert int.from_bytes(drawing.pipe("png")[16:20], "big") == pytest.approx(width / 2, abs=2)


@pytest.mark.usefixtures("without_engine")
def test_with_no_engine_the_page_is_written_and_the_warning_says_what_to_install(
    drawing: Drawing, tmp_path: Path
) -> None:
    with pytest.warns(RuntimeWarning, match=r"pip install 'tinygrad_bn\[viz\]'"):
        path = drawing.render(tmp_path / "sub" / "graph", format="svg")
    assert path == str(tmp_path / "sub" / "graph.html")
    assert Path(path).read_bytes() == drawing.pipe("html")
    assert os.listdir(tmp_path / "sub") == ["graph.html"]


@pytest.mark.usefixtures("without_engine")
def test_with_no_engine_a_pipe_says_what_to_install(drawing: Drawing) -> None:
    with pytest.raises(MissingDependencyError, match=r"pip install 'tinygrad_bn\[viz\]'"):
        drawing.pipe("svg")


@pytest.mark.usefixtures("without_engine")
@pytest.mark.parametrize("format", ["dot", "gv"])
def test_dot_text_needs_no_engine(drawing: Drawing, tmp_path: Path, format: str) -> None:
    path = drawing.render(tmp_path / "graph", format=format)
    assert Path(path).read_text(encoding="utf-8") == drawing.source


def test_jupyter_shows_a_picture(drawing: Drawing, without_dot: Path) -> None:
    pytest.importorskip("pygraphviz")
    assert "<svg" in drawing._repr_mimebundle_()["image/svg+xml"]
    assert drawing._repr_mimebundle_(include=["image/png"])["image/png"].startswith(MAGIC["png"])
    assert "<svg" in (drawing._repr_svg_() or "")


@pytest.mark.usefixtures("without_engine")
def test_jupyter_shows_the_page_where_there_is_no_engine(drawing: Drawing) -> None:
    bundle = drawing._repr_mimebundle_()
    assert bundle["text/plain"] == drawing.source
    opening, page, _ = bundle["text/html"].split('"', 2)
    assert opening == "<iframe srcdoc="
    assert html.unescape(page) == drawing.pipe("html", encoding="utf-8")
    assert drawing._repr_svg_() is None


@pytest.mark.usefixtures("without_engine")
def test_with_no_engine_nothing_stands_in_for_a_drawing_without_records(drawing: Drawing, tmp_path: Path) -> None:
    copied = drawing.copy()
    with pytest.raises(MissingDependencyError):
        copied.render(tmp_path / "graph")
    assert "text/html" not in copied._repr_mimebundle_()
    with pytest.raises(ArgumentError, match=r"made by draw\(\)"):
        copied.document()
    assert os.listdir(tmp_path) == []


def test_an_unknown_format_is_refused_before_anything_is_written(drawing: Drawing, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"format to be one of .*svg, .*got 'svgg'; did you mean 'svg'"):
        drawing.render(tmp_path / "graph", format="svgg")
    assert os.listdir(tmp_path) == []


def test_the_suffix_is_not_doubled_and_the_name_is_the_default(
    drawing: Drawing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert drawing.render("graph.dot", format="dot") == "graph.dot"
    assert drawing.render(format="dot") == "two_words_.dot"
    assert drawing.render("graph.v1", format="dot") == "graph.v1.dot"


def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    drawing: Drawing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "graph.dot").write_text("old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        drawing.render(tmp_path / "graph", format="dot")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_view_opens_the_picture(drawing: Drawing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygraphviz")
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    path = drawing.view(tmp_path / "graph")
    assert opened == [Path(path).as_uri()]


def test_importing_the_package_loads_no_engine() -> None:
    program = (
        "import sys, tinygrad_bn; print([m for m in ('graphviz', 'pygraphviz', 'tinygrad_bn.viz') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
