"""The sections that show results: answers, tables, curves, mechanism, histograms, graphs."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping

from ...nn import parse_order
from .. import plots
from ..comparison import Comparison
from ..statistics import PairedComparison, interval_text, p_text, plural, signed
from ..tables import Table
from .markup import Markup, element, join

#: SVG text by figure name, as `plots.draw_figures` makes it.
Figures = Mapping[str, str]


def question(comparison: Comparison) -> Markup:
    """What was asked, in two sentences below the title, and the key to the colours."""
    config = comparison.config
    text = (
        f"{config.model} trained on {config.dataset} with {_listed(config.activations)}, "
        f"in {_listed(config.orders)} order, {plural(len(config.seeds), 'seed')} each. "
        "Runs with the same seed have the same initial weights and see the same batches; only the order differs."
    )
    return join(element("p", text, class_="lead"), legend(comparison))


def legend(comparison: Comparison) -> Markup:
    """The colour of each order, and what the order is."""
    items = [
        element("li", _swatch(index), element("strong", order), f" {_explained(order)}")
        for index, order in enumerate(comparison.config.orders)
    ]
    return element("ul", *items, class_="legend")


def answers(comparison: Comparison, figures: Figures) -> Markup:
    """One sentence per activation and order, with its number large, and the figure of all differences."""
    cards = [
        _answer(activation, pair, sentence)
        for activation in comparison.config.activations
        for pair, sentence in zip(comparison.pairs(activation), comparison.answers(activation), strict=True)
    ]
    failed = comparison.unfinished
    warning = None
    if failed:
        lines = [element("li", f"{record.config.label}: {record.failure}") for record in failed]
        warning = element(
            "div",
            element(
                "p",
                f"{plural(len(failed), 'run')} of {len(comparison.records)} without a result; "
                "the answers use the others.",
            ),
            element("ul", *lines),
            class_="warning",
        )
    listed = element("ul", *cards, class_="answers")
    if "difference" not in figures:
        return join(listed, warning)
    caption = (
        "Paired differences in test accuracy. A dot is one seed, the diamond their mean, the bar the 95 % BCa "
        "bootstrap interval of the mean. Right of the dashed line the other order did better, left of it "
        f"{comparison.config.orders[0]} did."
    )
    return join(listed, warning, _chart(figures, "difference", caption))


def tables(comparison: Comparison) -> Markup:
    """The table of each activation: accuracies by seed, differences, interval, p."""
    parts = []
    for activation in comparison.config.activations:
        caption = "test accuracy (%) and paired differences (percentage points)"
        table = _scroll(table_markup(comparison.table(activation), caption), activation)
        parts.append(element("div", element("h3", activation), table))
    grid = element("div", *parts, class_="tables")
    diverged = [record for record in comparison.finished if record.result["diverged"]]
    if diverged:
        names = ", ".join(record.config.label for record in diverged)
        text = f"Training diverged (the loss was no longer a number) in: {names}. Their accuracy counts as it is."
        return join(grid, element("p", text, class_="warning"))
    return grid


def curves(comparison: Comparison, figures: Figures) -> Markup:
    """Training curves of each activation."""
    caption = (
        "{}: thin lines are single seeds, thick lines their mean. Training loss is the mean over an epoch's steps."
    )
    return _per_activation(comparison, figures, "curves", caption)


def mechanism(comparison: Comparison, figures: Figures) -> Markup:
    """Saturation, asymmetry and sparsity by layer."""
    introduction = element(
        "p",
        "Measured on the whole test set after training. ",
        element("em", "Saturation"),
        " is mean |g| / max |g| at the activation's output g. ",
        element("em", "Skewness"),
        " is the adjusted Fisher-Pearson skewness of each channel of g, as an absolute value, averaged over channels: "
        "a high value means that channels sit at one end of the activation (asymmetric saturation). ",
        element("em", "Sparsity"),
        " is 1 − mean |h| / max |h| at the block's output h, after BatchNorm where it comes last; since it hangs on "
        "one maximum, the share of exact zeros stands beside it.",
    )
    caption = "{}: layers from the input to the output; dots are single seeds, lines their mean."
    return join(introduction, _per_activation(comparison, figures, "mechanism", caption))


def histograms(comparison: Comparison, figures: Figures) -> Markup:
    """Distributions at the activation's output, by layer and by channel."""
    parts = [
        element(
            "p",
            "Values at the activation's output over the test set, for the first seed that every order has. A layer can "
            "look symmetric while each of its channels sits at one end: compare the two figures.",
        )
    ]
    for activation in comparison.config.activations:
        if f"layers-{activation}" not in figures:
            continue
        parts += [
            element("h3", activation),
            _chart(
                figures,
                f"layers-{activation}",
                f"{activation}: all values of a layer; share of values per bin, logarithmic.",
            ),
            _chart(
                figures,
                f"channels-{activation}",
                f"{activation}: a row is a channel, channels sorted by their mean; brighter means more values "
                "(square root of the share; one scale for all panels).",
            ),
        ]
    return join(*parts)


