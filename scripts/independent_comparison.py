"""Answer the laboratory's main question a second time, with PyTorch: the same protocol, none of our engine.

Network, initialisation, normalisation, optimiser, schedule and evaluation are written here with `torch.nn` and
`torch.optim` alone, and PyTorch's generator draws weights and batches. Of tinygrad_bn only the images are read, and
the interval of the mean is computed by it. With `--against FOLDER`, the folder of a finished `tinygrad-bn compare`, the
two are held against each other: the exit code is 0 if their mean paired differences agree for every activation,
1 if not, and 2 if they cannot be compared.

    tinygrad-bn compare --activations tanh,softsign --seeds 12 --out runs/ours
    python scripts/independent_comparison.py --activations tanh,softsign --seeds 12 --against runs/ours
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import multiprocessing
import statistics
import sys
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import nn

from tinygrad_bn import data
from tinygrad_bn.files import atomic_writer
from tinygrad_bn.lab.statistics import bootstrap_interval, interval_text, p_text, signed

ORDERS = ("convention", "swap")
ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "softsign": nn.Softsign, "tanh": nn.Tanh}
HIDDEN = 128
CONFIDENCE = 0.95
LEVEL = 0.05
PERMUTATIONS = 99_999


@dataclass(frozen=True)
class Protocol:
    """What all runs have in common; the defaults are those of `tinygrad-bn compare`, and so are the names."""

    model: str = "small_cnn"
    width: int = 8
    dataset: str = "fashion_mini"
    epochs: int = 5
    batch_size: int = 64
    learning_rate: float = 0.05
    schedule: str = "cosine"
    optimizer: str = "sgd"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    affine_weight_decay: float | None = None
    gamma_weight_decay: float | None = None
    beta_weight_decay: float | None = None
    initialization: str = "default"
    augmentation: str = "none"
    validation_share: float = 0.0
    autocast: str = "none"


PROTOCOL = Protocol()
#: What else a run's config says, none of which changes a number of this protocol on a CPU.
WITHOUT_EFFECT = ("depth", "step_probes", "landscape", "graph_frames", "device", "float32_matmul_precision")


# -- the protocol -----------------------------------------------------------------------------------------


def small_cnn(order: str, activation: str, width: int = 8, image_size: int = 28, classes: int = 10) -> Any:
    """Return the network, with PyTorch's own initial weights; its names are those of `tinygrad_bn.nn.SmallCNN`.

    Two 3x3 blocks of `width` channels, max-pool 2, two of 2 width, max-pool 2, a fully connected block of 128, and a
    linear layer to the classes. Only convolutions and linear layers draw random numbers: a seed means the same weights
    in both orders.
    """

    def block(name: str, weight: Any, norm: Any) -> Any:
        act = ACTIVATIONS[activation]()
        behind = [("norm", norm), ("act", act)] if order == "convention" else [("act", act), ("norm", norm)]
        return nn.Sequential(OrderedDict([(name, weight), *behind]))

    def conv_block(inputs: int, outputs: int) -> Any:
        return block("conv", nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs))

    features = nn.Sequential(
        conv_block(1, width),
        conv_block(width, width),
        nn.MaxPool2d(2),
        conv_block(width, 2 * width),
        conv_block(2 * width, 2 * width),
        nn.MaxPool2d(2),
    )
    pixels = (image_size // 4) ** 2
    classifier = nn.Sequential(
        nn.Flatten(),
        block("linear", nn.Linear(2 * width * pixels, HIDDEN), nn.BatchNorm1d(HIDDEN)),
        nn.Linear(HIDDEN, classes),
    )
    return nn.Sequential(OrderedDict(features=features, classifier=classifier))


@dataclass(frozen=True)
class Images:
    """Normalised images (N, 1, H, W), float32, and labels (N,), int64, for training and for the test."""

    training: Any
    training_labels: Any
    test: Any
    test_labels: Any


def read_images(dataset: str) -> Images:
    """Read a data set and normalise it with mean and (biased) deviation of all pixels of the training images."""
    training, test = data.load(dataset, "train"), data.load(dataset, "test")
    mean, std = training.images.mean(dtype=np.float64), training.images.std(dtype=np.float64)

    def normalised(images: Any) -> Any:
        return torch.from_numpy(((images - mean) / std).astype(np.float32))

    def whole(labels: Any) -> Any:
        return torch.from_numpy(labels.copy())

    return Images(normalised(training.images), whole(training.labels), normalised(test.images), whole(test.labels))


def train(network: Any, images: Images, permutations: Sequence[Any], protocol: Protocol) -> dict[str, float]:
    """Train a network in place and evaluate it after the last epoch.

    Args:
        network: of `small_cnn`.
        images: what to train and test on.
        permutations: for each epoch the order of the training images; those that do not fill a batch are left out.
        protocol: batch size, learning rate, momentum, weight decay; the learning rate falls from step to step along
            half a cosine.

    Returns:
        train_loss (mean over the steps of the last epoch), test_loss, test_accuracy (percent), learning_rate (at the
        end). A training whose loss is no longer a number stops at the end of that epoch.
    """
    size = protocol.batch_size
    steps = len(images.training) // size
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=protocol.learning_rate,
        momentum=protocol.momentum,
        weight_decay=protocol.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=len(permutations) * steps)
    train_loss = math.nan
    for permutation in permutations:
        network.train()
        losses = []
        for step in range(steps):
            chosen = permutation[step * size : (step + 1) * size]
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(images.training[chosen]), images.training_labels[chosen])
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        train_loss = statistics.fmean(losses)
        if not math.isfinite(train_loss):
            break
    network.eval()
    with torch.no_grad():
        logits = torch.cat([network(part) for part in images.test.split(500)])
        test_loss = nn.functional.cross_entropy(logits, images.test_labels).item()
        correct = (logits.argmax(dim=1) == images.test_labels).sum().item()
    return {
        "train_loss": train_loss,
        "test_loss": test_loss,
        "test_accuracy": 100.0 * correct / len(images.test),
        "learning_rate": schedule.get_last_lr()[0],
    }


def train_pair(activation: str, seed: int, protocol: Protocol = PROTOCOL) -> tuple[float, ...]:
    """Return the test accuracy (percent) in each of `ORDERS`, from the same initial weights with the same batches."""
    images = read_images(protocol.dataset)
    accuracies = []
    for order in ORDERS:
        torch.manual_seed(seed)
        network = small_cnn(order, activation, protocol.width, images.training.shape[-1])
        # Both networks have drawn as many numbers by now, so the permutations are the same too.
        permutations = [torch.randperm(len(images.training)) for _ in range(protocol.epochs)]
        accuracies.append(train(network, images, permutations, protocol)["test_accuracy"])
    return tuple(accuracies)


# -- the answer -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What one implementation found for one activation.

    Attributes:
        pairs: by seed, the test accuracy (percent) in each of `ORDERS`.
    """

    pairs: Mapping[int, tuple[float, ...]]

    def accuracies(self, order: str) -> list[float]:
        """The accuracies of one order, by seed."""
        return [pair[ORDERS.index(order)] for _, pair in sorted(self.pairs.items())]

    @property
    def differences(self) -> list[float]:
        """Swap minus convention, by seed, in percentage points."""
        return [second - first for _, (first, second) in sorted(self.pairs.items())]

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % BCa interval of the mean difference, or None where there is none."""
        return bootstrap_interval(self.differences)[0]

    def to_dict(self) -> dict[str, Any]:
        """Every value, and what follows from them, as JSON values."""
        return {
            "seeds": sorted(self.pairs),
            **{order: self.accuracies(order) for order in ORDERS},
            "differences": self.differences,
            "mean_difference": statistics.fmean(self.differences),
            "interval": self.interval,
        }


@dataclass(frozen=True)
class Agreement:
    """Whether two independent samples may have the same mean.

    Attributes:
        gap: mean of the second sample minus mean of the first.
        interval: Welch's 95 % interval of the gap.
        p_value: of the permutation test.
    """

    gap: float
    interval: tuple[float, float]
    p_value: float

    @property
    def agree(self) -> bool:
        """Whether 0 lies in the interval and the permutation test does not reject either."""
        return self.interval[0] <= 0.0 <= self.interval[1] and self.p_value >= LEVEL


def agreement(first: Sequence[float], second: Sequence[float]) -> Agreement:
    """Compare the means of two independent samples, which may differ in size and in spread.

    The interval is that of Welch (1947), "The generalization of 'Student's' problem when several different population
    variances are involved". The p value is two-sided and says how often the means lie at least as far apart when the
    values are dealt to the two samples at random: had both followed the same protocol, any deal would be as likely. All
    deals are counted where there are at most `PERMUTATIONS`. Either errs in one of 20 comparisons of equals.

    Raises:
        ValueError: a sample has fewer than two values, or no value in either differs from the others.

    >>> agreement([1.0, 2.0, 3.0, 4.0], [1.5, 2.5, 3.5, 4.5]).agree
    True
    >>> agreement([1.0, 2.0, 3.0, 4.0], [11.0, 12.0, 13.0, 14.0]).agree
    False
    """
    if min(len(first), len(second)) < 2:
        raise ValueError(f"an agreement needs at least 2 values on each side, there are {len(first)} and {len(second)}")
    if np.ptp(first) == np.ptp(second) == 0.0:
        raise ValueError("all values of a side are equal, on both sides: there is no spread to hold the gap against")
    interval = stats.ttest_ind(second, first, equal_var=False).confidence_interval(CONFIDENCE)
    test = stats.permutation_test(
        (np.asarray(second), np.asarray(first)),
        lambda a, b, axis: np.mean(a, axis=axis) - np.mean(b, axis=axis),
        permutation_type="independent",
        vectorized=True,
        n_resamples=PERMUTATIONS,
        batch=10_000,
        rng=0,
    )
    return Agreement(
        statistics.fmean(second) - statistics.fmean(first),
        (float(interval.low), float(interval.high)),
        float(test.pvalue),
    )


def read_folder(folder: Path, protocol: Protocol = PROTOCOL) -> dict[str, Answer]:
    """Read by activation what `tinygrad-bn compare` found, from the files of its runs.

    Runs of another protocol or in other orders are left out; only seeds that are finished in both orders count.

    Raises:
        ValueError: there is no run of this protocol, or two runs that differ only in what the protocol does not name.
        OSError: a file cannot be read.
    """
    expected = dataclasses.asdict(protocol)
    found: dict[str, dict[tuple[int, str], float]] = {}
    others: set[str] = set()
    for path in sorted(folder.glob("runs/*/result.json")):
        config = json.loads(path.with_name("config.json").read_text(encoding="utf-8"))
        # What a config does not name could not be chosen when it was written.
        unlike = [name for name, value in expected.items() if config.get(name, value) != value]
        others.update(f"{name}={config[name]}" for name in unlike)
        if unlike or config["order"] not in ORDERS:
            continue
        values = found.setdefault(config["activation"], {})
        key = (config["seed"], config["order"])
        if key in values:
            raise ValueError(f"{folder} has two runs of {config['activation']} {key[1]} seed {key[0]}")
        values[key] = json.loads(path.read_text(encoding="utf-8"))["test_accuracy"]
    if not found:
        got = f", only runs with {', '.join(sorted(others))}" if others else ""
        raise ValueError(f"there is no finished run of this protocol in {folder}{got}")
    return {
        activation: Answer(
            {
                seed: tuple(values[seed, order] for order in ORDERS)
                for seed in sorted({seed for seed, _ in values})
                if all((seed, order) in values for order in ORDERS)
            }
        )
        for activation, values in found.items()
    }


# -- text -------------------------------------------------------------------------------------------------


def table(answers: Mapping[str, Answer]) -> str:
    """One row per implementation: mean accuracy in each order, mean paired difference, its interval.

    >>> print(table({"PyTorch": Answer({0: (80.0, 81.0), 1: (81.0, 83.0), 2: (80.0, 84.0)})}))
                 pairs  convention    swap  difference          95 % BCa
    PyTorch          3       80.33   82.67       +2.33    [+1.33, +4.00]
    """
    lines = [f"{'':<12} {'pairs':>5}  {ORDERS[0]:>10}  {ORDERS[1]:>6}  {'difference':>10}  {'95 % BCa':>16}"]
    for name, answer in answers.items():
        first, second = (statistics.fmean(answer.accuracies(order)) for order in ORDERS)
        difference = signed(statistics.fmean(answer.differences))
        interval = "none" if answer.interval is None else interval_text(answer.interval)
        lines.append(
            f"{name:<12} {len(answer.pairs):>5}  {first:>10.2f}  {second:>6.2f}  {difference:>10}  {interval:>16}"
        )
    return "\n".join(lines)


def verdict(what: str, found: Agreement) -> str:
    """One line: the gap, Welch's interval, the permutation test, and what they say together."""
    return (
        f"{what}: PyTorch − tinygrad_bn {signed(found.gap)}, 95 % Welch interval {interval_text(found.interval)}, "
        f"permutation p = {p_text(found.p_value)}: {'agree' if found.agree else 'DISAGREE'}"
    )


