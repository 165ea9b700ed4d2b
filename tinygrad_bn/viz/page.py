"""The interactive page: a graph's JSON document, the drawing program and Graphviz in one HTML file without a network.

The sources of the program are in the folder `page` of the repository; `make page` builds what lies in `assets`.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
from importlib import resources
from typing import Any

POLICY = (
    "default-src 'none'; script-src 'sha256-{script}' 'wasm-unsafe-eval'; style-src 'sha256-{style}'; "
    "base-uri 'none'; form-action 'none'"
)
"""Only the page's own script and style work, and nothing is loaded from anywhere."""

LARGEST_PLAIN = 1_000_000
"""Characters of JSON that stand in the page as they are; more are compressed: measurements fill megabytes."""

_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<noscript>This page draws its graph with JavaScript, which is switched off here. Everything that it would show is in the
JSON text at the end of the file, which is gzipped and in base64 where it is long.</noscript>
<script type="application/octet-stream" id="graphviz">{graphviz}</script>
<script type="application/json" id="document"{packed}>{document}</script>
<script type="text/plain" id="licenses">
{licenses}</script>
<script>{script}</script>
</body>
</html>
"""

# Nothing of these can then end the element that the text stands in, start a comment or break a line of JavaScript.
_ESCAPED = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def page_html(document: dict[str, Any]) -> str:
    """Return the interactive page of a graph's document; the same document always gives the same text.

    Args:
        document: as `document.page_document` makes it and docs/graph-format.md describes it.

    Returns:
        A whole HTML file, which works from a disk and asks for nothing.

    Raises:
        ValueError: a number that JSON has no way to write.
    """
    script, style = asset("page.js").decode("utf-8"), asset("page.css").decode("utf-8").strip()
    text = json_inside_html(document)
    packed = len(text) > LARGEST_PLAIN
    return _TEMPLATE.format(
        policy=html.escape(POLICY.format(script=_digest(script), style=_digest(style))),
        title=html.escape(_writable(str(document["title"]))),
        style=style,
        graphviz=_base64(asset("graphviz.wasm.gz")),
        packed=' data-packed="gzip"' if packed else "",
        document=_base64(gzip.compress(text.encode("utf-8"), mtime=0)) if packed else text,
        licenses=asset("LICENSES.txt").decode("utf-8"),
        script=script,
    )


def json_inside_html(document: Any) -> str:
    """Return JSON that can stand inside a script element, whatever its strings contain.

    >>> json_inside_html({"name": "</script><!--"})
    '{"name":"\\\\u003c/script\\\\u003e\\\\u003c!--"}'
    """
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _writable(text.translate(_ESCAPED))


def asset(name: str) -> bytes:
    """Return the bytes of one of the files that `make page` builds."""
    return resources.files(__package__).joinpath("assets", name).read_bytes()


def _writable(text: str) -> str:
    """Return a text with half a surrogate pair, which UTF-8 cannot write, as JSON escapes it."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _digest(text: str) -> str:
    return _base64(hashlib.sha256(text.encode("utf-8")).digest())


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
