"""Padding with random amounts, in every mode."""

from __future__ import annotations

import numpy as np
import pytest
from compare import compare_with_torch, torch
from hypothesis import assume, given
from hypothesis import strategies as st

import tinygrad_bn as tg
from tinygrad_bn import functional as F

TF = torch.nn.functional


@given(
    st.sampled_from(["constant", "reflect", "replicate", "circular"]),
    st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 5), st.integers(1, 5)),
    st.tuples(*[st.integers(-2, 5)] * 4) | st.tuples(*[st.integers(0, 4)] * 4),
)
def test_any_amounts(mode: str, shape: tuple[int, ...], amounts: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal(shape)
    try:
        expected = TF.pad(torch.tensor(x), amounts, mode)
    except RuntimeError:
        assume(False)
    # Cropping more than is there is an error; torch takes it where it repeats the border.
    cropped = zip(shape[:1:-1], amounts[::2], amounts[1::2], strict=True)
    assume(expected.numel() > 0 and all(-a <= n and -b <= n for n, a, b in cropped))
    lengths = [n + min(0, a) + min(0, b) for n, a, b in zip(shape[:1:-1], amounts[::2], amounts[1::2], strict=True)]
    # torch repeats elements that were never written where it pads more than cropping has left.
    assume(
        mode != "circular" or all(max(a, b) <= n for n, a, b in zip(lengths, amounts[::2], amounts[1::2], strict=True))
    )
    compare_with_torch(lambda t: F.pad(t, amounts, mode), lambda t: TF.pad(t, amounts, mode), [x], second=True)


@pytest.mark.parametrize("value", [None, 0, -1.5, float("inf"), float("nan"), np.float64(2.0)])
def test_the_constant(value: float | None) -> None:
    y = F.pad(tg.zeros(2, 2), (1, 0), value=value)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.numpy()[:, 0], np.float32(0.0 if value is None else value))


def test_integers_and_bools() -> None:
    assert F.pad(tg.tensor([1, 2], dtype="int64"), (1, 1), value=7).tolist() == [7, 1, 2, 7]
    assert F.pad(tg.tensor([True, False]), (0, 1), value=True).tolist() == [True, False, True]
    assert F.pad(tg.tensor([1, 2, 3], dtype="int32"), (1, 1), "reflect").tolist() == [2, 1, 2, 3, 2]


def test_nothing_to_pad_is_the_input() -> None:
    x = tg.zeros(2, 2)
    assert F.pad(x, (0, 0)) is x
    assert F.pad(x, ()) is x