# -- the command ------------------------------------------------------------------------------------------


def train_all(
    activations: Sequence[str], seeds: Sequence[int], jobs: int, protocol: Protocol = PROTOCOL
) -> dict[str, Answer]:
    """Train every pair, each in one of `jobs` processes of one thread, and say on standard error how far it is."""
    started = time.perf_counter()
    found: dict[str, dict[int, tuple[float, ...]]] = {activation: {} for activation in activations}
    tasks = [(activation, seed) for activation in activations for seed in seeds]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        futures = {pool.submit(train_pair, *task, protocol): task for task in tasks}
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                activation, seed = futures[future]
                found[activation][seed] = pair = future.result()
                values = ", ".join(f"{order} {value:.2f} %" for order, value in zip(ORDERS, pair, strict=True))
                elapsed = time.perf_counter() - started
                line = f"[{done:>3}/{len(tasks)}] {activation} seed {seed}: {values}  ({elapsed:.0f} s)"
                print(line, file=sys.stderr, flush=True)
        finally:
            pool.shutdown(cancel_futures=True)
    return {activation: Answer(pairs) for activation, pairs in found.items()}


def seeds_of(text: str) -> list[int]:
    """Return the seeds that a text names, as for `tinygrad-bn compare`.

    >>> seeds_of("3"), seeds_of("12,13")
    ([0, 1, 2], [12, 13])
    """
    numbers = [int(part) for part in text.split(",")]
    return numbers if "," in text else list(range(numbers[0]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, print a table per activation and, with `--against`, whether both implementations agree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--activations", default="tanh,softsign", help="separated by commas (default %(default)s)")
    parser.add_argument(
        "--seeds", type=seeds_of, default="12", help="a number of seeds (default 12: 0 to 11), or the seeds: 3,5,8"
    )
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="folder of a finished `tinygrad-bn compare`")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default %(default)s)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the numbers as JSON")
    options = parser.parse_args(arguments)
    activations = options.activations.split(",")
    if unknown := [name for name in activations if name not in ACTIVATIONS]:
        parser.error(f"unknown activation {', '.join(unknown)}; there are {', '.join(ACTIVATIONS)}")
    if len(options.seeds) < 2 or options.jobs < 1:
        parser.error("at least 2 seeds and 1 process are needed")
    ours: dict[str, Answer] = {}
    if options.against is not None:  # read first: whoever waited should not learn then that the folder is empty
        try:
            ours = read_folder(options.against)
        except (OSError, ValueError) as error:
            parser.error(str(error))
        if lacking := [name for name in activations if name not in ours or len(ours[name].pairs) < 2]:
            parser.error(f"{options.against} has fewer than 2 finished pairs of {', '.join(lacking)}")

    theirs = train_all(activations, options.seeds, options.jobs)
    everything_agrees = True
    document: dict[str, Any] = {
        "protocol": dataclasses.asdict(PROTOCOL),
        "versions": {"torch": str(torch.__version__), "numpy": np.__version__},
        "activations": {},
    }
    for activation in activations:
        answers = {"PyTorch": theirs[activation]}
        gaps: dict[str, Agreement] = {}
        if ours:
            answers["tinygrad_bn"] = ours[activation]
            for order in ORDERS:
                gaps[f"accuracy, {order}"] = agreement(
                    ours[activation].accuracies(order), theirs[activation].accuracies(order)
                )
            gaps["difference"] = agreement(ours[activation].differences, theirs[activation].differences)
            everything_agrees &= gaps["difference"].agree
        print("\n".join(["", activation, table(answers), *(verdict(what, gap) for what, gap in gaps.items())]))
        document["activations"][activation] = {
            **{name: answer.to_dict() for name, answer in answers.items()},
            "agreement": {what: {**dataclasses.asdict(gap), "agree": gap.agree} for what, gap in gaps.items()},
        }
    if options.output is not None:
        with atomic_writer(options.output) as file:
            file.write((json.dumps(document, indent=2) + "\n").encode())
    return 0 if everything_agrees else 1


if __name__ == "__main__":
    sys.exit(main())
