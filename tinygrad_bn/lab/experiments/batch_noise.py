"""How much BatchNorm's statistics, and what a network answers, depend on which images share the batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import data, nn
from ... import functional as F
from ...autograd import no_grad
from ...tensor import Tensor
from ..config import RunConfig
from ..document import CaptionedTable, Figure, Finding, Section, Text
from ..figures import Chart, colour, legend, look, panels, title
from ..tables import Table
from ..training import train
from .experiment import Measurement

Numbers = dict[str, Any]
Array = np.ndarray[Any, np.dtype[Any]]


def batch_statistics(batches: Array) -> tuple[Array, Array]:
    """Mean and unbiased variance of batches (B, batches), as BatchNorm stores them: one batch per channel."""
    count = batches.shape[1]
    mean, variance = Tensor(np.zeros(count)), Tensor(np.ones(count))
    F.batch_norm(Tensor(batches), mean, variance, training=True, momentum=1.0)
    return mean.numpy(), variance.numpy()


def measure(
    batch_sizes: Sequence[int],
    batches: int,
    companions: int,
    images: int,
    training: Numbers,
) -> Numbers:
    """Spread of batch statistics for normal values and for a trained network's units, and of the network's answers.

    Args:
        batch_sizes: numbers of examples B.
        batches: batches drawn for each B.
        companions: batches in which the same images are looked at.
        images: how many images are looked at, each in every one of these batches.
        training: settings of the run that gives the network; its first block must be fully connected.
    """
    generator = np.random.default_rng(0)
    trained = train(RunConfig(**training))
    pixels = _test_images(training["dataset"]).to(next(trained.model.parameters()).device)
    values = _first_layer(trained.model, pixels)
    units = (values - values.mean(axis=0)) / values.std(axis=0)
    kurtosis = float((units**4).mean() - 3.0)
    answers = Answers(trained.model, pixels, generator.choice(len(pixels), images, replace=False))
    return {
        "training": training,
        "test_accuracy": trained.result["test_accuracy"],
        "kurtosis": kurtosis,
        "units": units.shape[1],
        "batches": batches,
        "images": images,
        "companions": companions,
        "statistics": [
            {
                "batch_size": size,
                "derived_mean": 1 / math.sqrt(size),
                "derived_variance": math.sqrt(2 / (size - 1)),
                "normal": _spread(generator.normal(size=(size, batches)), 1),
                "derived_unit_variance": math.sqrt(2 / (size - 1) + kurtosis / size),
                "unit": _spread(_drawn(units, size, batches, generator), units.shape[1]),
            }
            for size in batch_sizes
        ],
        "answers": [answers.measure(size, companions, generator) for size in batch_sizes],
    }


def _spread(batches: Array, units: int) -> Numbers:
    """Deviation of the batch means and variances of values of deviation 1; pooled over units."""
    mean, variance = (part.reshape(-1, units) for part in batch_statistics(batches))
    return {
        "mean": float(np.sqrt(mean.var(axis=0).mean())),
        "variance": float(np.sqrt(variance.var(axis=0).mean())),
    }


def _drawn(units: Array, size: int, batches: int, generator: np.random.Generator) -> Array:
    """Batches (size, batches * units) of images drawn with replacement; a column is one unit in one batch."""
    chosen = generator.integers(len(units), size=(size, max(2, batches // units.shape[1])))
    return units[chosen].reshape(size, -1)


def _test_images(dataset: str) -> Tensor:
    training_set, test_set = data.load(dataset, "train"), data.load(dataset, "test")
    normalize = data.Normalize(training_set.mean, training_set.std)
    (images, _), *_ = data.DataLoader(test_set, len(test_set), transform=normalize)
    return images


def _first_layer(model: nn.Module, images: Tensor) -> Array:
    """What the first BatchNorm normalises, (images, units), in float64."""
    layer = next(module for module in model.modules() if isinstance(module, nn.Linear))
    with no_grad():
        return np.asarray(layer(images.flatten(1)).numpy(), dtype=np.float64)


class Answers:
    """What a network answers about a few images, whose batches are filled up with others drawn at random.

    Args:
        model: the network, put into training mode: each batch is normalised with its own statistics.
        images: all images.
        watched: numbers of those that are looked at.
    """

    def __init__(self, model: nn.Module, images: Tensor, watched: Array) -> None:
        self._model = model
        self._images = images
        self._watched = watched
        with no_grad():
            self._settled = model.eval()(images[watched]).numpy()

    def measure(self, size: int, companions: int, generator: np.random.Generator) -> Numbers:
        """Spread of each logit between batches over that between images, and how often the answer is another one."""
        self._model.train()
        logits = np.stack([self._in_one_batch(size, generator) for _ in range(companions)])
        between_images = self._settled.std(axis=0).mean()
        return {
            "batch_size": size,
            "noise": float(logits.std(axis=0).mean() / between_images),
            "changed": float((logits.argmax(axis=2) != self._settled.argmax(axis=1)).mean()),
        }

    def _in_one_batch(self, size: int, generator: np.random.Generator) -> Array:
        """Logits (watched, classes), each image in a batch of its own among `size - 1` others."""
        others = np.delete(np.arange(len(self._images)), self._watched)
        answers = []
        with no_grad():
            for image in self._watched:
                batch = np.concatenate([[image], generator.choice(others, size - 1, replace=False)])
                answers.append(self._model(self._images[batch]).numpy()[0])
        return np.stack(answers)


def present(numbers: Numbers) -> list[Section]:
    """The noise of the statistics against theory, and what it does to the answers."""
    training = numbers["training"]
    return [
        Section(
            "batch-noise",
            "How noisy are a batch's statistics?",
            (
                Text(
                    "“Moreover, BN introduces some noise in the training which is often interpreted as an implicit "
                    "form of regularization”, says the first answer. The noise comes from the batch: its mean and "
                    "variance stand for those of all images. For normal values of deviation 1 the mean of B of them "
                    "has the deviation 1/√B and the (unbiased) variance has √(2/(B − 1)); for other values, with "
                    "excess kurtosis κ, the variance has √(2/(B − 1) + κ/B)."
                ),
                *(Finding(sentence) for sentence in _statistics_findings(numbers)),
                Figure(
                    "batch-noise",
                    "Deviation of a batch's mean and variance, in units of the values' own: measured (marks) for "
                    "normal values and for the inputs of the first BatchNorm of a trained network, and derived "
                    "(lines).",
                    lambda: _statistics_chart(numbers),
                ),
                CaptionedTable(
                    "batch-noise",
                    f"Deviation of batch statistics over {numbers['batches']:,} batches of normal values, and over "
                    f"batches of test images for {numbers['units']} units (root mean square over units).",
                    _statistics_table(numbers),
                ),
            ),
        ),
        Section(
            "batch-noise-answers",
            "The same image in different batches",
            (
                Text(
                    f"A trained network ({training['model']}, {training['dataset']}, {numbers['test_accuracy']:.1f} % "
                    f"test accuracy) is shown {numbers['images']} test images, each of them {numbers['companions']} "
                    "times with other images in its batch, in training mode: normalised with the batch's statistics."
                ),
                *(Finding(sentence) for sentence in _answer_findings(numbers["answers"])),
                Figure(
                    "batch-noise-answers",
                    "Left: deviation of a logit from batch to batch, over its deviation between images. Right: how "
                    "often the class is another one than in evaluation mode.",
                    lambda: _answer_chart(numbers["answers"]),
                ),
            ),
        ),
    ]


def _statistics_findings(numbers: Numbers) -> list[str]:
    rows = numbers["statistics"]
    farthest = max(abs(row["normal"][key] / row[f"derived_{key}"] - 1) for row in rows for key in ("mean", "variance"))
    agrees = "follow" if farthest < 0.05 else "do not follow"
    first, last = rows[0], rows[-1]
    heavier = "heavier tails than normal ones, which makes the variance noisier"
    lighter = "lighter tails than normal ones, which makes the variance less noisy"
    return [
        f"For normal values the measured deviations {agrees} theory: they are at most {100 * farthest:.1f} % away. "
        f"From B = {first['batch_size']} to {last['batch_size']} the mean's falls from "
        f"{first['normal']['mean']:.2f} to {last['normal']['mean']:.3f}.",
        f"The network's values have {heavier if numbers['kurtosis'] > 0 else lighter} (mean excess kurtosis "
        f"{numbers['kurtosis']:.2f}): with B = {last['batch_size']} its deviation is {last['unit']['variance']:.3f}, "
        f"derived {last['derived_unit_variance']:.3f}, for normal values {last['derived_variance']:.3f}.".replace(
            "kurtosis -", "kurtosis −"
        ),
    ]


def _answer_findings(answers: Sequence[Numbers]) -> list[str]:
    first, last = answers[0], answers[-1]
    slope = np.polyfit(
        np.log([answer["batch_size"] for answer in answers]), np.log([answer["noise"] for answer in answers]), 1
    )[0]
    falls = "falls" if slope < 0 else "grows"
    return [
        f"The noise of a logit {falls} from {100 * first['noise']:.0f} % of its deviation between images with batches "
        f"of {first['batch_size']} to {100 * last['noise']:.1f} % with {last['batch_size']}: like B to the power "
        f"{slope:.2f} (1/√B would be −0.50).".replace("power -", "power −"),
        f"The predicted class is another one than in evaluation mode in {100 * first['changed']:.1f} % of the cases "
        f"with batches of {first['batch_size']}, and in {100 * last['changed']:.1f} % with {last['batch_size']}.",
    ]


def _statistics_table(numbers: Numbers) -> Table:
    heading = ("B", "mean: derived", "normal", "units", "variance: derived", "normal", "units: derived", "units")
    body = tuple(
        (
            str(row["batch_size"]),
            f"{row['derived_mean']:.4f}",
            f"{row['normal']['mean']:.4f}",
            f"{row['unit']['mean']:.4f}",
            f"{row['derived_variance']:.4f}",
            f"{row['normal']['variance']:.4f}",
            f"{row['derived_unit_variance']:.4f}",
            f"{row['unit']['variance']:.4f}",
        )
        for row in numbers["statistics"]
    )
    return Table(heading, body, ())


def _statistics_chart(numbers: Numbers) -> Chart:
    figure, axes = panels(2, height=3.0)
    rows = numbers["statistics"]
    sizes = [row["batch_size"] for row in rows]
    for panel, key in zip(axes, ("mean", "variance"), strict=True):
        panel.plot(sizes, [row[f"derived_{key}"] for row in rows], color=colour(0), label="derived, normal")
        if key == "variance":
            derived = [row["derived_unit_variance"] for row in rows]
            panel.plot(sizes, derived, color=colour(1), linestyle="--", label="derived, units")
        for index, (kind, label) in enumerate((("normal", "normal values"), ("unit", "a network's units"))):
            style = {**look(index), "linestyle": "none", "markersize": 5}
            panel.plot(sizes, [row[kind][key] for row in rows], label=label, **style)
        _log_axes(panel, sizes)
        title(panel, f"deviation of the batch {key}")
    legend(axes[1], loc="lower left")
    return Chart(figure)


def _answer_chart(answers: Sequence[Numbers]) -> Chart:
    figure, axes = panels(2, height=2.8)
    sizes = [answer["batch_size"] for answer in answers]
    noise = [answer["noise"] for answer in answers]
    axes[0].plot(sizes, noise, label="measured", **look(0))
    middle = len(sizes) // 2
    guide = [noise[middle] * math.sqrt(sizes[middle] / size) for size in sizes]
    axes[0].plot(sizes, guide, color=colour(1), linestyle=":", label="like 1/√B")
    legend(axes[0], loc="lower left")
    axes[1].plot(sizes, [100 * answer["changed"] for answer in answers], **look(0))
    _log_axes(axes[0], sizes)
    axes[1].set_xscale("log", base=2)
    axes[1].set_xticks(sizes, [str(size) for size in sizes])
    axes[1].set_xlabel("batch size B")
    axes[1].set_ylim(bottom=0)
    title(axes[0], "noise of a logit")
    title(axes[1], "other class than in evaluation (%)")
    return Chart(figure)


def _log_axes(panel: Any, sizes: Sequence[int]) -> None:
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.set_xticks(sizes, [str(size) for size in sizes])
    panel.set_xlabel("batch size B")


SMALL: Numbers = {
    "batch_sizes": [2, 4, 8, 16, 32, 64, 128, 256, 512],
    "batches": 4000,
    "companions": 12,
    "images": 32,
    "training": {"model": "mlp", "width": 64, "depth": 3, "dataset": "fashion_mini", "epochs": 3},
}
PAPER: Numbers = SMALL | {
    "batches": 20_000,
    "companions": 50,
    "images": 100,
    "training": {"model": "mlp", "width": 512, "depth": 3, "dataset": "fashion_mnist", "epochs": 10},
}


def batch_noise(size: str) -> Measurement:
    """The measurement, at one of an experiment's sizes."""
    return Measurement(
        name="batch-noise",
        measure=measure,
        present=present,
        parameters=SMALL if size == "small" else PAPER,
        heading="The noise of batch statistics",
    )
