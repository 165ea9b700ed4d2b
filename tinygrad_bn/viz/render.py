"""From DOT text to pictures: the program `dot`, else Graphviz inside this process, through pygraphviz."""

from __future__ import annotations

import re
import subprocess

import graphviz

from ..errors import missing_dependency, unknown_choice

PIXEL_FORMATS = ("jpeg", "jpg", "png")

_DATE = re.compile(rb"/CreationDate \(D:\d{14}Z\)")

PICTURES = (*PIXEL_FORMATS, "pdf", "svg")


def picture(source: str, format: str) -> bytes:
    """Lay DOT text out and return it in a format.

    Raises:
        ArgumentError: the format is none of PICTURES.
        MissingDependencyError: there is neither a program `dot` that works nor pygraphviz.
    """
    if format not in PICTURES:
        raise unknown_choice("viz", "format", format, PICTURES)
    try:
        drawn: bytes = graphviz.Source(source).pipe(format=format, quiet=True)
    except (graphviz.ExecutableNotFound, subprocess.CalledProcessError):  # a program that fails is as good as none
        drawn = _picture_in_process(source, format)
    # The same drawing shall be the same bytes tomorrow.
    return _DATE.sub(b"/CreationDate (D:20000101000000Z)", drawn) if format == "pdf" else drawn


def _picture_in_process(source: str, format: str) -> bytes:
    try:
        import pygraphviz
    except ImportError as error:
        raise missing_dependency("viz", "pygraphviz", "viz") from error
    drawn: bytes = pygraphviz.AGraph(string=source).draw(format=format, prog="dot")
    return drawn
