"""All six orders of weight, BatchNorm and activation, in a multi-layer perceptron and in a CNN."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ... import data, nn
from ...backend import manual_seed
from ..comparison import Comparison
from ..config import CompareConfig
from ..document import CaptionedTable, Figure, Finding, Part, Section, Text
from ..figures import FAINT, INK, Chart, colour, panels
from ..statistics import PairedComparison, plural
from ..tables import Table
from .claims import better, difference_text
from .experiment import Experiment, Measurement, Training
from .moments import decimal

#: The orders, the usual one first, and how the published table calls them.
ORDERS = {
    "weight-norm-act": "W-BN-ReLU",
    "weight-act-norm": "W-ReLU-BN",
    "norm-weight-act": "BN-W-ReLU",
    "norm-act-weight": "BN-ReLU-W",
    "act-norm-weight": "ReLU-BN-W",
    "act-weight-norm": "ReLU-W-BN",
}
FIRST, SECOND = "weight-norm-act", "weight-act-norm"

#: Test accuracy and its spread over the runs as NeuralNetworkLayerOrder reports them, by part and order.
PUBLISHED: dict[str, dict[str, tuple[float, float]]] = {
    "mlp": {
        "weight-norm-act": (0.5818, 0.0023),
        "weight-act-norm": (0.5714, 0.0028),
        "norm-weight-act": (0.5790, 0.0020),
        "norm-act-weight": (0.5787, 0.0025),
        "act-norm-weight": (0.5687, 0.0032),
        "act-weight-norm": (0.5683, 0.0031),
    },
    "cnn": {
        "weight-norm-act": (0.790, 0.004),
        "weight-act-norm": (0.793, 0.003),
        "norm-weight-act": (0.793, 0.004),
        "norm-act-weight": (0.779, 0.002),
        "act-norm-weight": (0.785, 0.003),
        "act-weight-norm": (0.780, 0.004),
    },
}
PUBLISHED_SETTING = {
    "mlp": "8 hidden layers of 1,024 units, 10 runs",
    "cnn": "4 blocks of 32 channels, 12 runs",
}


def measure_ends(*, dataset: str, networks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Look at what the orders do at the two ends of a network, where they are more than a rotation.

    Args:
        dataset: whose test images go in.
        networks: for each part of the experiment, the settings of its network.

    Returns:
        negative: share of the normalised pixels below 0, which a ReLU in front would cut off; ends: for each network
        and order the operation that meets the image first, the one that the classifier reads, the number of
        parameters, and the features of the image that BatchNorm normalises before any weight (0 where it comes later).
    """
    images = data.load(dataset, "test")
    training_set = data.load(dataset, "train")
    normalize = data.Normalize(training_set.mean, training_set.std)
    (pixels, _), *_ = data.DataLoader(images, len(images), transform=normalize)
    ends = {name: {order: _ends(order, images, settings) for order in ORDERS} for name, settings in networks.items()}
    return {
        "dataset": dataset,
        "images": len(images),
        "negative": float(np.mean(pixels.numpy() < 0.0)),
        "ends": ends,
    }


def _ends(order: str, images: data.Dataset, settings: Mapping[str, Any]) -> dict[str, Any]:
    manual_seed(0)
    channels, size, _ = images.image_shape
    model = nn.build_model(in_channels=channels, image_size=size, order=order, activation="relu", **settings)
    parts = nn.parse_order(order)
    block = next(module for module in model.modules() if isinstance(module, nn.ConvBlock | nn.LinearBlock))
    norm = next(module for module in block.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d))
    return {
        "first": parts[0],
        "last": parts[-1],
        "parameters": sum(parameter.size for parameter in model.parameters()),
        "normalised_input": norm.num_features if parts.index("norm") < parts.index("weight") else 0,
    }


