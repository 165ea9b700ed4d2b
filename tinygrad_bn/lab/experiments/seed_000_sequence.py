"""A 5 x 5 image through BatchNorm, ReLU and max pooling in both sequences, and two networks trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ... import functional as F
from ...creation import tensor
from ...tensor import Tensor
from ..comparison import Comparison
from ..config import CompareConfig
from ..document import CaptionedTable, Figure, Finding, Section, Text
from ..figures import FAINT, Chart, legend, look, panels, title
from ..quantities import TEST_LOSS
from ..statistics import PairedComparison, p_text, plural, signed
from ..tables import Table
from .claims import beside_ours, better, difference_text, left_open
from .experiment import Experiment, Measurement, Training
from .moments import MOMENT_TITLES, correlation, decimal, moments
from .seed_000_next_layers import NEXT_LAYERS
from .seed_000_population import population

RELU_LAST = ("input", "BN", "BN → ReLU", "BN → ReLU → pool")
NORM_LAST = ("input", "ReLU", "ReLU → BN", "ReLU → BN → pool")
SEQUENCES = {"ReLU after BatchNorm": RELU_LAST, "BatchNorm after ReLU": NORM_LAST}


def normalize(x: Tensor) -> Tensor:
    """BatchNorm with gamma 1 and beta 0, and the statistics of what it is given."""
    return F.batch_norm(x, None, None, training=True)


def stages_of(images: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Take images, each a channel of its own (1, images, rows, columns), through both sequences."""
    stages = {"input": tensor(images)}
    for (_, first, both, pooled), steps in ((RELU_LAST, (normalize, F.relu)), (NORM_LAST, (F.relu, normalize))):
        stages[first] = steps[0](stages["input"])
        stages[both] = steps[1](stages[first])
        stages[pooled] = F.max_pool2d(stages[both], 2)
    return {name: stage.numpy()[0] for name, stage in stages.items()}


def walk(*, seed: int, size: int, others: int) -> dict[str, Any]:
    """Take one image through both sequences, and others like it to see how typical it is.

    Returns:
        stages: for each of `RELU_LAST` and `NORM_LAST` the rows of the picture; moments: for each, `moments.moments`;
        one_cut: how many values are cut off in one sequence alone; others: how many of them were looked at, in what
        share the pooled mean is higher with BatchNorm last, and by how much in the mean.
    """
    random = np.random.default_rng(seed)
    pictures = {name: stage[0] for name, stage in stages_of(random.normal(size=(1, 1, size, size)).round(2)).items()}
    cut_off = [pictures[name] <= 0.0 for name in ("BN", "input")]
    many = stages_of(random.normal(size=(1, others, size, size)))
    gains = np.mean(many[NORM_LAST[3]] - many[RELU_LAST[3]], axis=(1, 2))
    return {
        "seed": seed,
        "stages": {name: picture.tolist() for name, picture in pictures.items()},
        "moments": {name: moments(picture) for name, picture in pictures.items()},
        "correlation": correlation(*(pictures[names[2]] for names in SEQUENCES.values())),
        "one_cut": int(np.sum(cut_off[0] != cut_off[1])),
        "others": {"images": others, "higher": float(np.mean(gains > 0.0)), "gain": float(gains.mean())},
    }


