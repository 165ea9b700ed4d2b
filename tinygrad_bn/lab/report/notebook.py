"""The same tables, figures and answers inside a notebook's cell: pieces of HTML that bring their own small style."""

from __future__ import annotations

import hashlib

from ..comparison import Comparison
from ..document import Figure, Section
from ..statistics import PairedComparison
from ..tables import Table, comparison_table
from .assets import palette
from .charts import Charts, inline
from .markup import Markup, element, join
from .parts import section_markup, table_markup

STYLE = """
.tinygrad-bn { color: var(--ink); max-width: 60rem; line-height: 1.5; }
.tinygrad-bn table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 0.5rem 0 1rem; }
.tinygrad-bn th, .tinygrad-bn td { padding: 0.15rem 1rem 0.15rem 0; text-align: right; background: none; }
.tinygrad-bn th:first-child, .tinygrad-bn .words { text-align: left; }
.tinygrad-bn thead th { border-bottom: 1.5px solid var(--ink); }
.tinygrad-bn tbody th { font-weight: 400; }
.tinygrad-bn tbody.summary { border-top: 1px solid var(--faint); }
.tinygrad-bn tbody.summary th, .tinygrad-bn tbody.summary td { font-weight: 600; }
.tinygrad-bn caption, .tinygrad-bn figcaption { text-align: left; color: var(--soft); padding-bottom: 0.3rem; }
.tinygrad-bn figure { margin: 0.5rem 0 1rem; }
.tinygrad-bn .chart svg { width: 100%; height: auto; overflow: visible; }
.tinygrad-bn .chart svg * { stroke-linejoin: round; stroke-linecap: butt; }
.tinygrad-bn .finding { border-left: 3px solid var(--ink); padding-left: 1rem; }
.tinygrad-bn .scroll { overflow-x: auto; }
"""
#: JupyterLab says on its outermost element whether its theme is light.
SCHEMES = (("light", ".tinygrad-bn"), ("dark", '[data-jp-theme-light="false"] .tinygrad-bn'))


def comparison_html(comparison: Comparison) -> str:
    """Answers and tables of every condition, and what has no result."""
    parts = []
    for condition in comparison.conditions:
        caption = "test accuracy (%) and paired differences (percentage points)"
        parts += [element("h4", condition.label)]
        parts += [element("p", answer, class_="finding") for answer in comparison.answers(condition)]
        parts += [table_markup(comparison.table(condition), caption)]
    for record in comparison.unfinished:
        parts.append(element("p", f"Without a result: {record.label}: {record.failure}"))
    return _cell(element("p", comparison.hyperparameters), *parts)


def section_html(section: Section) -> str:
    """A section with its heading."""
    charts = Charts(section.figures, f"{section.key}-", formats=("svg",))
    return _cell(element("h3", section.title), section_markup(section, charts))


def figure_html(figure: Figure) -> str:
    """A figure with its caption."""
    svg = figure.draw().svg
    # The same name may stand in another cell for another comparison.
    key = hashlib.sha256(svg.encode()).hexdigest()[:12]
    drawing = element("div", inline(svg, f"figure-{key}", figure.caption), class_="chart")
    return _cell(element("figure", drawing, element("figcaption", figure.caption)))


def table_html(table: Table, caption: str | None = None) -> str:
    """A table, with or without a caption."""
    return _cell(table_markup(table, caption))


def pair_html(pair: PairedComparison) -> str:
    """Both values of every seed, their differences, the interval and p."""
    values = {
        name: dict(zip(pair.seeds, found, strict=True))
        for name, found in ((pair.first, pair.first_values), (pair.second, pair.second_values))
    }
    return _cell(table_markup(comparison_table(values, [pair]), None))


def _cell(*content: Markup | None) -> str:
    return element("div", element("style", Markup(_colours() + STYLE)), join(*content), class_="tinygrad-bn")


def _colours() -> str:
    """The page's colours, for a light and for a dark notebook."""
    rules = []
    for scheme, selector in SCHEMES:
        properties = " ".join(f"--{name}: {value};" for name, value in palette(scheme).items())
        rules.append(f"{selector} {{ {properties} }}")
    return "\n".join(rules)
