"""The sections about the experiment itself: what was done, what it cannot say, what others measured."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import Any

from ..comparison import Comparison
from ..config import CompareConfig, shown
from ..options import command_line
from ..progress import duration
from ..statistics import LEVEL, MOST_EXACT_PAIRS, plural, smallest_p_value
from .markup import Markup, element, join
from .parts import caption_markup, plain_table, scroll


def protocol(comparison: Comparison) -> Markup:
    """Config, pairing, statistics, machine and versions, and how to repeat it."""
    config = comparison.config
    settings = [(name, shown(value)) for name, value in config.to_dict().items()]
    text = (
        f"{comparison.hyperparameters} A seed decides the initial weights and the order of the batches, and nothing "
        "else, so runs with the same seed form a pair. Accuracy is that of the test set after the last epoch; no epoch "
        "is picked by its test accuracy. The interval is a 95 % bias-corrected and accelerated (BCa) bootstrap "
        "interval of the mean paired difference; p comes from the two-sided sign-flip permutation test, which counts "
        f"all sign patterns of the differences (beyond {MOST_EXACT_PAIRS} pairs, a sample of them). A difference is "
        f"called only when the interval excludes 0 and p < {LEVEL:g}."
    )
    ended = [record for record in (*comparison.tuning_records, *comparison.records) if record.is_done]
    seconds = sum(record.result["seconds"] for record in ended)
    total = len(comparison.tuning_records) + len(comparison.records)
    counted = f"{len(ended)} of {plural(total, 'run')} finished, {duration(seconds)} of training in all."
    return join(
        element("p", text),
        element("p", counted),
        element(
            "div",
            element("div", element("h3", "Configuration"), plain_table(settings, "The config of this comparison")),
            element(
                "div",
                element("h3", "Machine and versions"),
                _environments([record.environment for record in comparison.finished]),
            ),
            class_="tables",
        ),
        element("h3", "To repeat it"),
        element("pre", element("code", shlex.join(["tinygrad-bn", "compare", *command_line(config)]))),
        element(
            "p",
            "On the same machine with the same versions the numbers repeat bit for bit. Elsewhere the last digits of "
            "sums may differ, and training can amplify that to a difference in accuracy.",
        ),
    )


def limits(comparison: Comparison) -> Markup:
    """What the result can and cannot say."""
    config = comparison.config
    pairs = len(config.seeds)
    smallest = smallest_p_value(pairs)
    notes = [
        _scope(config),
        "The same hyperparameters for every order can favour one of them. Tuned per order, the answer may differ."
        if not config.tune
        else "Tuned per order, on this grid: a finer or wider one may choose otherwise, and every order then has its "
        "own hyperparameters, so the difference is that of order and hyperparameters together.",
        "No difference shown is not the same as no difference: look at the interval for the sizes that the data leave "
        "open.",
        *_narrow_intervals(pairs),
        f"With {plural(pairs, 'pair')} the smallest possible p is 2/2^{pairs} = {smallest:.3g}"
        + (", so these seeds alone can never show a difference at the level .05." if smallest >= LEVEL else "."),
        "Training amplifies rounding: another machine or version sums in another order and so changes every run as "
        "another seed would. A verdict that hangs on a few pairs may change with it; more seeds make it firmer.",
        "All seeds are judged on the same test images. The interval speaks of new seeds, not of new images.",
    ]
    comparisons = len(comparison.conditions) * max(1, len(config.orders) - 1)
    if comparisons > 1:
        by_chance = 1 - (1 - LEVEL) ** comparisons
        notes.append(
            f"{comparisons} comparisons are made, each at its own level of .05, with no correction: where there is no "
            f"true difference at all, at least one is called by chance in up to {by_chance:.0%} of such experiments."
        )
    notes.append(
        "BatchNorm evaluates with running averages, which lag behind the weights; the orders may differ in how much. "
        "The table of every run also has the accuracy with statistics estimated anew after the training."
    )
    return element("ul", *(element("li", note) for note in notes), class_="notes")


def _narrow_intervals(pairs: int) -> list[str]:
    """A warning where the bootstrap holds the true mean clearly less often than it says."""
    if pairs >= 20:
        return []
    return [
        "With few pairs the bootstrap interval is too narrow. In 400 simulations each with normal differences, it held "
        "the true mean in 50 % of cases with 2 pairs, 72 % with 3, 89 % with 6, 91 % with 10 and 94 % with 20. That is "
        "why a difference is called only when the test agrees."
    ]


def _scope(config: CompareConfig) -> str:
    settings = {"architecture": "model", "data set": "dataset", "number of epochs": "epochs"}
    single = [
        f"one {name} ({getattr(config, field)})"
        for name, field in settings.items()
        if field not in config.vary and field not in config.tune
    ]
    text = f"This is {', '.join(single)}. " if single else ""
    return f"{text}In the literature the sign changes between architectures (below)."


def literature() -> Markup:
    """Published figures to hold the result against, with their sources."""
    kim = element(
        "table",
        caption_markup("Test accuracy (%), Convention → Swap, Kim, Kim & Kim (2023); 3 seeds, no spread reported"),
        element("thead", element("tr", *(element("th", cell, scope="col") for cell in KIM_HEADING))),
        element("tbody", *(_literature_row(row) for row in KIM_ROWS)),
    )
    return join(
        scroll(kim, "Table, literature"),
        element("ul", *(element("li", *parts) for parts in NOTES), class_="notes"),
    )


def _literature_row(cells: tuple[str, ...]) -> Markup:
    return element("tr", element("th", cells[0], scope="row"), *(element("td", cell) for cell in cells[1:]))


def _environments(environments: list[dict[str, Any]]) -> Markup:
    if not environments:
        return element("p", "No run has finished.")
    counted = Counter(tuple((name, shown(value)) for name, value in one.items()) for one in environments)
    tables = [plain_table(rows, f"{plural(runs, 'run')} made with") for rows, runs in counted.most_common()]
    warning = None
    if len(counted) > 1:
        text = (
            "The runs were not all made with the same versions on the same machine: pairs may differ for that reason."
        )
        warning = element("p", text, class_="warning")
    return join(warning, *tables)


def _link(text: str, address: str) -> Markup:
    return element("a", text, href=address, rel="noreferrer")


KIM_HEADING = ("", "VGG16 tanh", "MobileNet tanh", "VGG16 ReLU", "MobileNet ReLU")
KIM_ROWS = (
    ("CIFAR-10", "91.75 → 92.90", "91.54 → 92.48", "93.69 → 93.04", "92.2 → 91.93"),
    ("CIFAR-100", "64.84 → 72.17", "64.47 → 70.63", "73.68 → 71.79", "70.06 → 69.49"),
    ("Tiny ImageNet", "49.29 → 57.05", "50.85 → 51.79", "61.54 → 59.045", "59.79 → 59.1"),
    ("ImageNet", "60.85 → 67.04", "64.26 → 72.07", "73.83 → 72.95", "70.48 → 71.1"),
)
NOTES: tuple[tuple[str, ...], ...] = (
    (
        "D. Kim, W. Kim, S. Kim: ",
        _link(
            "Tanh Works Better with Asymmetry",
            "https://openreview.net/forum?id=1WpmOipyYI",
        ),
        ", NeurIPS 2023 (the table above). Learning rate and weight decay were searched per order there. "
        "CIFAR-100, VGG16: softsign 66.15 → 71.98, LeCun tanh 63.52 → 71.72; highest "
        "saturation of a layer .43 in Convention and .89 in Swap; mean block sparsity .7169 and .8251.",
    ),
    (
        "S. Ioffe, C. Szegedy: ",
        _link("Batch Normalization", "https://arxiv.org/abs/1502.03167"),
        ", 2015, places BatchNorm before the nonlinearity. Steps to 72.2 % on ImageNet: Inception 31.0 million, with "
        "BatchNorm and a fivefold learning rate 2.1 million.",
    ),
    (
        "D. Mishkin: ",
        _link("caffenet-benchmark", "https://github.com/ducha-aiki/caffenet-benchmark/blob/master/batchnorm.md"),
        ", ImageNet at 128 pixels, ReLU, single runs: CaffeNet without BatchNorm .471, before .474 to .478, after .493 "
        "to .499; GoogLeNet reverses it: before .603 to .607, after .584 to .596.",
    ),
    (
        "NeuralNetworkLayerOrder, CIFAR-10, ReLU, all six orders: before .5818 ± .0023 and after .5714 ± .0028 in an "
        "MLP (10 runs), before .790 ± .004 and after .793 ± .003 in a CNN (12 runs). The sign depends on the "
        "architecture.",
    ),
    (
        "K. He, X. Zhang, S. Ren, J. Sun: ",
        _link("Identity Mappings in Deep Residual Networks", "https://arxiv.org/abs/1603.05027"),
        ", 2016. CIFAR-10 error of ResNet-110: original 6.61 %, BatchNorm after the addition 8.17 %, full "
        "pre-activation 6.37 %.",
    ),
    (
        "G. Yang and others: ",
        _link("A Mean Field Theory of Batch Normalization", "https://arxiv.org/abs/1902.08129"),
        ", 2019: BatchNorm before the activation makes gradients explode with depth at initialisation. Their squared "
        "norm grows per layer by a factor that tends to π/(π − 1) ≈ 1.467 for ReLU.",
    ),
    (
        "S. Santurkar, D. Tsipras, A. Ilyas, A. Madry: ",
        _link("How Does Batch Normalization Help Optimization?", "https://arxiv.org/abs/1805.11604"),
        ", 2018: the benefit comes with a smoother loss, not with less covariate shift.",
    ),
)
