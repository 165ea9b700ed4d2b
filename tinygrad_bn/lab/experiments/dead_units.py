"""Units that answer 0 to everything: how many with BatchNorm before ReLU, behind it and without, and what kills one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from ... import data, nn
from ... import functional as F
from ...autograd import no_grad
from ...tensor import Tensor
from ..config import RunConfig
from ..document import CaptionedTable, Figure, Finding, Section, Text
from ..figures import FAINT, Chart, colour, legend, line, look, panels, title
from ..probes import ACTIVATION_OUTPUT, ModelProbe, layers_of
from ..tables import Table
from ..training import EVALUATION_BATCH, Trained, Training
from .experiment import Measurement

Numbers = dict[str, Any]

#: The default initialisation with a constant added to the biases of all hidden layers.
SHIFTED = "shifted"
ORDER_NAMES = {"convention": "BN before", "swap": "BN behind", "no-norm": "without BN"}
ACTIVATION_NAMES = {"relu": "ReLU", "leaky_relu": "LeakyReLU"}


def measure(
    orders: Sequence[str],
    activations: Sequence[str],
    initializations: Sequence[str],
    bias_shift: float,
    learning_rates: Sequence[float],
    seeds: int,
    network: Numbers,
    sample: int,
    offsets: Sequence[float],
    ratios: Sequence[float],
) -> Numbers:
    """Dead units before and after short trainings, and what BatchNorm lets through for any input and any beta.

    Args:
        orders, activations, learning_rates, seeds: each combination is trained.
        initializations: words of `recipes.INITIALIZATIONS`; "shifted" is the default with `bias_shift` added to the
            biases of all hidden layers.
        bias_shift: see there.
        network: `depth`, `width`, `dataset`, `epochs`, `batch_size`.
        sample: number of normal values of the channels that are looked at alone.
        offsets: means of such a channel, with deviation 1.
        ratios: values of beta / gamma of such a channel.
    """
    runs = [
        _run(order, activation, initialization, bias_shift, rate, seed, network)
        for activation in activations
        for order in orders
        for initialization in initializations
        for rate in learning_rates
        for seed in range(seeds)
    ]
    generator = np.random.default_rng(0)
    values = generator.normal(size=(sample, 1))
    return {
        "network": network,
        "bias_shift": bias_shift,
        "runs": runs,
        "sample": sample,
        "offsets": [{"offset": offset, **_alive(values + offset, 1.0, 0.0)} for offset in offsets],
        "ratios": [
            {"ratio": ratio, "derived": NormalDist().cdf(ratio), **_alive(values, 1.0, ratio)} for ratio in ratios
        ],
    }


def _alive(values: Any, gamma: float, beta: float) -> Numbers:
    """The share of a channel's values that pass BatchNorm and ReLU, and the share of inputs above 0."""
    scale, shift = Tensor(np.array([gamma])), Tensor(np.array([beta]))
    output = F.relu(F.batch_norm(Tensor(values), None, None, scale, shift, training=True)).numpy()
    return {"positive_inputs": float((values > 0).mean()), "alive": float((output > 0).mean())}


def _run(
    order: str, activation: str, initialization: str, bias_shift: float, rate: float, seed: int, network: Numbers
) -> Numbers:
    shifted = initialization == SHIFTED
    config = RunConfig(
        model="mlp",
        **network,
        order=order,
        activation=activation,
        initialization="default" if shifted else initialization,
        learning_rate=rate,
        seed=seed,
        schedule="constant",
        weight_decay=0.0,
    )
    with np.errstate(all="ignore"):  # a large learning rate may leave the numbers that floats can hold
        training = Training(config)
        if shifted:
            _shift_biases(training.model, bias_shift)
        before = _dead_at_once(training.model, config)
        while not training.is_over:
            training.run_epoch()
        trained = training.finish()
    result = trained.result
    return {
        "order": order,
        "activation": activation,
        "initialization": initialization,
        "learning_rate": rate,
        "seed": seed,
        "units": sum(layer["channels"] for layer in result["layers"]),
        "before": before,
        "after": sum(layer["dead_channels"] for layer in result["layers"]),
        "unstable": result["diverged"] or any(layer["not_finite"] for layer in result["layers"]),
        "accuracy": result["test_accuracy"],
        "ratios": _ratios(trained) if (order, activation) == ("convention", "relu") else None,
    }