def present_walk(numbers: dict[str, Any]) -> Sequence[Section]:
    """Show the pictures, the article's charts, and what can be read in them."""
    described = numbers["moments"]
    relu_last, norm_last = (described[names[2]] for names in SEQUENCES.values())
    pooled = [np.ravel(numbers["stages"][names[3]]) for names in SEQUENCES.values()]
    higher = int(np.sum(pooled[1] > pooled[0]))
    before, after = described["input"]["skewness"], described["BN"]["skewness"]
    kept = "keeps" if abs(before - after) < 5e-5 else "changes"
    gain = float(np.mean(pooled[1]) - np.mean(pooled[0]))
    others = numbers["others"]
    findings = (
        f"BatchNorm alone {kept} the shape of the distribution: skewness {decimal(before)} before it and "
        f"{decimal(after)} after it, with mean {decimal(described['BN']['mean'])} and standard deviation "
        f"{decimal(described['BN']['deviation'])}. It shifts and stretches, as the article says.",
        f"{relu_last['zeros']:.0%} of the values are exactly 0 with ReLU last, {norm_last['zeros']:.0%} with BatchNorm "
        f"last. {_cut_text(numbers)}",
        f"After 2 x 2 max pooling the sequence with BatchNorm last is higher at {higher} of {len(pooled[0])} places, "
        f"by {signed(gain)} in the mean: "
        + (
            "the article's “slightly more values in Y axis”."
            if gain > 0.0
            else "not what the article saw in its image."
        )
        + f" Of {others['images']:,} other images drawn like this one {others['higher']:.0%} are higher, by "
        f"{signed(others['gain'])} in the mean: four places are too few to tell; the next part derives the number.",
    )
    rows = tuple(_moment_row(name, described[name]) for name in dict.fromkeys((*RELU_LAST, *NORM_LAST)))
    return (
        Section(
            "walk",
            "One image through both sequences",
            (
                Text(
                    "The article shows its image without giving the values. This one is drawn from a normal "
                    f"distribution (seed {numbers['seed']}, two decimals), and chosen among the first dozen seeds as "
                    "one that does what the article describes and whose mean is not near 0. BatchNorm has gamma 1 "
                    "and beta 0, and its batch is this one image of one channel. The pooling takes 2 x 2 places at a "
                    "time, with stride 2, and so leaves out the last row and column."
                ),
                Figure(
                    "walk-images",
                    "Above: BatchNorm, ReLU, pooling. Below: ReLU, BatchNorm, pooling. One colour scale for all "
                    "pictures, white at 0.",
                    partial(image_chart, numbers["stages"]),
                ),
                Text("The article draws the picture as a curve, row after row. Its charts, with this image:"),
                Figure(
                    "walk-relu-last",
                    "ReLU after BatchNorm: the input, after BatchNorm, after ReLU. Mind the axes: they differ.",
                    partial(stage_chart, numbers["stages"], RELU_LAST[:3], 0),
                ),
                Figure(
                    "walk-norm-last",
                    "BatchNorm after ReLU: the input, after ReLU, after BatchNorm.",
                    partial(stage_chart, numbers["stages"], NORM_LAST[:3], 1),
                ),
                Figure(
                    "walk-outputs",
                    "Both outputs on one axis; on the right after 2 x 2 max pooling.",
                    partial(output_chart, numbers["stages"]),
                ),
                CaptionedTable(
                    "walk-stages",
                    "Every stage in numbers. Skewness does not change when values are shifted and stretched.",
                    Table(("stage", *MOMENT_TITLES.values()), rows, ()),
                ),
                *map(Finding, findings),
            ),
        ),
    )


def _cut_text(numbers: dict[str, Any]) -> str:
    mean, related = decimal(numbers["moments"]["input"]["mean"], 2), decimal(numbers["correlation"])
    where = f"ReLU after BatchNorm cuts at the mean of the image, {mean}, ReLU before BatchNorm cuts at 0"
    if numbers["one_cut"] == 0:
        return (
            f"{where}; no value of this image lies between the two, so that one output is nearly the other one on "
            f"another scale (correlation {related})."
        )
    return (
        f"{where}; {plural(numbers['one_cut'], 'value')} between the two are cut off in one sequence only, so that the "
        f"outputs are not the same picture on another scale (correlation {related})."
    )


def _moment_row(name: str, described: dict[str, float]) -> tuple[str, ...]:
    cells = (f"{described[key]:.0%}" if key == "zeros" else decimal(described[key]) for key in MOMENT_TITLES)
    return (name, *cells)


def image_chart(stages: dict[str, list[list[float]]]) -> Chart:
    """The pictures of all stages as heat maps with their numbers, one sequence per row."""
    figure, axes = panels(4, rows=2, width=9.0, height=4.7)
    reach = max(float(np.abs(picture).max()) for picture in stages.values())
    for panel, name in zip(axes, (*RELU_LAST, *NORM_LAST), strict=True):
        picture = np.asarray(stages[name])
        panel.imshow(picture, cmap="PuOr_r", vmin=-reach, vmax=reach)
        for (row, column), value in np.ndenumerate(picture):
            # Not INK, which a dark page makes light: the colours behind stay as they are.
            ink = "white" if abs(value) > 0.6 * reach else "black"
            panel.text(column, row, decimal(value, 2), ha="center", va="center", color=ink, fontsize=6.5)
        title(panel, name)
        panel.set_xticks([])
        panel.set_yticks([])
        panel.spines[:].set_visible(False)
    return Chart(figure)


def stage_chart(stages: dict[str, list[list[float]]], names: Sequence[str], series: int) -> Chart:
    """The flattened pictures of one sequence, each on its own axis, as the article shows them."""
    figure, axes = panels(len(names), width=9.0, height=2.3)
    for panel, name in zip(axes, names, strict=True):
        _curve(panel, stages[name], series)
        title(panel, name)
    return Chart(figure)


def output_chart(stages: dict[str, list[list[float]]]) -> Chart:
    """Both outputs on one axis, before and after pooling."""
    figure, axes = panels(2, width=9.0, height=3.0)
    for panel, place, heading in zip(axes, (2, 3), ("the two outputs", "after 2 x 2 max pooling"), strict=True):
        for series, names in enumerate(SEQUENCES.values()):
            _curve(panel, stages[names[place]], series, names[place])
        title(panel, heading)
        panel.margins(y=0.3)
        legend(panel, loc="upper right")
    axes[1].sharey(axes[0])
    return Chart(figure)


