"""Networks whose depth, and whose order block by block, is chosen."""

from __future__ import annotations

import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.errors import ArgumentError


@pytest.mark.parametrize(("size", "pools"), [(28, 2), (32, 3), (7, 0), (64, 4)])
def test_plain_cnn_pools_while_the_sides_are_long(size: int, pools: int) -> None:
    model = nn.build_model("plain_cnn", depth=5, width=3, image_size=size, order="swap", activation="tanh")
    assert sum(isinstance(part, nn.MaxPool2d) for part in model.modules()) == pools
    assert sum(isinstance(part, nn.ConvBlock) for part in model.modules()) == 5
    assert model(tg.zeros(2, 1, size, size)).shape == (2, 10)


def test_an_mlp_takes_an_order_for_each_block() -> None:
    model = nn.build_model("mlp", depth=3, width=4, image_size=2, order="swap+no-norm+convention")
    blocks = [[name for name, _ in block.named_children()] for block in model.features]
    assert blocks == [["linear", "act", "norm"], ["linear", "act"], ["linear", "norm", "act"]]
    with pytest.raises(ArgumentError, match="one order, or 2 of them"):
        nn.build_model("mlp", depth=2, order="swap+swap+swap")
    with pytest.raises(ArgumentError, match="swop"):
        nn.build_model("mlp", depth=2, order="swap+swop")


def test_depth_is_for_models_that_have_none_of_their_own() -> None:
    with pytest.raises(ArgumentError, match="depth"):
        nn.build_model("vgg11", depth=3)
    with pytest.raises(ArgumentError, match="depth >= 1"):
        nn.build_model("plain_cnn", depth=0)
