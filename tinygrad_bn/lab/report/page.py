"""The page as a whole: head, table of contents and sections in the order in which a reader asks."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from ..comparison import Comparison
from ..plots import draw_figures
from ..runfolder import write_text
from . import method, results
from .markup import Markup, element, join

REPORT_NAME = "report.html"


def write_report(comparison: Comparison) -> Path:
    """Write `report.html` and the figures as `figures/*.svg` into the comparison's folder; returns the page's path."""
    figures = draw_figures(comparison)
    folder = comparison.root / "figures"
    folder.mkdir(exist_ok=True)
    for name, svg in figures.items():
        write_text(folder / f"{name}.svg", svg)
    path = comparison.root / REPORT_NAME
    write_text(path, build_page(comparison, figures))
    return path


def build_page(comparison: Comparison, figures: Mapping[str, str]) -> str:
    """The page as HTML text. Everything on it comes from the folder; pictures and style are inside the page.

    Args:
        comparison: what the page is about.
        figures: SVG text by name, from `plots.draw_figures`.
    """
    title = "BatchNorm before or after the activation?"
    sections = (
        ("answer", "The answer", results.answers(comparison, figures)),
        ("numbers", "Every seed", results.tables(comparison)),
        ("curves", "How the training went", results.curves(comparison, figures)),
        ("mechanism", "What happens inside", results.mechanism(comparison, figures)),
        ("histograms", "Activations by layer and channel", results.histograms(comparison, figures)),
        ("graphs", "The two networks", results.graphs(comparison)),
        ("method", "What was done", method.protocol(comparison)),
        ("limits", "What this does not show", method.limits(comparison)),
        ("literature", "What others measured", method.literature()),
    )
    style = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{title} {comparison.config.model} on {comparison.config.dataset}"),
        element("style", Markup(style)),
    )
    contents = element("nav", *(element("a", name, href=f"#{key}") for key, name, _ in sections), aria_label="Sections")
    body = element(
        "body",
        element("header", element("h1", title), results.question(comparison)),
        contents,
        element("main", *(_section(key, name, content) for key, name, content in sections)),
        element(
            "footer",
            "Made by tinygrad_bn from the run folder that this page lies in. The page needs no network.",
        ),
    )
    return join(Markup("<!doctype html>\n"), element("html", head, body, lang="en"), "\n")


def _section(key: str, name: str, content: Markup) -> Markup:
    return element("section", element("h2", name, id=f"{key}-title"), content, id=key, aria_labelledby=f"{key}-title")
