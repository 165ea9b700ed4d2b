"""The page as a whole: head, table of contents and sections in the order in which a reader asks."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..comparison import Comparison
from ..document import Section
from ..numbers import table_rows, write_csv, write_numbers
from ..plots import figures_of
from ..runfolder import write_text
from ..training_sections import training_sections
from . import method, results
from .assets import asset
from .charts import Charts
from .interactive import graphs_script, interactive
from .markup import Markup, element, join
from .parts import section_markup
from .runs import runs_table

REPORT_NAME = "report.html"
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{script}'"
GRAPHS_POLICY = " 'sha256-{script}' 'wasm-unsafe-eval'"
QUESTION = "BatchNorm before or after the activation?"


@dataclass(frozen=True)
class Chapter:
    """What a page says about one comparison or one measurement.

    Attributes:
        key: put before the addresses of its sections; "" on a page of one chapter.
        title: its heading; "" on a page of one chapter.
        opening: what stands below the heading.
        sections: address, heading and content of each section; sections without content are left out.
    """

    key: str
    title: str
    opening: Markup
    sections: Sequence[tuple[str, str, Markup | None]]


def write_report(*comparisons: Comparison, path: Path | None = None) -> Path:
    """Write the page of one comparison or of several, with figures and numbers as files beside it.

    `figures/*.svg`, `.png` and `.pdf` and `numbers/*.csv` and `.json` go into the folder of the page.

    Args:
        comparisons: what the page is about, in this order.
        path: the page; `report.html` in the first comparison's folder by default.

    Returns:
        The path of the page.
    """
    path = path or comparisons[0].root / REPORT_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    several = len(comparisons) > 1
    chapters = []
    for number, comparison in enumerate(comparisons, start=1):
        key = f"part-{number}-" if several else ""
        chapter = comparison_chapter(comparison, path.parent, key=key, title=_name(comparison) if several else "")
        chapters.append(chapter)
    title = QUESTION if several else f"{QUESTION} {_name(comparisons[0])}"
    write_text(path, build_page(title, QUESTION, None, chapters))
    return path


def comparison_chapter(
    comparison: Comparison, folder: Path, *, key: str = "", title: str = "", sections: Sequence[Section] = ()
) -> Chapter:
    """Everything that a page says about a comparison; its figures and numbers are written as files.

    Args:
        comparison: what it is about.
        folder: of the page.
        key, title: of the chapter.
        sections: further sections, shown after the answer.
    """
    during = training_sections(comparison)
    own = [figure for section in (*sections, *during) for figure in section.figures]
    charts = Charts([*figures_of(comparison), *own], key)
    charts.save(folder / "figures")
    write_numbers(comparison, folder / "numbers", key)
    listed: list[tuple[str, str, Markup | None]] = [
        ("answer", "The answer", results.answers(comparison, charts)),
        *_rendered(sections, charts),
        ("numbers", "Every seed", results.tables(comparison)),
        ("tuning", "What was chosen for each order", results.tuning(comparison)),
        ("curves", "How the training went", results.curves(comparison, charts)),
        ("mechanism", "What happens inside", results.mechanism(comparison, charts)),
        ("histograms", "Activations by layer and channel", results.histograms(comparison, charts)),
        *_rendered(during, charts),
        ("graphs", "The two networks" if len(comparison.orders) == 2 else "The networks", results.graphs(comparison)),
        ("inside", "Inside the networks, over the training", None if key else interactive(comparison)),
        ("runs", "Every run", runs_table(comparison, f"{key}run-table")),
        ("method", "What was done", method.protocol(comparison)),
        ("limits", "What this does not show", method.limits(comparison)),
    ]
    return Chapter(key, title, results.question(comparison), listed)


def sections_chapter(sections: Sequence[Section], folder: Path, *, key: str = "", title: str = "") -> Chapter:
    """A chapter of such sections alone; their figures and tables are written as files. Arguments as above."""
    charts = Charts([figure for section in sections for figure in section.figures], key)
    charts.save(folder / "figures")
    for section in sections:
        for table in section.tables:
            write_csv(folder / "numbers" / f"{key}{table.name}.csv", table_rows(table.table))
    return Chapter(key, title, join(), list(_rendered(sections, charts)))


def _rendered(sections: Sequence[Section], charts: Charts) -> Iterator[tuple[str, str, Markup | None]]:
    return ((section.key, section.title, section_markup(section, charts)) for section in sections)


def build_page(title: str, heading: str, lead: Markup | None, chapters: Sequence[Chapter]) -> str:
    """The page as HTML text; pictures, style and script are inside.

    Args:
        title: of the window.
        heading: of the page.
        lead: what stands below the heading.
        chapters: at least one.
    """
    several = len(chapters) > 1 or bool(chapters[0].title)
    script = Markup(asset("script.js"))
    policy = POLICY.format(script=_digest(script))
    if any(key == "inside" and content for chapter in chapters for key, _, content in chapter.sections):
        policy += GRAPHS_POLICY.format(script=_digest(graphs_script()))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        # Nothing is loaded and no script runs but these.
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("style", Markup(asset("style.css"))),
    )
    body = element(
        "body",
        element("header", element("h1", heading), lead, None if several else chapters[0].opening),
        element("nav", *_contents(chapters, several), aria_label="Sections"),
        element(
            "main",
            *(_chapter(chapter, several) for chapter in chapters),
            _section("literature", "What others measured", method.literature()),
        ),
        element(
            "footer",
            "Made by tinygrad_bn from the run folders that it was given. The page needs no network.",
        ),
        element("script", script),
    )
    return join(Markup("<!doctype html>\n"), element("html", head, body, lang="en"), "\n")


def _contents(chapters: Sequence[Chapter], several: bool) -> list[Markup]:
    literature = element("a", "What others measured", href="#literature")
    if not several:
        return [*_links(chapters[0]), literature]
    titles = (element("a", chapter.title, href=f"#{chapter.key}chapter") for chapter in chapters)
    return [element("ol", *(element("li", link) for link in (*titles, literature)))]


def _links(chapter: Chapter) -> list[Markup]:
    return [element("a", name, href=f"#{chapter.key}{key}") for key, name, content in chapter.sections if content]


def _chapter(chapter: Chapter, several: bool) -> Markup:
    sections = join(*(_section(chapter.key + key, name, content) for key, name, content in chapter.sections if content))
    if not several:
        return sections
    heading = element("h2", chapter.title, id=f"{chapter.key}chapter", class_="chapter")
    links = _links(chapter)
    contents = element("nav", *links, aria_label=f"Sections of {chapter.title}") if len(links) > 1 else None
    return element("article", heading, chapter.opening, contents, _one_level_down(sections))


def _one_level_down(content: Markup) -> Markup:
    """The same with every heading one level lower: text that was typed is escaped, so only headings look like these."""
    return Markup(re.sub(r"(</?h)([2-5])\b", lambda found: f"{found[1]}{int(found[2]) + 1}", content))


def _section(key: str, name: str, content: Markup) -> Markup:
    return element("section", element("h2", name, id=f"{key}-title"), content, id=key, aria_labelledby=f"{key}-title")


def _name(comparison: Comparison) -> str:
    return f"{comparison.config.model} on {comparison.config.dataset}"


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
