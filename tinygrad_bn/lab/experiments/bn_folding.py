"""Folding BatchNorm into a convolution: into the one before it, and into the one behind it, whose borders matter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import functional as F
from ... import nn
from ...autograd import no_grad
from ...tensor import Tensor
from ..document import CaptionedTable, Finding, Section, Text
from ..tables import Table

Numbers = dict[str, Any]
Array = np.ndarray[Any, np.dtype[Any]]


def folding() -> list[Numbers]:
    """Largest difference between a network in evaluation and the same with its BatchNorm folded into a convolution."""
    generator = np.random.default_rng(0)
    images = Tensor(generator.normal(size=(8, 3, 10, 10)))
    before = nn.Sequential(nn.ConvBlock(3, 4, 3, padding=1, order="convention", activation="tanh")).double()
    _settle(before, generator)
    with no_grad():
        own = before(images).numpy()
        folded = nn.fold_batch_norm(before)(images).numpy()
    found = [{"name": "convolution, BatchNorm: into the convolution before", **_distance(own, folded, 1)}]
    for padding, border in ((0, "no padding"), (1, "zeros"), (1, "each channel's own value")):
        found.append(
            {"name": f"activation, BatchNorm, convolution: {border}", **_folded_forward(padding, border, generator)}
        )
    return found


def _folded_forward(padding: int, border: str, generator: np.random.Generator) -> Numbers:
    """BatchNorm folded into the convolution behind it: W' = W s and b' = b + sum of W (beta - mean s)."""
    images = Tensor(generator.normal(size=(8, 3, 10, 10)))
    norm, convolution = nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, padding=padding)
    model = nn.Sequential(nn.Tanh(), norm, convolution).double()
    _settle(model, generator)
    assert norm.weight is not None
    assert norm.bias is not None
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert convolution.bias is not None
    with no_grad():
        own = model(images).numpy()
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        shift = norm.bias - norm.running_mean * scale
        weight = convolution.weight * scale.reshape(1, -1, 1, 1)
        bias = convolution.bias + (convolution.weight * shift.reshape(1, -1, 1, 1)).sum(axis=(1, 2, 3))
        activated = F.tanh(images)
        if border.startswith("each"):
            fill = (-shift / scale).reshape(1, -1, 1, 1)
            activated = F.pad(activated - fill, (padding,) * 4) + fill
            padding_left = 0
        else:
            padding_left = padding
        folded = F.conv2d(activated, weight, bias, padding=padding_left).numpy()
    return _distance(own, folded, padding)


def _settle(model: nn.Module, generator: np.random.Generator) -> None:
    """Give every BatchNorm constants as after a training, and evaluate."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            channels = module.num_features
            with no_grad():
                for tensor, low, high in (
                    (module.weight, 0.5, 1.5),
                    (module.bias, -1.0, 1.0),
                    (module.running_mean, -1.0, 1.0),
                    (module.running_var, 0.5, 2.0),
                ):
                    assert tensor is not None
                    tensor.assign_(generator.uniform(low, high, channels))
    model.eval()


def _distance(own: Array, folded: Array, border: int) -> Numbers:
    difference = np.abs(own - folded)
    inside = difference[:, :, border:-border, border:-border] if border else difference
    return {"everywhere": float(difference.max()), "inside": float(inside.max())}


def folding_section(found: Sequence[Numbers]) -> Section:
    """What is exact and what is not, with a table."""
    return Section(
        "folding",
        "Folding BatchNorm into a convolution",
        (
            Text(
                "In evaluation BatchNorm is s x + (beta − mean s) with s = gamma/√(var + eps), so a convolution "
                "can do it as well. Before BatchNorm that is exact. The convolution behind it can take it over "
                "too, but where zeros are padded the shift is missing; padding each channel with "
                "−(beta − mean s)/s instead makes it exact again."
            ),
            Finding(_folding_finding(found)),
            CaptionedTable(
                "folding",
                "Largest difference between the network's output and the folded one's, everywhere and without the "
                "border.",
                Table(
                    ("folded", "everywhere", "inside"),
                    tuple((f["name"], f"{f['everywhere']:.1e}", f"{f['inside']:.1e}") for f in found),
                    (),
                ),
            ),
        ),
    )


def _folding_finding(folding: Sequence[Numbers]) -> str:
    exact = "; ".join(entry["name"] for entry in folding if entry["everywhere"] < 1e-9)
    border = "; ".join(entry["name"] for entry in folding if entry["inside"] < 1e-9 <= entry["everywhere"])
    wrong = "; ".join(entry["name"] for entry in folding if entry["inside"] >= 1e-9)
    sentence = f"Exact: {exact or 'none'}. Wrong at the border alone: {border or 'none'}."
    return f"{sentence} Wrong: {wrong}." if wrong else sentence