def _ratios(trained: Trained) -> dict[str, list[float]]:
    """beta / |gamma| of every hidden unit, those of dead units apart."""
    norms = [module for module in trained.model.modules() if isinstance(module, nn.BatchNorm1d)]
    ratios: dict[str, list[float]] = {"dead": [], "alive": []}
    for norm, layer in zip(norms, layers_of(trained.probes, ACTIVATION_OUTPUT), strict=True):
        assert norm.weight is not None
        assert norm.bias is not None
        for ratio, dead in zip(norm.bias.numpy() / np.abs(norm.weight.numpy()), layer.dead, strict=True):
            ratios["dead" if dead else "alive"].append(round(float(ratio), 4))
    return ratios


@no_grad()
def _shift_biases(model: nn.Module, shift: float) -> None:
    for module in model.modules():
        if isinstance(module, nn.LinearBlock):
            bias = module.linear.bias
            bias.assign_(bias.numpy() + shift)


def _dead_at_once(model: nn.Module, config: RunConfig) -> int:
    """Hidden units of an untrained network whose activation is exactly 0 for every test image.

    It has no running averages yet, so each batch is normalised with its own statistics.
    """
    training_set, test_set = data.load(config.dataset, "train"), data.load(config.dataset, "test")
    normalize = data.Normalize(training_set.mean, training_set.std)
    probe = ModelProbe(model, config.activation)
    model.train()
    with probe.watching(), no_grad():
        device = next(model.parameters()).device
        for images, _ in data.DataLoader(test_set, EVALUATION_BATCH, transform=normalize, device=device):
            model(images)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.reset_running_stats()
    return sum(layer.dead_channels for layer in layers_of(probe.arrays(), ACTIVATION_OUTPUT))


def present(numbers: Numbers) -> list[Section]:
    """What BatchNorm lets through, dead units by order, learning rate and initialisation, and when beta kills."""
    return [
        Section(
            "bn-positive-inputs",
            "Can BatchNorm turn positive inputs negative, and kill neurons?",
            (
                Text(
                    "A comment asks: “If BN is applied before ReLU, couldn't be the case that all inputs to BN are "
                    "positive, so after passing through the BN layer some of the[m] become negative leading to dead "
                    "neurons?” BatchNorm takes the mean out whatever it is. So some values of every channel become "
                    "negative, but as long as beta is near 0 others become positive: a unit is dead only if all do."
                ),
                Finding(_offset_finding(numbers)),
                CaptionedTable(
                    "bn-positive-inputs",
                    f"{numbers['sample']:,} normal values of deviation 1, by their mean, gamma 1 and beta 0.",
                    _offset_table(numbers),
                ),
                Text(
                    "“BN also learns a shifting coefficient β … So the learning dynamics may push β to be large "
                    "enough”, goes the answer. It may also push it the other way. A unit with normal inputs passes the "
                    "share Φ(beta/gamma) of them; of M images none, once that share is well below 1/M."
                ),
                Finding(_ratio_finding(numbers)),
                Finding(_killed_finding(numbers["runs"])),
                Figure(
                    "bn-beta-kills",
                    "Left: share of values that BatchNorm and ReLU let through, by beta/gamma, for normal values. "
                    "Right: beta/|gamma| of the hidden units of all networks trained below with BatchNorm before ReLU.",
                    lambda: _ratio_chart(numbers),
                ),
            ),
        ),
        Section(
            "dead-units",
            "Dead units after training, with and without BatchNorm",
            (
                Text(
                    "“It might be better to use Leaky ReLU to avoid dead neurons which seem very possible with the a "
                    "feature and weight normalized relu activation neural network”, says the second answer. Counted "
                    f"here: hidden units of an MLP ({numbers['network']['depth']} layers of "
                    f"{numbers['network']['width']} units, {numbers['network']['dataset']}, "
                    f"{numbers['network']['epochs']} epochs of SGD with momentum 0.9 and a constant learning rate) "
                    "whose activation is exactly 0 for every image of the test set. “Shifted” is the default "
                    f"initialisation with {_number(numbers['bias_shift'])} added to the hidden biases."
                ),
                *(Finding(sentence) for sentence in _dead_findings(numbers["runs"])),
                Figure(
                    "dead-units",
                    "Dead hidden units after training with ReLU (mean over seeds), by learning rate, one panel per "
                    "initialisation.",
                    lambda: _dead_chart(numbers["runs"]),
                ),
                CaptionedTable(
                    "dead-units",
                    "Dead hidden units, in percent, before and after training, and test accuracy (mean over seeds). "
                    "Asterisk: some trainings diverged and are left out.",
                    _dead_table(numbers["runs"]),
                ),
            ),
        ),
    ]


