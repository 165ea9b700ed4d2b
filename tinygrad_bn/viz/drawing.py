"""The drawing that `draw` returns: a graphviz.Digraph that finds an engine by itself."""

from __future__ import annotations

import os
import warnings
import webbrowser
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import graphviz

from ..errors import MissingDependencyError
from ..files import atomic_writer
from .records import GraphRecord
from .render import PIXEL_FORMATS, picture

_PIXELS_PER_INCH = "160"


class Drawing(graphviz.Digraph):  # type: ignore[misc]  # graphviz carries no type information
    """A graph in the DOT language that can be written in several formats, and that Jupyter shows.

    All that `graphviz.Digraph` offers works: `graph_attr`, `node_attr` and `edge_attr` may be changed, nodes added.
    Pictures are made by the program `dot`, else by the package pygraphviz, which brings Graphviz along.

    Attributes:
        record: what is drawn, as plain records; None for a drawing that was not made by `draw`.
    """

    record: GraphRecord | None = None

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
            format: "svg" (the default), "pdf", "png", "jpg", or "dot" for the DOT text.
            encoding: to decode the bytes with.
            renderer, formatter, neato_no_op, quiet, engine: of graphviz.Digraph; not used, the layout is always dot's.

        Raises:
            ArgumentError: an unknown format.
            MissingDependencyError: there is neither the program `dot` nor pygraphviz.
        """
        data = picture(self._source_for(format or "svg"), format or "svg")
        return data.decode(encoding) if encoding else data

    def render(self, filename: str | os.PathLike[str] | None = None, *, format: str | None = None) -> str:
        """Write the picture to `filename.format` and return that path; folders are made as needed.

        Without an engine the DOT text is written to `filename.dot` in its place, with a warning that says what to
        install, and that path is returned.

        Args:
            filename: path without the suffix; the drawing's name by default.
            format: "svg" (the default), "pdf", "png", "jpg", or "dot" for the DOT text.

        Raises:
            ArgumentError: an unknown format; nothing is written then.
        """
        format = format or "svg"
        stem = os.fspath(filename) if filename is not None else self.name or "graph"
        stem = stem.removesuffix(f".{format}")
        try:
            data = self.pipe(format)
        except MissingDependencyError:
            path = Path(f"{stem}.dot")
            _write(path, self.source.encode("utf-8"))
            warnings.warn(
                "no picture was drawn, because there is neither the program 'dot' nor the package 'pygraphviz'; the "
                f"DOT text is in {str(path)!r}. Install pygraphviz with: pip install 'tinygrad_bn[viz]', or Graphviz "
                "from https://graphviz.org/download",
                RuntimeWarning,
                stacklevel=2,
            )
            return str(path)
        path = Path(f"{stem}.{format}")
        _write(path, data)
        return str(path)

    def view(self, filename: str | os.PathLike[str] | None = None) -> str:
        """Write the picture as SVG and open it in the web browser; returns its path."""
        path = self.render(filename)
        webbrowser.open(Path(path).resolve().as_uri())
        return path

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None, **_: Any
    ) -> dict[str, Any]:
        """Return what Jupyter shows: the picture, or the DOT text where no engine is installed."""
        try:
            bundle: dict[str, Any] = super()._repr_mimebundle_(include, exclude)
        except MissingDependencyError:
            bundle = {"text/plain": self.source}
        return bundle

    def _repr_svg_(self) -> str | None:
        try:
            return str(self.pipe("svg", encoding="utf-8"))
        except MissingDependencyError:
            return None

    def _source_for(self, format: str) -> str:
        if format not in PIXEL_FORMATS or "dpi" in self.graph_attr:
            return str(self.source)
        fine = self.copy()
        fine.graph_attr["dpi"] = _PIXELS_PER_INCH
        return str(fine.source)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_writer(path) as file:
        file.write(data)