def _curve(panel: Any, picture: list[list[float]], series: int, label: str | None = None) -> None:
    values = np.ravel(picture)
    panel.axhline(0.0, color=FAINT, linewidth=0.8)
    panel.plot(range(1, len(values) + 1), values, label=label, **look(series), markersize=3.5, linewidth=1.3)
    panel.set_xlabel("place in the flattened image")
    panel.xaxis.get_major_locator().set_params(integer=True)


def present_two_networks(comparison: Comparison) -> Sequence[Section]:
    """Hold the article's "no large difference" against the pairs."""
    rows, findings = [], []
    for condition in comparison.conditions:
        accuracy, loss = comparison.pairs(condition)[0], comparison.pairs(condition, TEST_LOSS)[0]
        rows.append(
            (f"{condition.label}: accuracy, swap − convention", "no large difference", difference_text(accuracy))
        )
        rows.append((f"{condition.label}: test loss, swap − convention", "no large difference", _loss_text(loss)))
        findings += [Finding(_accuracy(condition.label, accuracy)), Finding(_loss(condition.label, loss))]
    return (
        Section(
            "two-networks",
            "Two networks, one difference",
            (
                Text(
                    "The article ends with two networks, one in each sequence, and reports no large difference in "
                    "accuracy or loss, without figures. Here each sequence is trained with several seeds; two networks "
                    "with the same seed start from the same weights and see the same batches. In the table stand the "
                    "mean paired difference, its 95 % interval and the p of the sign-flip test."
                ),
                CaptionedTable("two-networks", "The article's result beside ours.", beside_ours(rows)),
                *findings,
            ),
        ),
    )


def _accuracy(label: str, pair: PairedComparison) -> str:
    if not pair.pairs:
        return f"{label}: no pair has finished, so nothing can be said yet."
    winner = better(pair)
    if winner:
        agreeing = sum(difference * pair.mean_difference > 0.0 for difference in pair.differences)
        return (
            f"With {label} the two networks do differ: {winner} is better by {abs(pair.mean_difference):.2f} "
            f"percentage points. A single pair, as in the article, has that sign {agreeing} times out of {pair.pairs}; "
            "whether the difference is large is for the reader to say."
        )
    return (
        f"With {label} no difference in accuracy can be shown over {plural(pair.pairs, 'pair')}, in line with the "
        f"article. {left_open(pair)}"
    )


def _loss(label: str, pair: PairedComparison) -> str:
    if not pair.pairs:
        return f"{label}: nothing can be said about the loss either."
    if not pair.called:
        return f"With {label} no difference in the test loss can be shown either: {_loss_text(pair)}."
    higher = pair.second if pair.mean_difference > 0.0 else pair.first
    base = sum(pair.first_values) / pair.pairs
    return (
        f"The test loss does differ with {label}: it is higher with {higher} ({_loss_text(pair)}), by "
        f"{abs(pair.mean_difference) / base:.0%} of {pair.first}'s {decimal(base, 3)}."
    )


def _loss_text(pair: PairedComparison) -> str:
    if not pair.pairs:
        return "no pair has finished"
    interval = f" [{decimal(pair.interval[0], 3)}, {decimal(pair.interval[1], 3)}]" if pair.interval else ""
    p_value = f", p = {p_text(pair.p_value)}" if pair.p_value is not None else ""
    return f"{decimal(pair.mean_difference, 3)}{interval}{p_value}"


def parts(size: str) -> Sequence[Measurement | Training]:
    """The walk, its explanation, and the two networks."""
    small = CompareConfig(activations=("relu",))
    paper = dataclasses.replace(
        small, width=32, vary={"dataset": ("mnist", "fashion_mnist")}, epochs=20, seeds=tuple(range(10))
    )
    return (
        Measurement(
            name="walk",
            heading="One image, number by number",
            measure=walk,
            present=present_walk,
            parameters={"seed": 10, "size": 5, "others": 10_000},
        ),
        population(size),
        NEXT_LAYERS,
        Training(
            name="two-networks",
            title="The two networks, trained",
            config={"small": small, "paper": paper}[size],
            present=present_two_networks,
        ),
    )


EXPERIMENT = Experiment(
    name="seed-000-sequence",
    title="Does the sequence of BatchNorm and ReLU change anything but the range?",
    introduction=(
        "Nihar Kanungo, “Batch Normalization and Activation function Sequence Confusion” (2019), takes a 5 x 5 "
        "image through BatchNorm and ReLU in both sequences, looks at the charts, pools both outputs, trains two "
        "networks, and concludes that “the difference between both is all about the range of the data and nothing "
        "else”.",
        "Here the image is taken through both sequences again, number by number. Then many values instead of 25 "
        "show where the difference comes from and when it is more than a range: ReLU after BatchNorm cuts at the "
        "mean of its input, ReLU before BatchNorm cuts at 0. Last, the two networks are trained, several times each.",
    ),
    parts=parts,
)
