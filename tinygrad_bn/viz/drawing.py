"""The drawing that `draw` returns: a graphviz.Digraph that finds an engine by itself."""

from __future__ import annotations

import html
import os
import warnings
import webbrowser
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import graphviz

from ..errors import ArgumentError, MissingDependencyError, explain, unknown_choice
from ..files import write_file
from .document import DOCUMENTS, document_bytes, graph_document, page_document
from .netron import netron_dot
from .records import GraphRecord
from .render import PICTURES, PIXEL_FORMATS, picture
from .svg import finished_svg

TEXTS = ("dot", "gv")
"""The DOT text itself."""

NETRON = "netron.dot"
"""DOT text that Netron reads as typed nodes."""

FORMATS = (*PICTURES, *TEXTS, NETRON, *DOCUMENTS)

_PIXELS_PER_INCH = "160"


class Drawing(graphviz.Digraph):  # type: ignore[misc]  # graphviz carries no type information
    """A graph in the DOT language that can be written in several formats, and that Jupyter shows.

    All that `graphviz.Digraph` offers works: `graph_attr`, `node_attr` and `edge_attr` may be changed, nodes added.
    Pictures are made by the program `dot`, else by the package pygraphviz, which brings Graphviz along.

    Attributes:
        record: what is drawn, as plain records; None for a drawing that was not made by `draw`.
        recordings: by name, all that was recorded: the page can open what the drawing has closed.
        both_themes: whether an SVG follows the theme that its reader has chosen.
    """

    record: GraphRecord | None = None
    recordings: Mapping[str, GraphRecord] | None = None
    both_themes: bool = False

    def document(self) -> dict[str, Any]:
        """Return the JSON document that the interactive page reads, see docs/graph-format.md.

        Raises:
            ArgumentError: the drawing was not made by `draw`.
        """
        title, recordings = self._own_record().title, self.recordings or {}
        return page_document(title, [graph_document(graph, name) for name, graph in recordings.items()])

    def pipe(
        self,
        format: str | None = None,
        renderer: str | None = None,
        formatter: str | None = None,
        neato_no_op: bool | int | None = None,
        quiet: bool = False,
        *,
        engine: str | None = None,
        encoding: str | None = None,
    ) -> Any:
        """Return the picture as bytes, or as text in an encoding.

        Args:
            format: "svg" (the default), "pdf", "png", "jpg", "dot" for the DOT text, "netron.dot" for DOT text
                that Netron reads as typed nodes, "html" for the interactive page, or "json" for its document.
            encoding: to decode the bytes with.
            renderer, formatter, neato_no_op, quiet, engine: of graphviz.Digraph; not used, the layout is always dot's.

        Raises:
            ArgumentError: an unknown format; a page of a drawing that was not made by `draw`.
            MissingDependencyError: for a picture, there is neither the program `dot` nor pygraphviz.
        """
        data = self._bytes(format or "svg")
        return data.decode(encoding) if encoding else data

    def render(self, filename: str | os.PathLike[str] | None = None, *, format: str | None = None) -> str:
        """Write the picture to `filename.format` and return that path; folders are made as needed.

        Without an engine the interactive page is written to `filename.html` in its place, with a warning that says what
        to install, and that path is returned.

        Args:
            filename: path without the suffix; the drawing's name by default.
            format: as for `pipe`.

        Raises:
            ArgumentError: an unknown format; nothing is written then.
        """
        format = format or "svg"
        stem = os.fspath(filename) if filename is not None else self.name or "graph"
        stem = stem.removesuffix(f".{format}")
        try:
            data = self._bytes(format)
        except MissingDependencyError:
            if self.recordings is None:
                raise
            path = Path(f"{stem}.html")
            write_file(path, self._bytes("html"))
            warnings.warn(
                "no picture was drawn, because there is neither the program 'dot' nor the package 'pygraphviz'; the "
                f"interactive page {str(path)!r} shows the graph in a browser. Install pygraphviz with: pip install "
                "'tinygrad_bn[viz]', or Graphviz from https://graphviz.org/download",
                RuntimeWarning,
                stacklevel=2,
            )
            return str(path)
        path = Path(f"{stem}.{format}")
        write_file(path, data)
        return str(path)

    def view(self, filename: str | os.PathLike[str] | None = None) -> str:
        """Write the picture as SVG and open it in the web browser; returns its path."""
        path = self.render(filename)
        webbrowser.open(Path(path).resolve().as_uri())
        return path

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None, **_: Any
    ) -> dict[str, Any]:
        """Return what Jupyter shows: the picture, or the interactive page where no engine is installed."""
        try:
            bundle: dict[str, Any] = super()._repr_mimebundle_(include, exclude)
        except MissingDependencyError:
            bundle = {"text/plain": self.source}
            if self.recordings is not None:
                page = html.escape(self.pipe("html", encoding="utf-8"))
                bundle["text/html"] = f'<iframe srcdoc="{page}" style="width:100%;height:40em;border:0"></iframe>'
        return bundle

    def _repr_svg_(self) -> str | None:
        try:
            return str(self.pipe("svg", encoding="utf-8"))
        except MissingDependencyError:
            return None

    def _bytes(self, format: str) -> bytes:
        if format not in FORMATS:
            raise unknown_choice("viz", "format", format, FORMATS)
        if format in TEXTS:
            return str(self.source).encode("utf-8")
        if format == NETRON:
            return netron_dot(self._own_record()).encode("utf-8")
        if format in DOCUMENTS:
            return document_bytes(self.document(), format)
        drawn = picture(self._source_for(format), format)
        if format != "svg":
            return drawn
        title = self.record.title if self.record is not None else self.name or "graph"
        return finished_svg(drawn.decode("utf-8"), title, both_themes=self.both_themes).encode("utf-8")

    def _own_record(self) -> GraphRecord:
        if self.record is None:
            raise ArgumentError(explain("viz", "a drawing made by draw()", "one without records"))
        return self.record

    def _source_for(self, format: str) -> str:
        if format not in PIXEL_FORMATS or "dpi" in self.graph_attr:
            return str(self.source)
        fine = self.copy()
        fine.graph_attr["dpi"] = _PIXELS_PER_INCH
        return str(fine.source)
