"""Which values BatchNorm puts out, and what a ReLU behind it takes away: layer by layer, before and after training."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np

from ... import data, nn
from ... import functional as F
from ...autograd import no_grad
from ...backend import manual_seed
from ...tensor import Tensor
from ..config import RunConfig
from ..document import CaptionedTable, Figure, Finding, Section, Text
from ..figures import FAINT, INK, Chart, colour, legend, panels, title
from ..tables import Table
from ..training import EVALUATION_BATCH, build_model, train
from .experiment import Measurement

Numbers = dict[str, Any]
Array = np.ndarray[Any, np.dtype[Any]]

#: Bins of the histograms of BatchNorm's output.
EDGES = tuple(np.linspace(-4.0, 4.0, 65).tolist())
BEFORE, AFTER = "before training", "after training"


def shares(values: Array) -> dict[str, float]:
    """Which part of some values lies below 0, within [0, 1] and above 1, and what a ReLU takes away of x^2.

    >>> shares(np.array([-2.0, 0.5, 1.0, 3.0]))
    {'below': 0.25, 'within': 0.5, 'above': 0.25, 'removed_square': 0.2807...}
    """
    values = np.asarray(values, dtype=np.float64)
    below, above = values < 0, values > 1
    squares = values**2
    return {
        "below": float(below.mean()),
        "within": float(1 - below.mean() - above.mean()),
        "above": float(above.mean()),
        "removed_square": float(squares[below].sum() / squares.sum()),
    }


def normal_shares() -> dict[str, float]:
    """The same for standard normal values: by their distribution function, and by symmetry."""
    middle, one = NormalDist().cdf(0.0), NormalDist().cdf(1.0)
    return {"below": middle, "within": one - middle, "above": 1 - one, "removed_square": 0.5}


def measure(sample: int, offset: float, scale: float, training: Numbers) -> Numbers:
    """Shares for normal inputs and in a network, and the scale and shift that training leaves.

    Args:
        sample, offset, scale: number, mean and deviation of the normal inputs of one channel.
        training: a run's settings.
    """
    generator = np.random.default_rng(0)
    inputs = Tensor(offset + scale * generator.normal(size=(sample, 1)))
    normalized = F.batch_norm(inputs, None, None, training=True).numpy()
    config = RunConfig(**training)
    manual_seed(config.seed)
    untrained = build_model(config, data.load(config.dataset, "train"))
    trained = train(config)
    networks = {BEFORE: untrained, AFTER: trained.model}
    return {
        "inputs": {"count": sample, "mean": offset, "deviation": scale},
        "normal": shares(normalized),
        "derived": normal_shares(),
        "extremes": [float(normalized.min()), float(normalized.max())],
        "edges": list(EDGES),
        "layers": [
            {"when": when, **layer} for when, model in networks.items() for layer in _layers(model, config.dataset)
        ],
        "test_accuracy": trained.result["test_accuracy"],
        "training": training,
    }


def _layers(model: nn.Module, dataset: str) -> list[Numbers]:
    """What each BatchNorm puts out over the test set, normalising with each batch's own statistics."""
    norms = {name: m for name, m in model.named_modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)}
    seen: dict[str, list[Array]] = {name: [] for name in norms}
    handles = [norm.register_forward_hook(_keeper(seen[name])) for name, norm in norms.items()]
    training_set, test_set = data.load(dataset, "train"), data.load(dataset, "test")
    normalize = data.Normalize(training_set.mean, training_set.std)
    model.train()
    with no_grad():
        device = next(model.parameters()).device
        for images, _ in data.DataLoader(test_set, EVALUATION_BATCH, transform=normalize, device=device):
            model(images)
    for handle in handles:
        handle.remove()
    layers = []
    for name, norm in norms.items():
        values = np.concatenate([np.moveaxis(batch, 1, 0).reshape(batch.shape[1], -1) for batch in seen[name]], axis=1)
        assert norm.weight is not None
        assert norm.bias is not None
        counts, _ = np.histogram(values, EDGES)
        layers.append(
            {
                "name": name.removesuffix(".norm"),
                **shares(values),
                "unit_below": np.quantile((values < 0).mean(axis=1), (0.0, 0.5, 1.0)).tolist(),
                "histogram": (counts / values.size).tolist(),
                "gamma": norm.weight.tolist(),
                "beta": norm.bias.tolist(),
            }
        )
    return layers


