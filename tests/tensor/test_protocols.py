"""What Python, NumPy and other libraries ask of a tensor: conversion, copying, comparing, printing, sharing memory."""

from __future__ import annotations

import copy
import math
import pickle

import ml_dtypes
import numpy as np
import pytest
from compare import torch
from memory import shares_memory

import tinygrad_bn as tg
from tinygrad_bn.errors import DeviceError, DTypeError, GraphError, ShapeError

WITH_TORCH_THERE = pytest.mark.skipif(
    tg.get_default_device().name != "cpu" and not torch.cuda.is_available(), reason="this PyTorch knows no GPU"
)


@pytest.mark.cpu_only("a GPU's values are copied")
def test_numpy_is_a_read_only_view() -> None:
    x = tg.zeros(3)
    array = x.numpy()
    assert np.shares_memory(array, x.data)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1.0
    x[0] = 1.0  # the tensor itself stays writable
    assert array[0] == 1.0


def test_array_conversion() -> None:
    x = tg.tensor([1.5, 2.5], requires_grad=True)
    assert np.asarray(x).dtype == np.float32
    assert np.asarray(x, dtype="float64").dtype == np.float64
    assert np.asarray(x, dtype="int32").tolist() == [1, 2]
    made = np.array(x)
    made[0] = 7.0
    assert x.tolist() == [1.5, 2.5]
    assert np.array(x, copy=None).tolist() == [1.5, 2.5]
    with pytest.raises(ValueError, match="copy"):
        np.asarray(x, dtype="float64", copy=False)
    assert np.stack([np.asarray(x), np.asarray(x)]).shape == (2, 2)


@pytest.mark.cpu_only("a GPU's values are copied")
def test_array_conversion_without_copying() -> None:
    x = tg.tensor([1.5, 2.5], requires_grad=True)
    assert np.shares_memory(np.asarray(x), x.data)
    assert np.shares_memory(np.asarray(x, copy=False), x.data)
    assert not np.shares_memory(np.array(x), x.data)


def test_numpy_functions_refuse_a_tensor_instead_of_losing_the_graph() -> None:
    with pytest.raises(TypeError):
        np.exp(tg.ones(2))
    with pytest.raises(TypeError):
        np.add(np.ones(2), tg.ones(2))


def test_item_and_lists() -> None:
    assert tg.tensor([[2.5]]).item() == 2.5
    assert type(tg.tensor(2.5).item()) is float
    assert type(tg.tensor(2, dtype="int64").item()) is int
    assert type(tg.tensor(True).item()) is bool
    assert tg.tensor([[1, 2], [3, 4]], dtype="int64").tolist() == [[1, 2], [3, 4]]
    assert tg.tensor(1.0).tolist() == 1.0
    assert tg.zeros(0, 2).tolist() == []
    for x in (tg.zeros(2), tg.zeros(0), tg.zeros(1, 2)):
        with pytest.raises(ShapeError, match=r"^in item: expected one element, got shape"):
            x.item()


def test_numbers() -> None:
    x = tg.tensor([2.5])
    assert float(x) == 2.5
    assert int(x) == 2
    assert math.sqrt(tg.tensor(4.0)) == 2.0
    assert [10, 20, 30][tg.tensor(1, dtype="int64")] == 20
    assert list(range(tg.tensor([3], dtype="int32"))) == [0, 1, 2]
    for call in (lambda: [1, 2][tg.tensor(1.0)], lambda: range(tg.tensor(1.5))):
        with pytest.raises(DTypeError, match="integer"):
            call()
    with pytest.raises(ShapeError, match="one element"):
        float(tg.zeros(2))
    with pytest.raises(ShapeError, match="one element"):
        int(tg.zeros(2))


def test_formatting() -> None:
    assert f"{tg.tensor(2.5, requires_grad=True):.2f}" == f"{tg.tensor([[2.5]]):.2f}" == "2.50"
    assert f"{tg.tensor(2.5, dtype='bfloat16'):8.3f}" == "   2.500"
    assert f"{tg.tensor(7, dtype='int64'):03d}" == "007"
    for x in (tg.ones(2), tg.tensor(2.5)):
        assert f"{x}" == str(x)
    with pytest.raises(ShapeError, match=r"one element, got shape \(2,\)"):
        f"{tg.ones(2):.2f}"
    with pytest.raises(ValueError, match="code 'd'"):
        f"{tg.tensor(2.5):d}"


def test_truth() -> None:
    assert tg.tensor(1.0)
    assert not tg.tensor([[0.0]])
    assert tg.tensor([True])
    for x in (tg.zeros(2), tg.zeros(0)):
        with pytest.raises(ShapeError, match=r"^in bool: expected one element.+any\(\)"):
            bool(x)


def test_length() -> None:
    assert len(tg.zeros(3, 2)) == 3
    assert len(tg.zeros(0)) == 0
    with pytest.raises(TypeError, match="in len: expected"):
        len(tg.tensor(1.0))
    with pytest.raises(TypeError, match="in len: expected"):
        iter(tg.tensor(1.0))