def present_ends(numbers: dict[str, Any]) -> Sequence[Section]:
    """Explain in which way the six orders differ."""
    sections = []
    names = {"weight": "weight", "norm": "BatchNorm", "act": "ReLU"}
    for network, ends in numbers["ends"].items():
        rows = tuple(
            (
                ORDERS[order],
                names[end["first"]],
                names[end["last"]],
                f"{end['normalised_input']:,}" if end["normalised_input"] else "none",
                f"{end['parameters']:,}",
            )
            for order, end in ends.items()
        )
        heading = ("order", "meets the image", "read by the classifier", "inputs normalised", "parameters")
        caption = f"{network.upper()}: what is different at its ends."
        sections.append(CaptionedTable(f"ends-{network}", caption, Table(heading, rows, ())))
    cut = numbers["negative"]
    return (
        Section(
            "ends",
            "Six orders, but only two cycles",
            (
                Text(
                    "Stacked in many equal blocks, weight, BatchNorm and ReLU repeat for ever, and only the cycle "
                    "counts: BatchNorm right before ReLU (W-BN-ReLU, BN-ReLU-W, ReLU-W-BN), or right after it "
                    "(W-ReLU-BN, ReLU-BN-W, BN-W-ReLU). The three orders of a cycle differ at the ends of the network "
                    "alone: in what happens to the image, and in what the classifier gets. (In the CNN the max pooling "
                    "between blocks stands at another place of the cycle, too.)"
                ),
                *sections,
                Finding(
                    f"An order that begins with ReLU throws away what is negative in the image: {cut:.0%} of the "
                    f"normalised pixels of {numbers['dataset']} become 0 before anything has looked at them. And where "
                    "ReLU comes before the weight (BN-ReLU-W, ReLU-BN-W, ReLU-W-BN), none follows the last weight: in "
                    "evaluation the last block's weight and the classifier are one linear map, one layer less than in "
                    "the other orders."
                ),
            ),
        ),
    )


def present(network: str, comparison: Comparison) -> Sequence[Section]:
    """The published table beside ours, the ranks, and the sign between the two orders that the debate is about.

    Args:
        network: the name of the training, a key of `PUBLISHED`.
        comparison: its runs.
    """
    (condition,) = comparison.conditions
    means = {order: _mean(comparison.accuracies(condition, order)) for order in comparison.orders}
    pairs = {pair.second: pair for pair in comparison.pairs(condition)}
    published = PUBLISHED[network]
    ranks, published_ranks = ranks_of(means), ranks_of({order: mean for order, (mean, _) in published.items()})
    rows = tuple(
        (
            ORDERS[order],
            f"{100 * published[order][0]:.2f} ± {100 * published[order][1]:.2f}",
            str(published_ranks[order]),
            decimal(mean, 2) if math.isfinite(mean) else "none",
            str(ranks[order]) if order in ranks else "none",
            difference_text(pairs[order]) if order in pairs else "what the others are held against",
        )
        for order, mean in means.items()
    )
    heading = ("order", "published", "rank", "here", "rank here", "difference from W-BN-ReLU")
    parts: list[Part] = [
        CaptionedTable(
            f"orders-{network}",
            f"Test accuracy (%). Published: NeuralNetworkLayerOrder, CIFAR-10, {PUBLISHED_SETTING[network]}, Adam with "
            f"one-cycle for 100 epochs, batches of 1,024. Here: {_setting(comparison)}. Data set, size and length "
            "differ, so that accuracies cannot be compared, only ranks and signs.",
            Table(heading, rows, ()),
        ),
        Figure(
            f"orders-{network}",
            "Every run as a dot, the mean as a diamond. Blue: BatchNorm right before ReLU in the cycle; orange: right "
            "after it. The grey bars are the published mean and spread, moved by one constant so that W-BN-ReLU lies "
            "on ours: distances along the axis are percentage points in both.",
            partial(orders_chart, comparison, network),
        ),
        *(Finding(text) for text in _findings(pairs, means, published)),
    ]
    other = _beside(comparison, network)
    if other is not None:
        parts.append(Finding(_flip(pairs[SECOND], other)))
    return (Section(f"orders-{network}", "All six orders beside the published table", tuple(parts)),)


def _beside(comparison: Comparison, network: str) -> PairedComparison | None:
    """The sign in the MLP, for the CNN: the training before it in the same folder."""
    folder = comparison.root.parent / "mlp"
    if network != "cnn" or not (folder / "config.json").is_file():
        return None
    other = Comparison(folder)
    (condition,) = other.conditions
    return next(pair for pair in other.pairs(condition) if pair.second == SECOND)


