"""bfloat16: the dtype of an optional package, with PyTorch's rules."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from cases import EVERYTHING, Case
from compare import as_torch, assert_close, compare_with_torch, torch

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn, optim
from tinygrad_bn.dtypes import is_floating, is_half, is_number, promoted
from tinygrad_bn.errors import DTypeError, MissingDependencyError

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


@pytest.mark.parametrize("case", EVERYTHING, ids=repr)
def test_the_same_values_and_gradients_as_in_pytorch(case: Case) -> None:
    compare_with_torch(case.ours, case.theirs, case.draw(), BFLOAT16)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * 0.1,
        lambda x: 0.1 * x,
        lambda x: x + 1e-3,
        lambda x: 1.0 - x,
        lambda x: x / 3,
        lambda x: 1.0 / x,
        lambda x: x**2,
        lambda x: 2.0**x,
        lambda x: x // 0.3,
        lambda x: x % 0.25,
        lambda x: -x,
        lambda x: abs(x),
    ],
)
def test_python_numbers_are_weak_and_not_rounded_themselves(function: Callable[[Any], Any], large: bool) -> None:
    values = np.random.default_rng(0).uniform(0.5, 2.0, 40_000 if large else 10).astype(BFLOAT16)
    assert_close(function(tg.tensor(values)), function(as_torch(values)))
    ours, theirs = function(tg.tensor(values)).numpy(), function(as_torch(values)).float().numpy()
    assert np.mean(ours.astype("float32") == theirs) > 0.999  # not only near: rounded once, as there


@pytest.mark.parametrize("other", ["float16", "bfloat16", "float32", "float64", "int64", "uint8", "bool"])
def test_promotion(other: str) -> None:
    x, y = tg.ones(2, dtype="bfloat16"), tg.ones(2, dtype=other)
    theirs = torch.ones(2, dtype=torch.bfloat16), torch.ones(2, dtype=getattr(torch, other))
    for ours, expected in (
        (x * y, theirs[0] * theirs[1]),
        (y / x, theirs[1] / theirs[0]),
        (tg.concatenate([x, y]), torch.cat(theirs)),
        (tg.where(x > 0, x, y), torch.where(theirs[0] > 0, theirs[0], theirs[1])),
        (x == y, theirs[0] == theirs[1]),
    ):
        assert str(ours.dtype) == str(expected.dtype).removeprefix("torch.")
        assert np.all(ours.numpy() == 1)


def test_gradients_come_back_in_the_dtype_of_each_operand() -> None:
    x, y = tg.ones(2, dtype="bfloat16", requires_grad=True), tg.ones(2, dtype="float16", requires_grad=True)
    (x * y).sum().backward()
    assert x.grad.dtype == BFLOAT16
    assert y.grad.dtype == np.float16


def test_making_and_reading() -> None:
    x = tg.tensor([[1.0, 2.5]], dtype="bfloat16")
    assert x.tolist() == [[1.0, 2.5]]
    assert type(x[0, 1].item()) is float
    assert x.numpy().dtype == x.dtype == BFLOAT16
    assert "dtype=bfloat16" in repr(x)
    assert "[1. , 2.5]" in repr(x)
    for made in (
        tg.tensor(x.numpy()),
        tg.from_numpy(x.numpy()),
        tg.tensor([[1.0, 2.5]], dtype=BFLOAT16),
        tg.tensor([[1.0, 2.5]], dtype=ml_dtypes.bfloat16),
        tg.tensor([[1.0, 2.5]]).astype("bfloat16"),
        tg.stack([tg.full((2,), 1.0, dtype="bfloat16"), tg.full((2,), 2.5, dtype="bfloat16")])[:, 0].unsqueeze(0),
    ):
        assert made.dtype == BFLOAT16
        assert made.tolist() == [[1.0, 2.5]]
    y = tg.zeros(2, dtype="bfloat16")
    y[0] = 0.1
    y[1] = tg.tensor(3.0)
    assert y.tolist() == [0.10009765625, 3.0]
    assert tg.ones(3, dtype="bfloat16") @ tg.ones(3, dtype="bfloat16") == 3.0
    assert (x.astype("float16").dtype, x.astype("int64").tolist()) == (np.float16, [[1, 2]])
    assert np.asarray(x, dtype="float32").tolist() == [[1.0, 2.5]]
    assert tg.tensor(1e39, dtype="bfloat16").item() == np.inf
    assert (ml_dtypes.bfloat16(2.0) * x).tolist() == [[2.0, 5.0]]  # its scalars are weak, too
    assert (np.array(1.0, BFLOAT16) * tg.ones(1)).dtype == np.float32


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(MissingDependencyError, match=r"tinygrad_bn\[bfloat16\]"):
        tg.zeros(2, dtype="bfloat16")
    with pytest.raises(MissingDependencyError, match="ml_dtypes"):
        nn.Linear(2, 2).bfloat16()


def test_the_other_dtypes_of_the_package_are_refused() -> None:
    for name in ("float8_e4m3fn", "int4"):
        with pytest.raises(DTypeError, match="bfloat16"):
            tg.tensor(np.zeros(2, getattr(ml_dtypes, name)))


def test_which_dtypes_are_floating_point_numbers() -> None:
    for name in ("float16", "float32", "float64", BFLOAT16):
        assert is_floating(np.dtype(name))
        assert is_number(np.dtype(name))
    for name in ("int8", "uint64", "bool"):
        assert not is_floating(np.dtype(name))
        assert is_number(np.dtype(name))
    for name in ("complex64", "longdouble", "V2", "S3", "datetime64[s]"):
        assert not is_number(np.dtype(name))
    assert [is_half(np.dtype(name)) for name in ("float16", BFLOAT16, "float32", "int16")] == [True, True, False, False]
    half, wide = np.dtype("float16"), np.dtype("float64")
    assert promoted(BFLOAT16, half) == np.float32
    assert promoted(half, BFLOAT16, wide) == np.float64
    assert promoted(BFLOAT16, BFLOAT16) == BFLOAT16


def test_functions_refuse_operands_of_different_dtypes() -> None:
    x, weight = tg.ones(1, 2, 4, 4, dtype="bfloat16"), tg.ones(2, 2, 3, 3, dtype="float16")
    with pytest.raises(DTypeError, match="the input's dtype bfloat16, got float16"):
        F.conv2d(x, weight)
    with pytest.raises(DTypeError, match="bfloat16"):
        F.linear(x, tg.ones(3, 4))


def test_batch_norm_keeps_statistics_in_float32() -> None:
    values = 300.0 * np.random.default_rng(0).standard_normal((16, 3, 8, 8)) + 1000.0
    x = tg.tensor(values, dtype="bfloat16", requires_grad=True)
    mean, variance = tg.zeros(3), tg.ones(3)
    weight, bias = tg.randn(3, requires_grad=True), tg.randn(3, requires_grad=True)
    for order in ("convention", "swap"):
        y = F.norm_act(x, mean, variance, weight, bias, training=True, momentum=1.0, order=order, activation="relu")
        y.backward(tg.randn(*y.shape, dtype="bfloat16"))
        assert y.dtype == x.grad.dtype == BFLOAT16
        assert weight.grad.dtype == bias.grad.dtype == np.float32
    rounded = np.maximum(values.astype(BFLOAT16).astype("float64"), 0.0)
    np.testing.assert_allclose(variance.numpy(), rounded.var(axis=(0, 2, 3), ddof=1), rtol=1e-3)


def test_a_module_keeps_its_buffers_in_float32() -> None:
    block = nn.ConvBlock(2, 3, 3).bfloat16()
    assert {str(p.dtype) for p in block.parameters()} == {"bfloat16"}
    assert {str(b.dtype) for b in block.buffers() if is_floating(b.dtype)} == {"float32"}
    optimizer = optim.SGD(block.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    before = [p.numpy().copy() for p in block.parameters()]
    for _ in range(2):
        block(tg.randn(4, 2, 6, 6, dtype="bfloat16")).sum().backward()
        optimizer.step()
    for old, p in zip(before, block.parameters(), strict=True):
        assert p.dtype == p.grad.dtype == optimizer.state[p]["momentum_buffer"].dtype == BFLOAT16
        assert np.any(old != p.numpy()) or old.size == 3  # BatchNorm takes away what the bias before it adds
    assert block.half().conv.weight.dtype == np.float16


def test_optimisers_follow_pytorch() -> None:
    for ours, theirs, settings in (
        (optim.SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        (optim.AdamW, torch.optim.AdamW, {"lr": 0.1}),
    ):
        start = np.random.default_rng(0).standard_normal(50).astype(BFLOAT16)
        x, y = tg.tensor(start, requires_grad=True), as_torch(start).requires_grad_()
        first, second = ours([x], **settings), theirs([y], **settings)
        for _ in range(5):
            for value, optimizer in ((x, first), (y, second)):
                optimizer.zero_grad()
                (value * value).sum().backward()
                optimizer.step()
        assert_close(x, y)
