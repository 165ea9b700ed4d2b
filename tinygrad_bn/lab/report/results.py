"""The sections that show results: answers, tables, curves, mechanism, histograms, graphs."""

from __future__ import annotations

import base64

from ...nn import canonical_order, parse_order
from ..arms import settings_of
from ..comparison import Comparison, Tuning
from ..config import Condition, shown
from ..figures import COLOURS
from ..plots import MOST_CONDITIONS_IN_DETAIL
from ..statistics import PairedComparison, interval_text, p_text, plural, signed
from ..tables import Table
from .charts import Charts
from .markup import Markup, element, join
from .parts import scroll, table_markup

#: More answers than these are set small, one below the other.
MOST_LARGE_CARDS = 6


def question(comparison: Comparison) -> Markup:
    """What was asked, in two sentences below the title, and the key to the colours."""
    config = comparison.config
    text = (
        f"{config.model} trained on {config.dataset} with {_listed(config.activations)}, "
        f"in {_listed(config.orders)} order, {plural(len(config.seeds), 'seed')} each. "
        f"Runs with the same seed have the same initial weights and see the same batches; {_what_differs(comparison)}."
    )
    return join(element("p", text, class_="lead"), legend(comparison))


def _what_differs(comparison: Comparison) -> str:
    if comparison.config.tune:
        return "each order has the hyperparameters that were chosen for it"
    complete = all(
        sorted(canonical_order(part).split("-")) == ["act", "norm", "weight"] for part in _blocks(comparison)
    )
    return "only the order differs" if complete else "what differs is said at each word"


def _blocks(comparison: Comparison) -> list[str]:
    """The words for the orders of all blocks; "no-norm", which is not complete, for what sets more than an order."""
    words = [word if settings_of(word) == {"order": word} else "no-norm" for word in comparison.orders]
    return [block for word in words for block in word.split("+")]


def legend(comparison: Comparison) -> Markup:
    """The colour of each order, and what the order is."""
    items = [
        element("li", _swatch(index), element("strong", order), f" {_explained(order)}")
        for index, order in enumerate(comparison.orders)
    ]
    return element("ul", *items, class_="legend")


def answers(comparison: Comparison, charts: Charts) -> Markup:
    """One sentence per activation and order, with its number large, and the figure of all differences."""
    cards = [
        _answer(condition, pair, sentence)
        for condition in comparison.conditions
        for pair, sentence in zip(comparison.pairs(condition), comparison.answers(condition), strict=True)
    ]
    failed = comparison.unfinished
    warning = None
    if failed:
        lines = [element("li", f"{record.label}: {record.failure}") for record in failed]
        warning = element(
            "div",
            element(
                "p",
                f"{plural(len(failed), 'run')} of {len(comparison.tuning_records) + len(comparison.records)} without a "
                "result; "
                "the answers use the others.",
            ),
            element("ul", *lines),
            class_="warning",
        )
    fairness = element("p", comparison.hyperparameters)
    along = [charts.markup(name) for name in charts.names if name.startswith("along-")]
    listed = element("ul", *cards, class_="answers" if len(cards) <= MOST_LARGE_CARDS else "answers many")
    return join(fairness, listed, warning, charts.markup("difference"), *along)


def tuning(comparison: Comparison) -> Markup | None:
    """What each order chose from the grid, with the accuracy of every candidate; None where nothing is tuned."""
    if not comparison.tunings:
        return None
    text = (
        "Mean accuracy (%) on held-out training images, over the tuning seeds; the highest of a row was chosen, "
        "among those with a result for every seed. A choice at the edge of the grid may mean that the grid ends too "
        "early."
    )
    return scroll(table_markup(_tuning_table(comparison.tunings), text), "Table, tuning")


def _tuning_table(tunings: list[Tuning]) -> Table:
    candidates = tunings[0].candidates
    names = [", ".join(f"{name} {shown(value)}" for name, value in candidate.items()) for candidate in candidates]
    body = []
    for tuning in tunings:
        means = [f"{sum(found.values()) / len(found):.2f}" if found else "n/a" for found in tuning.accuracies]
        nothing = "none: no candidate has all results" if tuning.is_over else "not yet"
        chosen = nothing if tuning.chosen is None else names[tuning.chosen]
        body.append((f"{tuning.condition.label}, {tuning.order}", *means, chosen))
    return Table(("", *names, "chosen"), tuple(body), ())


