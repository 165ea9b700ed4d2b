"""What comes after both sequences: pooling, and a convolution that takes up their difference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import functional as F
from ...creation import tensor
from ..document import CaptionedTable, Finding, Section, Text
from ..tables import Table
from .experiment import Measurement
from .moments import decimal, tiny
from .seed_000_population import EPS, NORM_LAST, RELU_LAST


def measure_next_layers(*, seed: int, gammas: list[float], beta: float) -> dict[str, Any]:
    """Pool before instead of after, for each gamma; and let a convolution take up the difference of the sequences.

    Returns:
        pooling: for each sequence and gamma the largest difference between pooling last and pooling first, and between
        pooling last and taking the minimum first; batch_statistics: the same difference, for the first gamma, where
        BatchNorm uses the statistics of what it is given; convolution: how far a convolution on one output is from the
        folded one on the other, inside and at the border, without and with zero padding.
    """
    random = np.random.default_rng(seed)
    x = tensor(random.normal(size=(16, len(gammas), 8, 8)))
    gamma, shift = tensor(np.array(gammas)), tensor(np.full(len(gammas), beta))

    def normalize(values: Any) -> Any:
        statistics = tensor(np.full(len(gammas), 0.4)), tensor(np.full(len(gammas), 0.6))
        return F.batch_norm(values, *statistics, gamma, shift, training=False, eps=EPS)

    steps: dict[str, Callable[[Any], Any]] = {
        "ReLU": F.relu,
        "BN": normalize,
        RELU_LAST: lambda values: F.relu(normalize(values)),
        NORM_LAST: lambda values: normalize(F.relu(values)),
    }
    pooling = []
    for name, step in steps.items():
        last = F.max_pool2d(step(x), 2)
        first, minimum = step(F.max_pool2d(x, 2)), step(-F.max_pool2d(-x, 2))
        differences = [np.abs((last - other).numpy()).max(axis=(0, 2, 3)) for other in (first, minimum)]
        pooling += [
            {"sequence": name, "gamma": gamma, "maximum_first": float(most), "minimum_first": float(least)}
            for gamma, most, least in zip(gammas, *differences, strict=True)
        ]
    one = x[:, :1]
    own = [
        F.max_pool2d(F.batch_norm(one, None, None, training=True, eps=EPS), 2),
        F.batch_norm(F.max_pool2d(one, 2), None, None, training=True, eps=EPS),
    ]
    return {
        "pooling": pooling,
        "batch_statistics": float((own[0] - own[1]).abs().max().item()),
        "convolution": [_folded(random, padding) for padding in (0, 1)],
    }


def _folded(random: np.random.Generator, padding: int) -> dict[str, Any]:
    """A convolution after ReLU → BN, and one after BN → ReLU whose weights have taken up BatchNorm's statistics."""
    channels, side = 4, 12
    # Normalised beforehand, so that every channel has mean 0 and both sequences cut at the same place.
    z = F.batch_norm(tensor(random.normal(size=(16, channels, side, side))), None, None, training=True, eps=EPS)
    weight = random.normal(size=(3, channels, 3, 3))
    convention = F.relu(z)
    swap = F.batch_norm(convention, None, None, training=True, eps=EPS)
    mean = convention.numpy().mean(axis=(0, 2, 3))
    deviation = np.sqrt(convention.numpy().var(axis=(0, 2, 3)) + EPS)
    folded = weight / deviation[:, None, None]
    bias = -(folded * mean[:, None, None]).sum(axis=(1, 2, 3))
    wanted = F.conv2d(swap, tensor(weight), padding=padding)
    found = F.conv2d(convention, tensor(folded), tensor(bias), padding=padding)
    difference = np.abs((wanted - found).numpy()).max(axis=(0, 1))
    inside = difference[1:-1, 1:-1].max()
    border = np.concatenate([difference[0], difference[-1], difference[:, 0], difference[:, -1]]).max()
    return {"padding": padding, "inside": float(inside), "border": float(border)}


def present_next_layers(numbers: dict[str, Any]) -> Sequence[Section]:
    """Say when pooling may be moved, and when the next kernels can take up the difference."""
    pooling = numbers["pooling"]
    rows = tuple(
        (row["sequence"], decimal(row["gamma"], 1), tiny(row["maximum_first"]), tiny(row["minimum_first"]))
        for row in pooling
    )
    positive = max(row["maximum_first"] for row in pooling if row["gamma"] >= 0.0)
    with_norm = [row for row in pooling if row["gamma"] < 0.0 and row["sequence"] != "ReLU"]
    negative, minimum = (
        max((row[key] for row in with_norm), default=0.0) for key in ("maximum_first", "minimum_first")
    )
    commutes = "gives the same" if positive < 1e-9 else "does not give the same"
    turned = (
        "it is a minimum pooling that gives the same" if minimum < 1e-9 < negative else "nothing tried gives the same"
    )
    without, padded = numbers["convolution"]
    return (
        Section(
            "next-layers",
            "Pooling, and what the next kernels can take up",
            (
                Text(
                    "Max pooling can change places with anything that never falls as its input rises: ReLU always, "
                    "BatchNorm where its γ is not negative. Below, the statistics are fixed, as in evaluation."
                ),
                CaptionedTable(
                    "pooling",
                    "Largest difference between pooling last and pooling first, and between max pooling last and min "
                    "pooling first.",
                    Table(("sequence", "γ", "max pooling first", "min pooling first"), rows, ()),
                ),
                Finding(
                    f"With γ ≥ 0 max pooling before or after {commutes} (largest difference {tiny(positive)}). With "
                    f"γ < 0 the difference is up to {tiny(negative)}, and {turned} (difference {tiny(minimum)}). In "
                    "training, pooling first also changes the statistics that BatchNorm takes: up to "
                    f"{tiny(numbers['batch_statistics'])} here, with γ = 1."
                ),
                Text(
                    "The article argues that the next layer's kernels only need other weights. Where every channel has "
                    "mean 0 before the block, these weights can be written down: divide each channel's kernel by the "
                    "deviation and take the mean into the bias."
                ),
                CaptionedTable(
                    "kernels",
                    "A 3 x 3 convolution after ReLU → BN against the rewritten one after BN → ReLU: largest "
                    "difference.",
                    Table(
                        ("zero padding", "inside", "at the border"),
                        tuple(
                            (str(row["padding"]), tiny(row["inside"]), tiny(row["border"]))
                            for row in numbers["convolution"]
                        ),
                        (),
                    ),
                ),
                Finding(
                    f"Without padding the rewritten kernels {_exactly(without['border'])} "
                    f"({tiny(max(without['inside'], without['border']))}). With zero padding they "
                    f"{_exactly(padded['inside'])} inside and {_exactly(padded['border'])} at the border "
                    f"({tiny(padded['border'])}): a padded zero is the floor of one output and an average value of the "
                    "other. With rewritten kernels “nothing but the range” is true up to the padding, and only for "
                    "channels of mean 0."
                ),
            ),
        ),
    )


def _exactly(difference: float) -> str:
    return "give the same" if difference < 1e-9 else "do not give the same"


NEXT_LAYERS = Measurement(
    name="next-layers",
    heading="What the next layers make of it",
    measure=measure_next_layers,
    present=present_next_layers,
    parameters={"seed": 2, "gammas": [1.0, 0.5, 0.0, -1.0], "beta": 0.3},
)