def _offset_finding(numbers: Numbers) -> str:
    positive = sum(entry["positive_inputs"] == 1.0 for entry in numbers["offsets"])
    low, high = (pick(100 * entry["alive"] for entry in numbers["offsets"]) for pick in (min, max))
    passed = f"{low:.1f} %" if high - low < 0.05 else f"{low:.1f} % to {high:.1f} %"
    verdict = "So no unit dies of it." if low > 10 else "So units can die of it."
    first, last = (_number(numbers["offsets"][place]["offset"]) for place in (0, -1))
    return (
        f"At every mean from {first} to {last}, also at the {positive} where all inputs are positive, {passed} of the "
        f"values pass BatchNorm and ReLU. {verdict}"
    )


def _offset_table(numbers: Numbers) -> Table:
    heading = ("mean of the inputs", "passed by ReLU alone", "passed by BatchNorm and ReLU")
    body = tuple(
        (
            _number(entry["offset"]),
            f"{100 * entry['positive_inputs']:.1f} %",
            f"{100 * entry['alive']:.1f} %",
        )
        for entry in numbers["offsets"]
    )
    return Table(heading, body, ())


def _ratio_finding(numbers: Numbers) -> str:
    farthest = max(abs(entry["alive"] - entry["derived"]) for entry in numbers["ratios"])
    killed = [entry["ratio"] for entry in numbers["ratios"] if entry["alive"] == 0.0]
    lowest = min(entry["ratio"] for entry in numbers["ratios"])
    state = f"dead at {_number(max(killed))} and below" if killed else f"alive down to {_number(lowest)}"
    expected = NormalDist().inv_cdf(1 / numbers["sample"])
    return (
        f"With {numbers['sample']:,} normal values the unit is {state}; below beta/gamma = {_number(expected)} fewer "
        f"than one of them is expected to pass. Measured and derived shares differ by at most {100 * farthest:.1f} "
        "percentage points."
    )


def _killed_finding(runs: Sequence[Numbers]) -> str:
    seen = [run["ratios"] for run in _finite(runs) if run["ratios"] is not None]
    dead = np.array([ratio for ratios in seen for ratio in ratios["dead"]])
    alive = np.array([ratio for ratios in seen for ratio in ratios["alive"]])
    if not dead.size:
        return (
            f"In the trainings below with BatchNorm before ReLU no unit died; beta/|gamma| is {_number(alive.min())} "
            "or more."
        )
    low, middle, high = np.quantile(dead, (0.05, 0.5, 0.95))
    return (
        f"In the trainings below, {dead.size} of {dead.size + alive.size} units with BatchNorm before ReLU died. Their "
        f"beta/|gamma| has the median {_number(middle)} (90 % of them between {_number(low)} and {_number(high)}); "
        f"that of the living has {_number(np.median(alive))}."
    )