def _keeper(kept: list[Array]) -> Any:
    def keep(module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
        kept.append(output.numpy().copy())

    return keep


def present(numbers: Numbers) -> list[Section]:
    """The answer to the question, the table of shares, the histograms, and what gamma and beta have become."""
    return [
        Section(
            "bn-range",
            "Does BatchNorm restrict values to [0, 1]?",
            (
                Text(
                    "“Batch-Normalization already transforms all values by restricting them to a value between zero "
                    "and one. So ReLU will not have any effect when applied after BN”, asks the question. The first "
                    "answer says no, and is right: BatchNorm gives each channel the mean beta and the deviation gamma, "
                    "which start at 0 and 1. That is a mean and a deviation, not bounds."
                ),
                *(Finding(sentence) for sentence in _findings(numbers)),
                CaptionedTable(
                    "bn-range",
                    "Where BatchNorm's output lies, and what a ReLU behind it removes: the values below 0, and their "
                    "part of the second moment. BatchNorm normalises with the batch's own statistics in all rows.",
                    _shares_table(numbers),
                ),
                Figure(
                    "bn-range",
                    "BatchNorm's output over the test set, by layer. What is shaded lies in [0, 1]; a ReLU removes "
                    "what lies to the left of it.",
                    lambda: _histograms(numbers),
                ),
            ),
        ),
        Section(
            "gamma-and-beta",
            "What training makes of gamma and beta",
            (
                Text(
                    "The scale gamma and the shift beta of each channel are trained, so a channel can choose how much "
                    "the ReLU behind it lets through: of normal values, the share Φ(−beta/gamma) is below 0."
                ),
                Finding(_affine_finding(numbers)),
                CaptionedTable(
                    "bn-gamma-beta",
                    "gamma and beta after training: smallest, median and largest channel of each layer.",
                    _affine_table(numbers),
                ),
                Figure("bn-gamma-beta", "gamma and beta of every channel after training.", lambda: _affine(numbers)),
            ),
        ),
    ]


def _findings(numbers: Numbers) -> list[str]:
    normal, derived, inputs = numbers["normal"], numbers["derived"], numbers["inputs"]
    low, high = numbers["extremes"]
    outside = normal["below"] + normal["above"]
    verdict = "No" if outside > 0.01 else "Nearly"
    sentences = [
        f"{verdict}: of {inputs['count']:,} normal values with mean {inputs['mean']:g} and deviation "
        f"{inputs['deviation']:g}, BatchNorm puts {_percent(normal['below'])} below 0, {_percent(normal['within'])} "
        f"within [0, 1] and {_percent(normal['above'])} above 1 (derived from the normal distribution: "
        f"{_percent(derived['below'])}, {_percent(derived['within'])}, {_percent(derived['above'])}); they reach from "
        f"{_number(low)} to {_number(high)}."
    ]
    for when in (BEFORE, AFTER):
        layers = [layer for layer in numbers["layers"] if layer["when"] == when]
        least, most = (pick(layers, key=lambda layer: layer["below"]) for pick in (min, max))
        squares = [layer["removed_square"] for layer in layers]
        effect = "ReLU does much" if least["below"] > 0.1 else "ReLU does little in some layers"
        sentences.append(
            f"In the network {when}, {effect}: it sets {_percent(least['below'])} ({least['name']}) to "
            f"{_percent(most['below'])} ({most['name']}) of BatchNorm's values to 0, and with them "
            f"{_percent(min(squares))} to {_percent(max(squares))} of the second moment."
        )
    return sentences


def _affine_finding(numbers: Numbers) -> str:
    trained = [layer for layer in numbers["layers"] if layer["when"] == AFTER]
    gammas = np.concatenate([layer["gamma"] for layer in trained])
    betas = np.concatenate([layer["beta"] for layer in trained])
    negative = int((gammas < 0).sum())
    below, above = int((betas < 0).sum()), int((betas > 0).sum())
    spread = [layer["unit_below"] for layer in trained]
    return (
        f"After {numbers['training']['epochs']} epochs ({numbers['test_accuracy']:.1f} % test accuracy) gamma lies "
        f"between {_number(gammas.min())} and {_number(gammas.max())} and is negative in {negative} of {gammas.size} "
        f"channels; beta lies between {_number(betas.min())} and {_number(betas.max())}, below 0 in {below} "
        f"channels and above in {above}. A single channel's share of values below 0 ranges from "
        f"{_percent(min(low for low, _, _ in spread))} to {_percent(max(high for _, _, high in spread))}."
    )


def _shares_table(numbers: Numbers) -> Table:
    heading = ("values", "below 0", "in [0, 1]", "above 1", "removed of x²", "a channel's share below 0")
    derived = ("standard normal, derived", *_cells(numbers["derived"]), "")
    normal = ("normal inputs, measured", *_cells(numbers["normal"]), "")
    layers = tuple(
        (
            f"{layer['name']}, {layer['when']}",
            *_cells(layer),
            f"{_percent(layer['unit_below'][0])} to {_percent(layer['unit_below'][2])}",
        )
        for layer in numbers["layers"]
    )
    return Table(heading, (normal, *layers), (derived,))


def _cells(part: Numbers) -> tuple[str, ...]:
    return tuple(_percent(part[key]) for key in ("below", "within", "above", "removed_square"))


def _affine_table(numbers: Numbers) -> Table:
    heading = ("layer", "channels", "gamma", "", "", "beta", "", "")
    body = tuple(
        (
            layer["name"],
            str(len(layer["gamma"])),
            *(_number(value) for key in ("gamma", "beta") for value in np.quantile(layer[key], (0.0, 0.5, 1.0))),
        )
        for layer in numbers["layers"]
        if layer["when"] == AFTER
    )
    return Table(heading, body, ())


def _histograms(numbers: Numbers) -> Chart:
    names = list(dict.fromkeys(layer["name"] for layer in numbers["layers"]))
    rows = math.ceil(len(names) / 3)
    figure, axes = panels(3, rows=rows, height=2.1 * rows)
    edges = np.array(numbers["edges"])
    width = edges[1] - edges[0]
    for panel, name in zip(axes, names, strict=False):
        panel.axvspan(0.0, 1.0, color=FAINT, alpha=0.2, linewidth=0)
        for index, when in enumerate((BEFORE, AFTER)):
            layer = next(layer for layer in numbers["layers"] if layer["name"] == name and layer["when"] == when)
            density = np.array(layer["histogram"]) / width
            panel.stairs(density, edges, color=colour(index), label=when, linestyle=("-", "--")[index])
        title(panel, name)
        panel.set_yticks([])
        panel.set_xlim(-4, 4)
    for panel in axes[len(names) :]:
        panel.set_axis_off()
    handles, labels = axes[0].get_legend_handles_labels()
    if len(axes) > len(names):
        axes[-1].legend(handles, labels, frameon=False, fontsize=9, loc="center", labelcolor=INK)
    else:
        legend(axes[0])
    return Chart(figure)


def _affine(numbers: Numbers) -> Chart:
    trained = [layer for layer in numbers["layers"] if layer["when"] == AFTER]
    figure, axes = panels(2, height=0.4 * len(trained) + 1.0)
    for panel, key, start in zip(axes, ("gamma", "beta"), (1.0, 0.0), strict=True):
        for index, layer in enumerate(trained):
            panel.plot(layer[key], np.full(len(layer[key]), index), "o", color=colour(0), markersize=4, alpha=0.5)
        panel.axvline(start, color=FAINT, linestyle=":", linewidth=1)
        panel.set_yticks(range(len(trained)), [layer["name"] for layer in trained])
        panel.invert_yaxis()
        title(panel, f"{key} (dotted: before training)")
    axes[1].set_yticklabels([])
    return Chart(figure)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


TRAINING: Numbers = {"model": "small_cnn", "width": 8, "dataset": "fashion_mini", "epochs": 2, "order": "convention"}
SMALL: Numbers = {"sample": 100_000, "offset": 5.0, "scale": 2.0, "training": TRAINING}
PAPER: Numbers = SMALL | {
    "sample": 1_000_000,
    "training": TRAINING | {"width": 32, "dataset": "fashion_mnist", "epochs": 10},
}


def bn_range(size: str) -> Measurement:
    """The measurement, at one of an experiment's sizes."""
    return Measurement(
        name="range",
        measure=measure,
        present=present,
        parameters=SMALL if size == "small" else PAPER,
        heading="BatchNorm's range",
    )
