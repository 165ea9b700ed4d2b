"""Gradients in deep networks: against PyTorch, against theory, and in words."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tinygrad_bn import manual_seed, nn
from tinygrad_bn.lab.document import Finding
from tinygrad_bn.lab.experiments import depth_theory
from tinygrad_bn.lab.experiments.gradient_depth import (
    gradient_depth,
    gradient_norms,
    growth_per_layer,
    measure,
)
from tinygrad_bn.lab.experiments.gradient_depth_page import first_over_last, present

pytest.importorskip("scipy")
pytest.importorskip("matplotlib")

TINY: dict[str, Any] = {
    "depths": [3, 12],
    "width": 32,
    "batch_size": 8,
    "orders": ["convention", "swap"],
    "activations": ["relu", "identity"],
    "initializations": ["default", "kaiming_normal"],
    "seeds": 1,
    "factors": {"depth": 12, "width": 64, "narrower": [32], "batch_sizes": [8, 16], "seeds": 3, "margin": 2},
}


@pytest.fixture(scope="module", autouse=True)
def draw_less() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(depth_theory, "DRAWN", 100_000)
        yield


@pytest.fixture(scope="module")
def numbers() -> dict[str, Any]:
    return measure(**TINY)


def findings(numbers: dict[str, Any]) -> str:
    return "\n".join(p.content for section in present(numbers) for p in section.parts if isinstance(p, Finding))


@pytest.mark.parametrize("order", ["convention", "swap", "preact", "no-norm"])
def test_gradients_are_those_of_pytorch(order: str) -> None:
    torch = pytest.importorskip("torch")
    depth, width, batch_size, seed = 4, 6, 5, 3
    ours = gradient_norms(order, "relu", depth, width, batch_size, "default", seed)

    manual_seed(seed)
    blocks = [nn.LinearBlock(width, width, order, "relu") for _ in range(depth)]
    generator = np.random.default_rng(seed)
    values = torch.tensor(generator.normal(size=(batch_size, width)))
    gradient = torch.tensor(generator.normal(size=(batch_size, width)))
    outputs = []
    for block in blocks:
        for part in nn.parse_order(order):
            if part == "weight":
                weight, bias = (torch.tensor(p.numpy(), dtype=torch.float64) for p in block.linear.parameters())
                values = torch.nn.functional.linear(values, weight, bias).requires_grad_()
                values.retain_grad()
                outputs.append(values)
            elif part == "norm":
                values = torch.nn.functional.batch_norm(values, None, None, training=True)
            else:
                values = torch.relu(values)
    values.backward(gradient)
    assert ours == pytest.approx([float(output.grad.norm()) for output in outputs], rel=1e-9)


def test_the_fit_reads_the_factor_of_a_geometric_series() -> None:
    norms = [math.sqrt(1.5) ** (20 - layer) for layer in range(20)]
    norms[0] *= 100.0
    assert growth_per_layer(norms, margin=2) == pytest.approx(1.5)


@pytest.mark.parametrize(("activation", "order", "expected"), [("relu", "convention", 1.53), ("relu", "swap", 1.56)])
def test_batchnorm_makes_gradients_grow_as_derived(activation: str, order: str, expected: float) -> None:
    found = np.mean(
        [growth_per_layer(gradient_norms(order, activation, 24, 256, 32, "xavier_normal", s), 4) for s in range(3)]
    )
    assert found == pytest.approx(expected, rel=0.03)


def test_relu_without_batchnorm_vanishes_with_default_weights_and_not_with_kaiming() -> None:
    vanishing = growth_per_layer(gradient_norms("no-norm", "relu", 30, 128, 16, "default", 0), 3)
    kept = growth_per_layer(gradient_norms("no-norm", "relu", 30, 128, 16, "kaiming_normal", 0), 3)
    assert vanishing == pytest.approx(1 / 6, rel=0.1)
    assert kept == pytest.approx(1.0, rel=0.1)


def test_numbers_repeat_and_are_json(numbers: dict[str, Any]) -> None:
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers
    assert measure(**TINY) == numbers


def test_every_factor_stands_beside_a_derived_one(numbers: dict[str, Any]) -> None:
    for entry in numbers["factors"]:
        assert entry["mean"] == pytest.approx(entry["derived"], rel=0.25)
    linear = [entry for entry in numbers["factors"] if entry["activation"] == "identity"]
    assert [entry["derived"] for entry in linear] == [6 / 5, 14 / 13]


def test_the_page_says_what_the_numbers_say(numbers: dict[str, Any]) -> None:
    before = findings(numbers)
    assert "ReLU, 12 layers: with BatchNorm the gradient explodes in every order" in before
    planted = copy.deepcopy(numbers)
    for profile in planted["profiles"]:
        profile["log10_norms"] = profile["log10_norms"][::-1]
    assert "the gradient vanishes in every order" in findings(planted)
    planted["factors"][1]["mean"] *= 1.5
    planted["factors"][1]["interval"] = [2.0, 3.0]
    assert "theory and measurement disagree" in findings(planted)


def test_figures_are_drawn_and_tables_have_a_row_for_each_network(numbers: dict[str, Any]) -> None:
    sections = present(numbers)
    for section in sections:
        for figure in section.figures:
            assert "<svg" in figure.draw().svg
    table = sections[0].tables[0].table
    assert len(table.body) == 2 * (2 + 2)
    deepest = next(p for p in numbers["profiles"] if p["depth"] == 12)
    assert table.body[0][2] == f"{first_over_last(deepest):+.1f}".replace("-", "−")


def test_both_sizes_have_the_parameters_that_measure_takes() -> None:
    for size in ("small", "paper"):
        assert set(gradient_depth(size).parameters) == set(TINY)
        assert set(gradient_depth(size).parameters["factors"]) == set(TINY["factors"])
    assert gradient_depth("small").fingerprint != gradient_depth("paper").fingerprint
