"""Arguments that cannot be meant: refused when the module is made, by an error that says what was expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tinygrad_bn import nn
from tinygrad_bn.errors import ArgumentError, DTypeError, TinygradBNError


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Tanh(foo=3), ArgumentError, "in Tanh: expected parameters that the function has, got foo=3"),
        (lambda: nn.activation("tanh", alpha=3), ArgumentError, "in Tanh: .*got alpha=3"),
        (lambda: nn.activation("elu", slope=3), ArgumentError, "in activation: expected parameters of ELU.*'slope'"),
        (lambda: nn.activation(["x"]), ArgumentError, "in activation: expected its name"),  # type: ignore[arg-type]
        (lambda: nn.MaxPool2d(2, stride=0), ArgumentError, "in MaxPool2d: expected stride >= 1, got 0"),
        (lambda: nn.MaxPool2d(2, padding=-1), ArgumentError, "in MaxPool2d: expected padding >= 0, got -1"),
        (lambda: nn.MaxPool2d(2, dilation=0), ArgumentError, "in MaxPool2d: expected dilation >= 1, got 0"),
        (lambda: nn.AvgPool2d(2, stride=(1, 0)), ArgumentError, "in AvgPool2d: expected stride >= 1, got 0"),
        (lambda: nn.AvgPool2d(2, padding="a"), TinygradBNError, "in AvgPool2d: expected padding"),  # type: ignore[arg-type]
        (lambda: nn.AdaptiveAvgPool2d("a"), DTypeError, "in AdaptiveAvgPool2d: expected output_size"),  # type: ignore[arg-type]
        (lambda: nn.AdaptiveAvgPool2d((1, 2, 3)), ArgumentError, "expected output_size to be one"),  # type: ignore[arg-type]
        (lambda: nn.AdaptiveAvgPool2d(0), ArgumentError, "expected output_size >= 1"),
        (lambda: nn.ResNet(20.0), DTypeError, "in ResNet: expected depth to be an integer"),  # type: ignore[arg-type]
        (lambda: nn.VGG([11]), DTypeError, "in VGG: expected depth to be an integer"),  # type: ignore[arg-type]
        (lambda: nn.build_model(["x"]), ArgumentError, "in build_model: expected"),  # type: ignore[arg-type]
        (lambda: nn.init.calculate_gain(["x"]), ArgumentError, "in calculate_gain: expected"),  # type: ignore[arg-type]
        (lambda: nn.Flatten()([1, 2]), DTypeError, "in Flatten: expected input to be a Tensor, got list"),
    ],
)
def test_wrong_arguments(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_parameters_that_fit() -> None:
    assert nn.activation("elu", alpha=3.0).alpha == 3.0
    assert nn.activation("prelu", num_parameters=4).weight.shape == (4,)
    assert repr(nn.activation("prelu")) == "PReLU(num_parameters=1)"
    assert nn.AdaptiveAvgPool2d((None, 2)).output_size == (None, 2)