def _finite(runs: Sequence[Numbers]) -> list[Numbers]:
    return [run for run in runs if not run["unstable"]]


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def dead_share(runs: Sequence[Numbers], key: str = "after") -> float:
    """The mean share of dead units of those runs that stayed finite; nan when none has."""
    finite = _finite(runs) if key == "after" else runs
    return math.fsum(run[key] / run["units"] for run in finite) / len(finite) if finite else math.nan


def _dead_findings(runs: Sequence[Numbers]) -> list[str]:
    sentences = []
    shifted = {order: _chosen(runs, order=order, initialization=SHIFTED, activation="relu") for order in ORDER_NAMES}
    if all(shifted.values()):
        parts = ", ".join(f"{100 * dead_share(own, 'before'):.1f} % {ORDER_NAMES[o]}" for o, own in shifted.items())
        spared = dead_share(shifted["convention"], "before") < min(0.01, dead_share(shifted["no-norm"], "before"))
        why = ": BatchNorm before ReLU takes a bias out, whatever it is" if spared else ""
        later = ", ".join(f"{100 * dead_share(own):.1f} % {ORDER_NAMES[o]}" for o, own in shifted.items())
        sentences.append(f"Before training, the shifted biases kill {parts}{why}. After training it is {later}.")
    usual = [run for run in runs if run["initialization"] != SHIFTED]
    for activation in dict.fromkeys(run["activation"] for run in runs):
        parts = "; ".join(
            f"{name} {_deaths(own)}"
            for order, name in ORDER_NAMES.items()
            if (own := _finite(_chosen(usual, activation=activation, order=order)))
        )
        sentences.append(
            f"Dead after training from the usual initialisations with {ACTIVATION_NAMES[activation]}: {parts}."
        )
    return sentences


def _deaths(runs: Sequence[Numbers]) -> str:
    worst = max(runs, key=lambda run: run["after"])
    if worst["after"] == 0:
        return f"none in {len(runs)} trainings"
    dying = sum(run["after"] > run["units"] / 100 for run in runs)
    return (
        f"{100 * dead_share(runs):.1f} % (more than 1 % in {dying} of {len(runs)} trainings, at most "
        f"{100 * worst['after'] / worst['units']:.0f} %, at learning rate {worst['learning_rate']:g} with "
        f"{worst['initialization']})"
    )


def _chosen(runs: Sequence[Numbers], **wanted: Any) -> list[Numbers]:
    return [run for run in runs if all(run[key] == value for key, value in wanted.items())]


def _dead_table(runs: Sequence[Numbers]) -> Table:
    rates = sorted({run["learning_rate"] for run in runs})
    kinds = dict.fromkeys((run["activation"], run["order"], run["initialization"]) for run in runs)
    heading = ("activation, BatchNorm, initialisation", "before", *(f"after, rate {rate:g}" for rate in rates))
    body = []
    for activation, order, initialization in kinds:
        own = _chosen(runs, activation=activation, order=order, initialization=initialization)
        cells = [_dead_cell(_chosen(own, learning_rate=rate)) for rate in rates]
        name = f"{ACTIVATION_NAMES[activation]}, {ORDER_NAMES[order]}, {initialization}"
        body.append((name, f"{100 * dead_share(own, 'before'):.1f}", *cells))
    return Table(heading, tuple(body), ())


def _dead_cell(runs: Sequence[Numbers]) -> str:
    finite = _finite(runs)
    if not finite:
        return "diverged"
    accuracy = math.fsum(run["accuracy"] for run in finite) / len(finite)
    return f"{100 * dead_share(finite):.1f} ({accuracy:.0f} %){'*' if len(finite) < len(runs) else ''}"


