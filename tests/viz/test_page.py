"""The file of the interactive page: harmless, always the same, and built from the sources beside it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.viz import page as page_module
from tinygrad_bn.viz.document import graph_document, page_document
from tinygrad_bn.viz.page import asset, json_inside_html, page_html
from tinygrad_bn.viz.scale import diverging, sequential
from tinygrad_bn.viz.trace import record_model, record_tensor

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "page"


def document(title: str = "SmallCNN") -> dict[str, Any]:
    graph = record_model(nn.SmallCNN(order="swap", activation="tanh"), (2, 1, 28, 28))
    return page_document(title, [graph_document(graph, "swap")])


def element(page: str, attributes: str) -> str:
    match = re.search(rf"<script[^>]*{attributes}[^>]*>(.*?)</script>", page, flags=re.DOTALL)
    assert match, attributes
    return match.group(1)


def test_the_same_document_gives_the_same_page() -> None:
    assert page_html(document()) == page_html(document())


def test_the_document_can_be_read_back() -> None:
    given = document()
    assert json.loads(element(page_html(given), 'id="document"')) == given


def test_a_large_document_is_compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    given = document()
    monkeypatch.setattr(page_module, "LARGEST_PLAIN", 100)
    page = page_html(given)
    packed = element(page, 'id="document" data-packed="gzip"')
    assert json.loads(gzip.decompress(base64.b64decode(packed))) == given
    assert page == page_html(given)


HOSTILE = "</script><img src=x onerror=alert(1)><!-- & \u2028\u2029 \"' </title>"


def test_nothing_that_a_user_can_name_is_markup() -> None:
    given = document(HOSTILE)
    given["graphs"][0]["nodes"][0]["key"] = HOSTILE
    page = page_html(given)
    assert "<img" not in page
    assert page.count("<!--") == 0
    assert f"<title>{html.escape(HOSTILE)}</title>" in page
    assert json.loads(element(page, 'id="document"')) == given
    assert not set("<>&\u2028\u2029") & set(json_inside_html({"title": HOSTILE}))


@pytest.mark.parametrize("largest", [100, 10_000_000], ids=["packed", "plain"])
def test_half_a_surrogate_pair_does_no_harm(largest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "LARGEST_PLAIN", largest)
    given = document("half \ud83d")
    given["graphs"][0]["nodes"][0]["key"] = "\udc00"
    page = page_html(given)
    page.encode("utf-8")
    text = element(page, 'id="document"')
    text = gzip.decompress(base64.b64decode(text)).decode("utf-8") if largest == 100 else text
    assert json.loads(text) == given
    assert "<title>half \\ud83d</title>" in page


def test_colours_of_numbers_are_those_of_the_static_drawings() -> None:
    text = (SOURCES / "src/colours.js").read_text(encoding="utf-8")
    first, light, dark = (re.findall(r"#[0-9a-f]{6}", stops) for stops in re.findall(r"\[\s*(\"#[^]]+)\]", text))
    assert first == [sequential(step / 15) for step in range(16)]
    assert first[::-1] == [sequential(step / 15, "dark") for step in range(16)]
    assert light == [diverging(step / 4) for step in range(-4, 5)]
    assert dark == [diverging(step / 4, "dark") for step in range(-4, 5)]


def test_a_number_without_json_is_refused() -> None:
    given = document()
    given["graphs"][0]["nodes"][0]["flops"] = float("nan")
    with pytest.raises(ValueError, match="not JSON compliant"):
        page_html(given)


def test_only_the_pages_own_script_and_style_are_allowed() -> None:
    page = page_html(document())
    policy = html.unescape(re.findall(r'Content-Security-Policy" content="([^"]*)"', page)[0])
    digests = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (
            page.rpartition("<script>")[2].partition("</script>")[0],
            page.partition("<style>")[2].partition("</style>")[0],
        )
    ]
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digests[0]}' 'wasm-unsafe-eval'" in policy
    assert f"style-src 'sha256-{digests[1]}'" in policy
    assert "unsafe-inline" not in policy
    assert "http" not in policy


def test_the_page_stays_small_and_carries_the_licences() -> None:
    page = page_html(document())
    assert len(page.encode()) < 1_500_000
    for name in ("Graphviz", "Eclipse Public License", "svg-pan-zoom", "Michael Daines", "Expat"):
        assert name in element(page, 'id="licenses"')


# -- the built files against their sources ----------------------------------------------------------------


def digest_of_sources() -> str:
    names = {path.relative_to(SOURCES).as_posix() for path in (SOURCES / "src").rglob("*") if path.is_file()}
    digest = hashlib.sha256()
    for name in sorted({*names, ".npmrc", "build.mjs", "package.json", "package-lock.json"}):
        digest.update(f"{name}\n{(SOURCES / name).read_text(encoding='utf-8')}\n".encode())
    return digest.hexdigest()


def test_the_script_is_built_from_these_sources() -> None:
    first = asset("page.js").decode("utf-8").partition("\n")[0]
    assert first == f"/* sources {digest_of_sources()} */", "page/ has changed: run `make page`"


def test_versions_are_pinned_and_the_lock_names_no_host() -> None:
    packages = json.loads((SOURCES / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    locked = json.loads((SOURCES / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in packages} == packages
    assert all("integrity" in package and "resolved" not in package for name, package in locked.items() if name)
    banner = asset("page.js").decode("utf-8").splitlines()[1]
    licences = asset("LICENSES.txt").decode("utf-8")
    assert f"@viz-js/viz {packages['@viz-js/viz']} (MIT)" in banner
    assert f"Viz.js {packages['@viz-js/viz']} " in licences
    assert f"svg-pan-zoom {packages['svg-pan-zoom']} " in licences


@pytest.mark.node
@pytest.mark.skipif(not shutil.which("node"), reason="no Node.js: it takes that to change the page, not to use it")
def test_the_pure_parts_of_the_page() -> None:
    done = subprocess.run(["node", "--test"], cwd=SOURCES, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.node
@pytest.mark.skipif(not shutil.which("node"), reason="no Node.js: it takes that to change the page, not to use it")
@pytest.mark.skipif(not (SOURCES / "node_modules/esbuild").is_dir(), reason="page/node_modules is not there: make page")
def test_building_anew_gives_the_same_files(tmp_path: Path) -> None:
    subprocess.run(["node", "build.mjs", str(tmp_path)], cwd=SOURCES, capture_output=True, text=True, check=True)
    assert (tmp_path / "page.js").read_bytes() == asset("page.js")
    assert (tmp_path / "page.css").read_bytes() == asset("page.css")
    # Compressed bytes may differ from one release of zlib to the next.
    built = gzip.decompress((tmp_path / "graphviz.wasm.gz").read_bytes())
    assert built == gzip.decompress(asset("graphviz.wasm.gz"))


def test_the_page_of_a_tensors_graph() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True, name="x")
    page = page_html(page_document("sum", [graph_document(record_tensor((x * x).sum()), "")]))
    assert '"label":"mul"' in element(page, 'id="document"')
