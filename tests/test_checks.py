"""Numbers as arguments: what every floor takes for one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn, optim
from tinygrad_bn.checks import as_number
from tinygrad_bn.errors import ArgumentError, DTypeError
from tinygrad_bn.nn import init


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.float64(0.5), np.float16(0.5)])
def test_a_number_is_made_pythons_own(value: Any) -> None:
    number = as_number("f", "x", value, at_least=0.5, at_most=0.5)
    assert number == 0.5
    assert type(number) is float
    assert type(as_number("f", "x", np.int64(3))) is int


@pytest.mark.parametrize("value", ["1", None, [1.0], 1j, tg.tensor(1.0), np.array([1.0])])
def test_what_is_no_number(value: Any) -> None:
    with pytest.raises(DTypeError, match="in f: expected x to be a number, got"):
        as_number("f", "x", value)


@pytest.mark.parametrize("value", [True, np.True_])
def test_a_bool_is_a_value_and_no_setting(value: Any) -> None:
    assert as_number("f", "x", value) is True
    with pytest.raises(DTypeError, match="in f: expected x to be a number >= 0, got"):
        as_number("f", "x", value, at_least=0)


@pytest.mark.parametrize(
    ("limits", "outside", "words"),
    [
        ({"at_least": 1}, 0.9, ">= 1"),
        ({"above": 1}, 1, "> 1"),
        ({"at_most": 1}, 1.1, "<= 1"),
        ({"below": 1}, 1, "< 1"),
        ({"above": 0, "below": 1}, 1, "> 0 and < 1"),
    ],
)
def test_limits(limits: dict[str, float], outside: float, words: str) -> None:
    for value in (outside, math.nan, math.inf, -math.inf):
        with pytest.raises(ArgumentError, match=f"x to be a number {words}, got"):
            as_number("f", "x", value, **limits)


def test_settings_take_numpys_numbers() -> None:
    w = tg.tensor([1.0], requires_grad=True)
    half = np.float32(0.5)
    sgd = optim.SGD([w], lr=half, momentum=half, weight_decay=half)  # type: ignore[arg-type]
    adam = optim.Adam([w], betas=(half, half), eps=half)  # type: ignore[arg-type]
    schedule = optim.StepLR(sgd, 1, gamma=half)  # type: ignore[arg-type]
    norm = nn.BatchNorm1d(2, eps=half, momentum=half)  # type: ignore[arg-type]
    settings = [*(sgd.param_groups[0][name] for name in ("lr", "momentum", "weight_decay")), schedule.gamma]
    settings += [*adam.param_groups[0]["betas"], adam.param_groups[0]["eps"], norm.eps, norm.momentum]
    assert settings == [0.5] * 9
    assert {type(value) for value in settings} == {float}
    (w * w).sum().backward()
    sgd.step()
    assert w.dtype == np.float32


@pytest.mark.parametrize(
    "call",
    [
        lambda w: optim.SGD([w], lr=True),
        lambda w: optim.SGD([w], lr=tg.tensor(0.1)),
        lambda w: nn.BatchNorm2d(3, eps="a"),
        lambda w: nn.BatchNorm2d(3, momentum="a"),
        lambda w: init.normal_(w, std="a"),
        lambda w: init.normal_(w, mean=None),
        lambda w: init.uniform_(w, "a"),
        lambda w: init.trunc_normal_(w, std="a"),
        lambda w: init.constant_(w, "a"),
        lambda w: init.xavier_normal_(w, "a"),
        lambda w: init.orthogonal_(w, "a"),
        lambda w: init.kaiming_normal_(w, "a"),
    ],
)
def test_settings_that_are_no_numbers(call: Any) -> None:
    with pytest.raises(DTypeError, match=r"in \w+: expected \w+ to be a number"):
        call(tg.zeros(2, 2, requires_grad=True))


@pytest.mark.parametrize(
    "fill",
    [init.uniform_, init.normal_, init.trunc_normal_, init.zeros_, init.xavier_normal_, init.orthogonal_],
)
def test_only_tensors_are_filled(fill: Any) -> None:
    with pytest.raises(DTypeError, match="a floating-point Tensor, got list"):
        fill([1, 2])