def _mean(accuracies: Mapping[int, float]) -> float:
    return math.fsum(accuracies.values()) / len(accuracies) if accuracies else math.nan


def ranks_of(means: Mapping[str, float]) -> dict[str, int]:
    """The place of each order, 1 for the highest mean; equals share one.

    >>> ranks_of({"a": 2.0, "b": 3.0, "c": 2.0})
    {'a': 2, 'b': 1, 'c': 2}
    """
    known = [mean for mean in means.values() if math.isfinite(mean)]
    return {order: 1 + sum(other > mean for other in known) for order, mean in means.items() if math.isfinite(mean)}


def rank_correlation(first: Mapping[str, float], second: Mapping[str, float]) -> float:
    """Spearman's correlation of the ranks of the same orders; nan where one of them tells no orders apart.

    >>> rank_correlation({"a": 1.0, "b": 2.0, "c": 3.0}, {"a": 10.0, "b": 20.0, "c": 90.0})
    1.0
    """
    places = np.array([[_middle_rank(values, order) for order in first] for values in (first, second)])
    if (np.ptp(places, axis=1) == 0.0).any():
        return math.nan
    return float(round(np.corrcoef(places)[0, 1], 12))


def _middle_rank(values: Mapping[str, float], order: str) -> float:
    own = values[order]
    return sum(other > own for other in values.values()) + 0.5 * sum(other == own for other in values.values())


def _findings(
    pairs: Mapping[str, PairedComparison], means: Mapping[str, float], published: Mapping[str, tuple[float, float]]
) -> list[str]:
    if not all(math.isfinite(mean) for mean in means.values()):
        return ["Not every order has a finished run yet, so that ranks cannot be given."]
    best, worst = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
    related = rank_correlation(means, {order: mean for order, (mean, _) in published.items()})
    told_apart = [ORDERS[order] for order, pair in pairs.items() if better(pair)]
    which = f"told apart from it: {', '.join(told_apart)}" if told_apart else "none of the others is told apart from it"
    return [
        f"Best here is {ORDERS[best]}, last is {ORDERS[worst]}, {means[best] - means[worst]:.2f} points behind. "
        f"Against W-BN-ReLU, over {plural(pairs[SECOND].pairs, 'pair')}: {which}. Five orders are held against it, "
        "each at its own level of .05, without a correction.",
        f"The ranks here and the published ones have a correlation of {decimal(related, 2)} (Spearman; 1 is the same "
        "sequence, −1 the reverse; with six orders chance alone gives ±.83 or more in 6 of 100 cases).",
    ]


def _flip(cnn: PairedComparison, mlp: PairedComparison) -> str:
    published = "W-BN-ReLU was ahead in the MLP (by 1.04 points) and W-ReLU-BN in the CNN (by 0.30)"
    if not (cnn.pairs and mlp.pairs):
        return f"The published sign flips: {published}. Not enough runs have finished to say whether it does here."
    numbers = f"W-ReLU-BN − W-BN-ReLU: {difference_text(mlp)} in the MLP, {difference_text(cnn)} in the CNN"
    ahead = [better(pair) for pair in (mlp, cnn)]
    if all(ahead) and ahead[0] != ahead[1]:
        text = f"The sign flips between the networks here too: {ORDERS[ahead[0]]} is better in the MLP, "
        text += f"{ORDERS[ahead[1]]} in the CNN. One architecture settles nothing."
    elif all(ahead):
        text = f"The sign does not flip here: {ORDERS[ahead[0]]} is better in both."
    else:
        signs = {math.copysign(1.0, pair.mean_difference) for pair in (mlp, cnn)}
        text = (
            "Whether the sign flips cannot be told here, because not both differences are called; the means "
            + ("point in opposite directions" if len(signs) == 2 else "point in the same direction")
            + "."
        )
    return f"Published: {published}. {text} ({numbers}.)"


