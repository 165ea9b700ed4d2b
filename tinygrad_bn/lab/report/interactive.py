"""The interactive graph as a part of the page: a page of its own in a frame, opened when it is asked for."""

from __future__ import annotations

from ...viz.page import asset, json_inside_html, page_html
from ..comparison import Comparison
from ..graphs import MOST_GRAPHS, comparison_document
from .markup import Markup, element, join

INTRODUCTION = (
    "What happened at every node of the graph, at some moments of the training: move the slider. The strips of "
    "channels are those of the first seed's networks; the statistics of whole layers are means over the seeds with "
    "their 95 % intervals (Student's). All of it was measured in training mode, forward and backward, on the same few "
    "images, which no network was trained on."
)


def graphs_script() -> str:
    """The program of the interactive graph, whose frame has the policy of the page around it beside its own."""
    return asset("page.js").decode("utf-8")


def interactive(comparison: Comparison) -> Markup | None:
    """The frame with what was recorded of the graphs; None where nothing was."""
    document = comparison_document(comparison)
    if document is None:
        return None
    left_out = None
    if len(comparison.conditions) > MOST_GRAPHS:
        left_out = element("p", f"Shown for {MOST_GRAPHS} of {len(comparison.conditions)} conditions.")
    return join(
        element("p", INTRODUCTION),
        left_out,
        element("p", element("button", "Open the graphs", type="button", class_="open-graphs", data_page="graph-page")),
        element("script", Markup(json_inside_html(page_html(document))), type="application/json", id="graph-page"),
    )