def test_hash_is_the_identity() -> None:
    x, y = tg.ones(2), tg.ones(2)
    assert len({x, y, x}) == 2
    assert {x: 1}[x] == 1


def test_repr_teaches() -> None:
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True, name="weights")
    text = repr(x)
    where = tg.get_default_device()
    assert text.startswith(f"Tensor(shape=(2, 2), dtype=float32, device={where}, name='weights', requires_grad=True,")
    assert "[[1., 2.]," in text
    assert "op=mul" in repr(x * 2.0)
    assert "op=" not in repr((x * 2.0).detach())
    assert "requires_grad" not in repr(x.detach())
    assert str(x) == text
    for y in (tg.zeros(0), tg.tensor(1.5), tg.tensor(True), tg.zeros(2, 0, 3), tg.zeros(2, dtype="int8")):
        assert repr(y).startswith("Tensor(shape=")
    long = repr(tg.zeros(100, 100))
    assert "..." in long
    assert len(long) < 1000
    assert "nan" in repr(tg.tensor([np.nan]))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, copy.copy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_of_leaves(duplicate) -> None:
    x = tg.tensor(np.arange(6.0).reshape(2, 3).T, requires_grad=True, name="w")
    x.sum().backward()
    y = duplicate(x)
    assert type(y) is tg.Tensor
    np.testing.assert_array_equal(y.numpy(), x.numpy())
    assert (y.dtype, y.requires_grad, y.name, y.device) == (x.dtype, True, "w", x.device)
    assert y.is_leaf
    assert not shares_memory(x, y)
    with tg.no_grad():
        y[0, 0] = 100.0
    assert x[0, 0].item() == 0.0


def test_a_copy_of_several_things_keeps_what_is_shared() -> None:
    x = tg.ones(2)
    pair = copy.deepcopy([x, x])
    assert pair[0] is pair[1]
    assert pair[0] is not x


def test_computed_tensors_cannot_be_deep_copied() -> None:
    x = tg.ones(2, requires_grad=True)
    with pytest.raises(GraphError, match="detach"):
        copy.deepcopy(x * 2.0)
    with pytest.raises(GraphError, match="detach"):
        pickle.dumps(x * 2.0)


@WITH_TORCH_THERE
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "int64", "uint8", "bool"])
@pytest.mark.parametrize("transposed", [False, True])
def test_dlpack_shares_memory_both_ways(dtype: str, transposed: bool) -> None:
    x = tg.tensor(np.arange(6).reshape(2, 3).astype(dtype))
    x = x.T if transposed else x
    theirs = torch.from_dlpack(x)
    np.testing.assert_array_equal(theirs.cpu().numpy(), x.numpy())
    x[0, 0] = 1
    assert theirs[0, 0].item() == 1
    back = tg.from_dlpack(theirs)
    assert back.dtype == x.dtype
    assert back.device is x.device
    assert shares_memory(back, x)
    theirs[1, 1] = 0
    assert back[1, 1].item() == 0


@WITH_TORCH_THERE
def test_dlpack_of_what_requires_grad() -> None:
    x = tg.ones(2, requires_grad=True)
    for y in (x, x * 2.0):
        with pytest.raises(GraphError, match="detach"):
            torch.from_dlpack(y)
        assert torch.from_dlpack(y.detach()).shape == (2,)


def test_from_dlpack_of_numpy_and_of_itself() -> None:
    array = np.arange(3.0)
    x = tg.from_dlpack(array)
    assert np.shares_memory(x.data, array)
    assert np.shares_memory(tg.from_dlpack(x).data, array)
    assert np.shares_memory(np.from_dlpack(x), array)
    assert not x.requires_grad


def test_moving_to_where_it_is_already() -> None:
    x = tg.ones(2)
    assert x.to(x.device) is x
    assert x.to(x.device.name) is x
    assert (x.cpu() is x) == (x.device.name == "cpu")
    assert x.to() is x.to("float32") is x.to(dtype="float32") is x.to(x.device, "float32") is x
    assert x.astype("float32") is x
    assert x.astype("float64") is not x
    assert +x is x


def test_to_another_dtype() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    for call in (
        lambda: x.to("bfloat16"),
        lambda: x.to(dtype="bfloat16"),
        lambda: x.to(ml_dtypes.bfloat16),
        lambda: x.to(np.dtype(ml_dtypes.bfloat16)),
        lambda: x.to("cpu", "bfloat16"),
        lambda: x.to(device=tg.get_device("cpu"), dtype="bfloat16"),
    ):
        y = call()
        assert str(y.dtype) == "bfloat16"
        (gradient,) = tg.grad(y.sum(), x)
        assert gradient.dtype == np.float32
        assert gradient.device is x.device
    assert x.to(np.float64).dtype == np.float64
    assert x.to(device=None) is x
    for wrong in ("nonsense", "complex64", 3, tg.ones(2, dtype="float64")):
        with pytest.raises(DeviceError, match=r"^in device: expected .+, got "):
            x.to(wrong)
    with pytest.raises(DTypeError, match=r"^in to: expected float16, bfloat16"):
        x.to("cpu", "nonsense")