def graphs(comparison: Comparison) -> Markup:
    """The graphs of the networks as they were drawn into the folder, orders side by side."""
    parts = []
    for position, activation in enumerate(comparison.config.activations):
        figures = []
        for index, order in enumerate(comparison.config.orders):
            path = comparison.graph_path(activation, order)
            if path.is_file():
                figures.append(_graph(path.read_bytes(), activation, order, index))
        if figures:
            side_by_side = element("div", *figures, class_="graphs")
            parts.append(
                element(
                    "details",
                    element("summary", activation),
                    side_by_side,
                    open="" if position == 0 else None,
                )
            )
    if not parts:
        return element("p", "No graph was drawn: install the extra ", element("code", "viz"), " or the program dot.")
    introduction = "Only the place of BatchNorm differs: the same operations, and the same initial weights."
    return join(element("p", introduction), *parts)


def table_markup(table: Table, caption: str) -> Markup:
    """A comparison's table; summary rows stand in a body of their own."""
    heading = element("tr", *(element("th", cell, scope="col") for cell in table.heading))
    bodies = [
        element("tbody", *(_row(row) for row in rows), class_=kind)
        for rows, kind in ((table.body, None), (table.summary, "summary"))
    ]
    return element("table", element("caption", caption), element("thead", heading), *bodies)


def _row(cells: tuple[str, ...]) -> Markup:
    return element("tr", element("th", cells[0], scope="row"), *(element("td", cell) for cell in cells[1:]))


def _scroll(content: Markup, name: str) -> Markup:
    # A region that scrolls must be reachable by keyboard.
    return element("div", content, class_="scroll", tabindex="0", role="region", aria_label=f"Table, {name}")


def _answer(activation: str, pair: PairedComparison, sentence: str) -> Markup:
    details = [f"points, {pair.second} − {pair.first}"]
    if pair.interval is not None:
        details.append(interval_text(pair.interval))
    if pair.p_value is not None:
        details.append(f"p = {p_text(pair.p_value)}".replace("= <", "<"))
    lines = (element("small", detail, class_="nowrap") for detail in details)
    number = element("div", signed(pair.mean_difference), *lines, class_="figure-of-merit")
    left = element("div", element("h3", activation), number)
    return element("li", left, element("p", sentence), class_="answer called" if pair.called else "answer")


def _per_activation(comparison: Comparison, figures: Figures, name: str, caption: str) -> Markup:
    return join(
        *(
            _chart(figures, f"{name}-{activation}", caption.format(activation))
            for activation in comparison.config.activations
            if f"{name}-{activation}" in figures
        )
    )


def _chart(figures: Figures, name: str, caption: str) -> Markup:
    return element(
        "figure",
        element("div", _inline(figures[name], name, caption), class_="chart"),
        element("figcaption", caption),
    )


def _inline(svg: str, name: str, label: str) -> Markup:
    """Make a stand-alone SVG part of the page: scalable, in the page's colours, with ids of its own."""
    opening, rest = svg[svg.index("<svg") :].split(">", 1)
    opening = re.sub(r'\s(width|height)="[^"]*"', "", opening)
    rest = re.sub(r"<metadata>.*?</metadata>", "", rest, flags=re.DOTALL)
    # Matplotlib numbers the parts of every figure alike; on one page each id must be there once.
    rest = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", rest)
    for index, colour in enumerate(plots.ORDER_COLOURS):
        rest = rest.replace(colour, f"var(--order-{index})")
    rest = rest.replace(plots.INK, "var(--ink)").replace(plots.FAINT, "var(--faint)")
    return Markup(f'{opening} role="img">{element("title", label)}{rest.strip()}')


def _graph(svg: bytes, activation: str, order: str, index: int) -> Markup:
    picture = element(
        "img",
        src=f"data:image/svg+xml;base64,{base64.b64encode(svg).decode('ascii')}",
        alt=f"Graph of the network with {activation} in {order} order, from the input at the top to the logits",
        loading="lazy",
    )
    box = element("div", picture, class_="graph", tabindex="0", role="region", aria_label=f"Graph, {order}")
    return element("figure", element("figcaption", _swatch(index), f"{activation}, {order}"), box)


def _swatch(index: int) -> Markup:
    return element("span", class_="swatch", style=f"background: var(--order-{index % len(plots.ORDER_COLOURS)})")


def _listed(words: tuple[str, ...]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _explained(order: str) -> str:
    names = {"weight": "weight", "norm": "BatchNorm", "act": "activation"}
    return " → ".join(names[part] for part in parse_order(order))
