"""From DOT text to pictures: the program `dot`, else Graphviz inside this process, through pygraphviz."""

from __future__ import annotations

import graphviz

from ..errors import missing_dependency, unknown_choice

PIXEL_FORMATS = ("jpeg", "jpg", "png")

PICTURES = (*PIXEL_FORMATS, "pdf", "svg")


def picture(source: str, format: str) -> bytes:
    """Lay DOT text out and return it in a format.

    Raises:
        ArgumentError: the format is none of PICTURES.
        MissingDependencyError: there is neither the program `dot` nor pygraphviz.
        subprocess.CalledProcessError: `dot` failed; the message holds what it said.
    """
    if format not in PICTURES:
        raise unknown_choice("viz", "format", format, PICTURES)
    try:
        drawn: bytes = graphviz.Source(source).pipe(format=format, quiet=True)
    except graphviz.ExecutableNotFound:
        drawn = _picture_in_process(source, format)
    return drawn


def _picture_in_process(source: str, format: str) -> bytes:
    try:
        import pygraphviz
    except ImportError as error:
        raise missing_dependency("viz", "pygraphviz", "viz") from error
    drawn: bytes = pygraphviz.AGraph(string=source).draw(format=format, prog="dot")
    return drawn