def tables(comparison: Comparison) -> Markup:
    """The table of each activation: accuracies by seed, differences, interval, p."""
    parts = []
    for condition in comparison.conditions:
        caption = "test accuracy (%) and paired differences (percentage points)"
        table = scroll(table_markup(comparison.table(condition), caption), f"Table, {condition.label}")
        parts.append(element("div", element("h3", condition.label), table))
    first, others = parts[:MOST_CONDITIONS_IN_DETAIL], parts[MOST_CONDITIONS_IN_DETAIL:]
    kind = "tables" if len(comparison.orders) <= 2 else "tables single"
    grid = element("div", *first, class_=kind)
    if others:
        name = element("summary", f"{plural(len(others), 'more condition')}")
        grid = join(grid, element("details", name, element("div", *others, class_=kind)))
    diverged = [record for record in comparison.finished if record.result["diverged"]]
    if diverged:
        names = ", ".join(record.label for record in diverged)
        text = f"Training diverged (the loss was no longer a number) in: {names}. Their accuracy counts as it is."
        return join(grid, element("p", text, class_="warning"))
    return grid


def curves(comparison: Comparison, charts: Charts) -> Markup:
    """Training curves of each condition."""
    return _per_condition(comparison, charts, "curves")


def mechanism(comparison: Comparison, charts: Charts) -> Markup:
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
    return join(introduction, _per_condition(comparison, charts, "mechanism"))


def histograms(comparison: Comparison, charts: Charts) -> Markup:
    """Distributions at the activation's output, by layer and by channel."""
    parts = [
        element(
            "p",
            "Values at the activation's output over the test set, for the first seed that every order has. A layer can "
            "look symmetric while each of its channels sits at one end: compare the two figures.",
        )
    ]
    for condition in comparison.conditions:
        layers, channels = (charts.markup(f"{kind}-{condition.key}") for kind in ("layers", "channels"))
        if layers is not None:
            parts += [element("h3", condition.label), layers, channels or Markup("")]
    return join(*parts)


def graphs(comparison: Comparison) -> Markup:
    """The graphs of the networks as they were drawn into the folder, orders side by side."""
    parts = []
    for position, condition in enumerate(comparison.conditions):
        figures = []
        for index, order in enumerate(comparison.orders):
            path = comparison.graph_path(condition, order)
            if path.is_file():
                figures.append(_graph(path.read_bytes(), condition, order, index))
        if figures:
            side_by_side = element("div", *figures, class_="graphs")
            parts.append(
                element(
                    "details",
                    element("summary", condition.label),
                    side_by_side,
                    open="" if position == 0 else None,
                )
            )
    if not parts:
        return element("p", "No graph was drawn: install the extra ", element("code", "viz"), " or the program dot.")
    introduction = "Runs of one seed start from the same weights; compare where BatchNorm stands, if it is there."
    return join(element("p", introduction), *parts)


def _answer(condition: Condition, pair: PairedComparison, sentence: str) -> Markup:
    details = [f"points, {pair.second} − {pair.first}"]
    if pair.interval is not None:
        details.append(interval_text(pair.interval))
    if pair.p_value is not None:
        details.append(f"p = {p_text(pair.p_value)}".replace("= <", "<"))
    lines = (element("small", detail) for detail in details)
    number = element("div", signed(pair.mean_difference), *lines, class_="figure-of-merit")
    left = element("div", element("h3", condition.label), number)
    return element("li", left, element("p", sentence), class_="answer called" if pair.called else "answer")


def _per_condition(comparison: Comparison, charts: Charts, kind: str) -> Markup:
    found = [charts.markup(f"{kind}-{condition.key}") for condition in comparison.conditions]
    left_out = None
    if len(comparison.conditions) > MOST_CONDITIONS_IN_DETAIL:
        text = f"Shown for {MOST_CONDITIONS_IN_DETAIL} of {len(comparison.conditions)} conditions."
        left_out = element("p", text)
    return join(left_out, *found)


def _graph(svg: bytes, condition: Condition, order: str, index: int) -> Markup:
    picture = element(
        "img",
        src=f"data:image/svg+xml;base64,{base64.b64encode(svg).decode('ascii')}",
        alt=f"Graph of the network with {condition.label} in {order} order, from the input at the top to the logits",
    )
    box = element("div", picture, class_="graph", tabindex="0", role="region", aria_label=f"Graph, {order}")
    return element("figure", element("figcaption", _swatch(index), f"{condition.label}, {order}"), box)


def _swatch(index: int) -> Markup:
    return element("span", class_="swatch", style=f"background: var(--order-{index % len(COLOURS)})")


def _listed(words: tuple[str, ...]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _explained(order: str) -> str:
    names = {"weight": "weight", "norm": "BatchNorm", "act": "activation"}
    settings = settings_of(order)
    blocks = [" → ".join(names[part] for part in parse_order(block)) for block in settings["order"].split("+")]
    others = [f"{name} {shown(value)}" for name, value in settings.items() if name != "order"]
    return ", ".join([" | ".join(blocks), *others])