def _dead_chart(runs: Sequence[Numbers]) -> Chart:
    runs = [run for run in runs if run["activation"] == "relu"]
    initializations = list(dict.fromkeys(run["initialization"] for run in runs))
    rates = sorted({run["learning_rate"] for run in runs})
    figure, axes = panels(len(initializations), height=2.9)
    for panel, initialization in zip(axes, initializations, strict=True):
        for index, order in enumerate(ORDER_NAMES):
            own = _chosen(runs, order=order, initialization=initialization)
            values = [100 * dead_share(_chosen(own, learning_rate=rate)) for rate in rates]
            panel.plot(rates, values, label=ORDER_NAMES[order], clip_on=False, **look(index))
        panel.set_xscale("log")
        panel.set_xticks(rates, [f"{rate:g}" for rate in rates])
        panel.minorticks_off()
        panel.set_ylim(0, 100)
        panel.set_xlabel("learning rate")
        title(panel, initialization)
    axes[0].set_ylabel("dead units (%)")
    legend(axes[0], loc="upper left")
    return Chart(figure)


def _ratio_chart(numbers: Numbers) -> Chart:
    figure, (panel, histogram) = panels(2, height=2.8)
    ratios = [entry["ratio"] for entry in numbers["ratios"]]
    panel.plot(ratios, [entry["derived"] for entry in numbers["ratios"]], color=colour(0), label="Φ(beta/gamma)")
    passing = [(entry["ratio"], entry["alive"]) for entry in numbers["ratios"] if entry["alive"] > 0]
    panel.plot(*zip(*passing, strict=True), "o", color=colour(1), label="measured")
    panel.axhline(1 / numbers["sample"], color=FAINT, linestyle=":", linewidth=1)
    panel.set_yscale("log")
    panel.set_xlabel("beta / gamma")
    panel.set_ylabel("share let through")
    panel.annotate(
        f"1 of {numbers['sample']:,}", (max(ratios), 1 / numbers["sample"]), ha="right", va="bottom", fontsize=9
    )
    legend(panel, loc="upper left")
    seen = [run["ratios"] for run in _finite(numbers["runs"]) if run["ratios"] is not None]
    kinds = [[ratio for ratios in seen for ratio in ratios[kind]] for kind in ("alive", "dead")]
    edges = np.linspace(*_rounded_range([*kinds[0], *kinds[1]]), 41)
    for index, (kind, values) in enumerate(zip(("alive", "dead"), kinds, strict=True)):
        counts, _ = np.histogram(values, edges)
        histogram.stairs(counts, edges, color=colour(index), linestyle=line(index), label=kind)
    histogram.set_yscale("symlog")
    histogram.set_xlabel("beta / |gamma|")
    histogram.set_ylabel("units")
    legend(histogram, loc="upper left")
    return Chart(figure)


def _rounded_range(values: Sequence[float]) -> tuple[float, float]:
    """Whole numbers around all but the farthest half percent of some values at either end."""
    low, high = np.quantile(values, (0.005, 0.995)) if values else (0.0, 0.0)
    return math.floor(low), math.ceil(high) if high > low else math.floor(low) + 1


SMALL: Numbers = {
    "orders": ["convention", "swap", "no-norm"],
    "activations": ["relu", "leaky_relu"],
    "initializations": ["default", "xavier_normal", "kaiming_normal", "shifted"],
    "bias_shift": -2.0,
    "learning_rates": [0.02, 0.2, 1.0],
    "seeds": 2,
    "network": {"depth": 4, "width": 64, "dataset": "digits", "epochs": 4, "batch_size": 64},
    "sample": 10_000,
    "offsets": [-10.0, 0.0, 1.0, 5.0, 10.0, 100.0],
    "ratios": [-5.0, -4.0, -3.5, -3.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0],
}
PAPER: Numbers = SMALL | {
    "learning_rates": [0.02, 0.1, 0.5, 1.0, 2.0],
    "seeds": 6,
    "network": {"depth": 8, "width": 256, "dataset": "fashion_mnist", "epochs": 10, "batch_size": 128},
}


def dead_units(size: str) -> Measurement:
    """The measurement, at one of an experiment's sizes."""
    return Measurement(
        name="dead-units",
        measure=measure,
        present=present,
        parameters=SMALL if size == "small" else PAPER,
        heading="Dead units",
    )