def _setting(comparison: Comparison) -> str:
    config = comparison.config
    layers = "hidden layers" if config.model == "mlp" else "blocks"
    units = "units" if config.model == "mlp" else "channels"
    return (
        f"{config.dataset}, {config.depth} {layers} of {config.width:,} {units}, {plural(len(config.seeds), 'run')}, "
        f"{plural(config.epochs, 'epoch')}, batches of {config.batch_size}, learning rate up to "
        f"{config.learning_rate:g}"
    )


def orders_chart(comparison: Comparison, network: str) -> Chart:
    """Accuracies of the six orders, with the published ones behind them, moved to a common first order."""
    (condition,) = comparison.conditions
    found = {order: list(comparison.accuracies(condition, order).values()) for order in comparison.orders}
    figure, (panel,) = panels(1, width=7.4, height=3.3)
    published = PUBLISHED[network]
    first = found.get(FIRST)
    for height, (order, values) in enumerate(reversed(found.items())):
        cycle = nn.parse_order(order)
        before = (cycle + cycle)[cycle.index("norm") + 1] == "act"
        if first:
            mean, spread = published[order]
            moved = 100.0 * (mean - published[FIRST][0]) + float(np.mean(first))
            panel.barh(height, 200.0 * spread, left=moved - 100.0 * spread, height=0.5, color=FAINT, alpha=0.35)
            panel.plot([moved, moved], [height - 0.25, height + 0.25], color=FAINT, linewidth=1.4)
        own = colour(0 if before else 1)
        panel.plot(values, [height] * len(values), "o", color=own, alpha=0.6, markersize=5, markeredgewidth=0)
        if values:
            panel.plot(float(np.mean(values)), height, "D", color=INK, markersize=6)
    panel.set_yticks(range(len(found)), [ORDERS[order] for order in reversed(found)])
    panel.set_xlabel("test accuracy (%)")
    panel.tick_params(axis="y", length=0)
    return Chart(figure)


def parts(size: str) -> Sequence[Measurement | Training]:
    """The ends of the networks, and the six orders in both."""
    small = CompareConfig(
        model="mlp",
        depth=8,
        width=64,
        epochs=5,
        batch_size=64,
        optimizer="adam",
        schedule="one_cycle",
        learning_rate=0.01,
        weight_decay=0.0,
        orders=tuple(ORDERS),
        activations=("relu",),
        seeds=tuple(range(10)),
    )
    paper = dataclasses.replace(
        small, dataset="cifar10", width=1024, epochs=100, batch_size=1024, seeds=tuple(range(12)), device="cuda"
    )
    mlp = {"small": small, "paper": paper}[size]
    cnn = dataclasses.replace(mlp, model="plain_cnn", depth=4, width={"small": 8, "paper": 32}[size])
    if size == "small":
        cnn = dataclasses.replace(cnn, seeds=tuple(range(6)))  # each costs three times as much as in the MLP
    networks = {
        name: {"name": config.model, "depth": config.depth, "width": config.width}
        for name, config in (("mlp", mlp), ("cnn", cnn))
    }
    return (
        Measurement(
            name="ends",
            heading="How the six orders differ",
            measure=measure_ends,
            present=present_ends,
            parameters={"dataset": "fashion_mini", "networks": networks},
        ),
        Training(name="mlp", title="The six orders in an MLP", config=mlp, present=partial(present, "mlp")),
        Training(name="cnn", title="The six orders in a CNN", config=cnn, present=partial(present, "cnn")),
    )


EXPERIMENT = Experiment(
    name="six-orders",
    title="Weight, BatchNorm, activation: all six orders",
    introduction=(
        "Weight, BatchNorm and activation can follow each other in six ways. NeuralNetworkLayerOrder, a public set of "
        "experiments on CIFAR-10, tried all of them with ReLU, and found W-BN-ReLU ahead of W-ReLU-BN in a multi-layer "
        "perceptron and behind it, by a little, in a CNN: one architecture settles nothing.",
        "Here the same six are trained in both kinds of network with paired seeds, Adam and the one-cycle schedule, "
        "and put beside the published table. Its learning rate is not known to us; ours is declared with the settings.",
    ),
    parts=parts,
)
