"""Blocks: six orders and none, the same weights in each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn
from tinygrad_bn.errors import ArgumentError, DTypeError

WORDS = sorted(nn.ORDERS)


def test_the_words() -> None:
    assert set(nn.ORDERS) == {
        "convention",
        "swap",
        "preact",
        "no-norm",
        "weight-norm-act",
        "weight-act-norm",
        "norm-act-weight",
        "norm-weight-act",
        "act-norm-weight",
        "act-weight-norm",
        "weight-act",
        "act-weight",
    }
    assert nn.parse_order("convention") == nn.parse_order("weight-norm-act") == ("weight", "norm", "act")
    assert nn.parse_order("swap") == ("weight", "act", "norm")
    assert nn.parse_order("preact") == ("norm", "act", "weight")
    assert nn.parse_order("no-norm") == ("weight", "act")
    assert nn.canonical_order("preact") == "norm-act-weight"
    assert nn.canonical_order(("act", "weight")) == "act-weight"


@pytest.mark.parametrize("order", ["conventoin", "norm-act", 3, ("norm", "act"), ("weight", "weight"), ("weight", "x")])
def test_a_word_that_is_no_order(order: Any) -> None:
    with pytest.raises(ArgumentError, match="in order: expected"):
        nn.ConvBlock(1, 2, 3, order=order)


def test_the_message_lists_the_words_and_the_nearest() -> None:
    with pytest.raises(ArgumentError, match=r"convention, swap, preact.*did you mean 'swap'"):
        nn.parse_order("swop")


@pytest.mark.parametrize("order", WORDS)
def test_children_stand_in_the_order_of_execution(order: str) -> None:
    parts = nn.parse_order(order)
    block = nn.ConvBlock(3, 5, 3, order=order, activation="tanh")
    assert [name for name, _ in block.named_children()] == [{"weight": "conv"}.get(p, p) for p in parts]
    dense = nn.LinearBlock(3, 5, order=order)
    assert [name for name, _ in dense.named_children()] == [{"weight": "linear"}.get(p, p) for p in parts]
    if "norm" in parts:
        features = 3 if parts.index("norm") < parts.index("weight") else 5
        assert block.norm.num_features == dense.norm.num_features == features


@pytest.mark.parametrize("order", WORDS)
def test_a_block_computes_its_parts_in_order(order: str) -> None:
    images = tg.randn(4, 2, 6, 6)
    tg.manual_seed(1)
    block = nn.ConvBlock(2, 3, 3, stride=2, padding=1, order=order, activation="softsign")
    tg.manual_seed(1)
    conv = nn.Conv2d(2, 3, 3, stride=2, padding=1)
    expected = images
    for part in nn.parse_order(order):
        if part == "weight":
            expected = conv(expected)
        elif part == "act":
            expected = F.softsign(expected)
        else:
            expected = F.batch_norm(expected, None, None, training=True)
    np.testing.assert_allclose(block(images).numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("model", ["small_cnn", "mlp", "resnet8", "vgg11", "mobilenet"])
def test_one_seed_gives_the_same_weights_in_every_order(model: str) -> None:
    def weights(order: str) -> dict[tuple[int, ...], list[np.ndarray]]:
        tg.manual_seed(11)
        if model == "resnet8":
            net: nn.Module = nn.ResNet(8, width=2, order=order)
        else:
            net = nn.build_model(model, width=2, order=order)
        layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        return [p.numpy() for layer in layers for p in layer.parameters()]

    reference = weights("convention")
    for order in WORDS:
        found = weights(order)
        assert len(found) == len(reference)
        for a, b in zip(found, reference, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("bias", [True, False])
def test_the_order_changes_no_number_of_parameters_where_shapes_agree(bias: bool) -> None:
    def count(order: str) -> int:
        return sum(p.size for p in nn.ConvBlock(4, 4, 3, order=order, bias=bias).parameters())

    with_norm = {count(order) for order in WORDS if "norm" in nn.parse_order(order)}
    assert with_norm == {4 * 4 * 9 + 4 * bias + 8}
    assert count("no-norm") == count("act-weight") == 4 * 4 * 9 + 4 * bias


def test_norm_and_activation_of_ones_own() -> None:
    block = nn.ConvBlock(
        2,
        3,
        1,
        order="swap",
        activation=lambda: nn.LeakyReLU(0.2),
        norm=lambda channels: nn.BatchNorm2d(channels, affine=False),
    )
    assert repr(block.act) == "LeakyReLU(negative_slope=0.2)"
    assert block.norm.weight is None
    assert [name for name, _ in nn.LinearBlock(2, 3, activation=nn.PReLU).named_parameters()] == [
        "linear.weight",
        "linear.bias",
        "norm.weight",
        "norm.bias",
        "act.weight",
    ]
    with pytest.raises(DTypeError, match="in norm: expected a Module"):
        nn.ConvBlock(1, 1, 1, norm=lambda channels: channels)  # type: ignore[arg-type, return-value]
    with pytest.raises(ArgumentError, match="did you mean 'tanh'"):
        nn.LinearBlock(1, 1, activation="tanhh")
