"""The tutorial's Keras model in this package's words: its shapes and parameters, and what its `axis=1` does."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import functional as F
from ... import nn
from ...autograd import no_grad
from ...backend import manual_seed
from ...creation import tensor
from ...tensor import Tensor
from ..document import CaptionedTable, Code, Finding, Section, Text
from ..tables import Table
from .experiment import Measurement
from .moments import decimal, tiny

KERAS_EPS = 1e-3
#: What Keras calls momentum .99.
KERAS_MOMENTUM = 1.0 - 0.99
SNIPPET = """\
model = Sequential([
    Input((1, 5)),
    Dense(16, activation="relu"),
    Dense(32, activation="relu"),
    BatchNormalization(axis=-1),
    Dense(2, activation="softmax"),
])"""


def keras_style() -> nn.Sequential:
    """(batch, 1, 5) -> (batch, 2): the logits; softmax makes probabilities of them."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(5, 16),
        nn.ReLU(),
        nn.Linear(16, 32),
        nn.ReLU(),
        nn.BatchNorm1d(32, eps=KERAS_EPS, momentum=KERAS_MOMENTUM),
        nn.Linear(32, 2),
    )


def measure_keras_style(*, seed: int, batch: int) -> dict[str, Any]:
    """Run the model with BatchNorm over the features and over axis 1, and look at what comes out.

    Returns:
        layers: name, output shape and parameters (trained and kept) in both forms; softmax: how far the
        probabilities' sums are from 1; units: for both forms the range of means and deviations of the 32 units after
        BatchNorm, and the mean and deviation of all their values together.
    """
    manual_seed(seed)
    model = keras_style()
    flatten, first, _, second, _, over_features, classifier = model
    # Keras keeps the axis of length 1; a BatchNorm over it has one channel.
    over_axis_1 = nn.BatchNorm1d(1, eps=KERAS_EPS, momentum=KERAS_MOMENTUM)
    x = tensor(np.random.default_rng(seed).normal(size=(batch, 1, 5)).astype(np.float32))
    with no_grad():
        one = F.relu(first(x))
        two = F.relu(second(one))
        three = over_axis_1(two)
        outputs = {"features": F.softmax(model(x), dim=-1), "axis_1": F.softmax(classifier(three), dim=-1)}
        units = {"features": over_features(flatten(two)), "axis_1": flatten(three)}
    rows = (
        ("Dense(16), ReLU", one, first, first),
        ("Dense(32), ReLU", two, second, second),
        ("BatchNormalization", three, over_features, over_axis_1),
        ("Dense(2), softmax", outputs["axis_1"], classifier, classifier),
    )
    return {
        "batch": batch,
        "layers": [
            {"name": name, "shape": list(output.shape), "features": _counted(ours), "axis_1": _counted(other)}
            for name, output, ours, other in rows
        ],
        "softmax": max(float(np.abs(output.numpy().sum(axis=-1) - 1.0).max()) for output in outputs.values()),
        "units": {name: _of_units(values) for name, values in units.items()},
    }


def _counted(layer: nn.Module) -> list[int]:
    """Numbers that are trained, and numbers that are kept (Keras does not count batches, so neither is that)."""
    kept = [buffer.size for name, buffer in layer.named_buffers() if name != "num_batches_tracked"]
    return [sum(parameter.size for parameter in layer.parameters()), sum(kept)]


def _of_units(values: Tensor) -> dict[str, Any]:
    units = values.numpy().astype(np.float64)
    means, deviations = units.mean(axis=0), units.std(axis=0)
    return {
        "means": [float(means.min()), float(means.max())],
        "deviations": [float(deviations.min()), float(deviations.max())],
        "together": [float(units.mean()), float(units.std())],
    }


def present_keras_style(numbers: dict[str, Any]) -> Sequence[Section]:
    """Show the corrected snippet, its shapes and parameters, and the two axes."""
    layers, units = numbers["layers"], numbers["units"]
    totals = {
        form: [sum(layer[form][place] for layer in layers) for place in (0, 1)] for form in ("features", "axis_1")
    }
    rows = tuple(
        (
            layer["name"],
            str(("batch", *layer["shape"][1:])).replace("'", ""),
            *map(_parameters, (layer["features"], layer["axis_1"])),
        )
        for layer in layers
    )
    sums = "sum to 1" if numbers["softmax"] < 1e-5 else "do not sum to 1"
    return (
        Section(
            "keras-style",
            "The Keras model",
            (
                Text(
                    "The tutorial's model has two dense layers with ReLU, a BatchNormalization, and two classes. In "
                    "its listing the second layer says activation-'relu' where activation='relu' is meant: as "
                    "printed it is a positional argument after a keyword argument, which Python refuses. Corrected, "
                    "with BatchNorm over the features (see below), in Keras and in this package:"
                ),
                Code(SNIPPET),
                Code(inspect.getsource(keras_style).rstrip()),
                CaptionedTable(
                    "keras-style",
                    "Shapes for inputs of shape (batch, 1, 5), and numbers per layer: trained + kept (running "
                    "averages). Left with one channel per feature, right with axis=1 as in the tutorial. This "
                    "package's model drops the axis of length 1 first.",
                    Table(
                        ("layer", "output shape", "axis=-1", "axis=1"),
                        rows,
                        (("sum", "", *(_parameters(totals[form]) for form in ("features", "axis_1"))),),
                    ),
                ),
                Finding(
                    f"The probabilities of {numbers['batch']} random inputs {sums} (largest deviation "
                    f"{tiny(numbers['softmax'])})."
                ),
            ),
        ),
        Section(
            "axis",
            "What axis=1 does here",
            (
                Text(
                    "BatchNormalization(axis=1) names the axis that keeps its own statistics. For pictures in the "
                    "layout (batch, channels, rows, columns) that is right. Here the shape is (batch, 1, 32), and "
                    "axis 1 has length 1: the layer has one mean, one deviation, one gamma and one beta for all 32 "
                    "units together."
                ),
                CaptionedTable(
                    "axis",
                    "The 32 units after BatchNorm over the batch: smallest and largest mean and deviation of a "
                    "unit, and mean and deviation of all values together.",
                    Table(
                        ("", "means of the units", "their deviations", "all together"),
                        tuple(
                            (form, *(_pair(units[key][what]) for what in ("means", "deviations", "together")))
                            for form, key in (("axis=-1", "features"), ("axis=1", "axis_1"))
                        ),
                        (),
                    ),
                ),
                Finding(_axis_finding(units)),
            ),
        ),
    )


def _axis_finding(units: dict[str, Any]) -> str:
    spread = {key: found["means"][1] - found["means"][0] for key, found in units.items()}
    if spread["axis_1"] < 1e-3:
        return "Here both axes give units of equal means."
    return (
        f"With axis=1 the means of the units still lie {decimal(spread['axis_1'], 2)} apart, with axis=-1 "
        f"{decimal(spread['features'], 2)}. The first shifts and stretches all units alike, so that it cannot bring "
        "them to one scale, which is what the tutorial's example of age and salary asks for. Most likely axis=-1, "
        "Keras' default, is meant."
    )


def _parameters(counted: Sequence[int]) -> str:
    trained, kept = counted
    return f"{trained} + {kept}" if kept else str(trained)


def _pair(values: Sequence[float]) -> str:
    return ", ".join(decimal(value, 3) for value in values)


KERAS_STYLE = Measurement(
    name="keras-style",
    heading="The Keras model in this package's words",
    measure=measure_keras_style,
    present=present_keras_style,
    parameters={"seed": 0, "batch": 64},
)
