"""Making tensors: what data is taken, and in which dtype."""

from __future__ import annotations

import math

import numpy as np
import pytest
from compare import torch

import tinygrad_bn as tg
from tinygrad_bn.errors import ArgumentError, DeviceError, DTypeError, ShapeError


@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        (1, "float32", ()),
        (2.5, "float32", ()),
        (True, "bool", ()),
        ([1, 2], "float32", (2,)),
        ([1.0, 2], "float32", (2,)),
        ([True, False], "bool", (2,)),
        ([True, 2], "float32", (2,)),
        ([], "float32", (0,)),
        ([[], []], "float32", (2, 0)),
        (((1, 2), (3, 4)), "float32", (2, 2)),
        (range(3), "float32", (3,)),
        ([np.float64(1.0), np.float64(2.0)], "float32", (2,)),
        (np.float64(1.0), "float64", ()),
        (np.int16(1), "int16", ()),
        (np.bool_(True), "bool", ()),
        (np.zeros((2, 3)), "float64", (2, 3)),
        (np.zeros(2, "float16"), "float16", (2,)),
        (np.zeros((), "int8"), "int8", ()),
        (np.zeros(2, "uint64"), "uint64", (2,)),
        (np.zeros(2, ">f4"), "float32", (2,)),
        (np.zeros(2, ">i8"), "int64", (2,)),
    ],
)
def test_dtype_and_shape(data, dtype: str, shape: tuple[int, ...]) -> None:
    for made in (tg.tensor(data), tg.Tensor(data)):
        assert made.dtype == np.dtype(dtype)
        assert made.dtype.isnative
        assert made.shape == shape
        assert made.ndim == len(shape)
        assert made.size == math.prod(shape)
        assert made.device is tg.get_default_device()
        assert made.is_leaf
        assert not made.requires_grad


def test_values_survive_the_byte_order() -> None:
    assert tg.tensor(np.array([1.5, -2.0], dtype=">f8")).tolist() == [1.5, -2.0]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64", "bool"])
def test_every_dtype_can_be_asked_for(dtype: str) -> None:
    made = tg.tensor([0, 1], dtype=dtype)
    assert made.dtype == np.dtype(dtype)
    assert made.tolist() == [0, 1]
    assert tg.tensor(np.array([0.0, 1.0]), dtype=np.dtype(dtype)).dtype == np.dtype(dtype)
    assert tg.zeros(2, dtype=getattr(np, dtype if dtype != "bool" else "bool_")).dtype == np.dtype(dtype)


def test_data_is_copied() -> None:
    array = np.zeros(3)
    first = tg.tensor(array)
    second = tg.tensor(first)
    array[0] = 1.0
    first[1] = 1.0
    assert first.tolist() == [0.0, 1.0, 0.0]
    assert second.tolist() == [0.0, 0.0, 0.0]


def test_a_tensor_made_from_a_tensor_is_a_leaf_of_its_own() -> None:
    x = tg.tensor([1.0], requires_grad=True)
    y = tg.tensor(x * 2.0)
    assert y.is_leaf
    assert not y.requires_grad


def test_an_array_shared_with_from_numpy() -> None:
    array = np.zeros(3)
    x = tg.from_numpy(array)
    array[0] = 1.0
    assert x.tolist() == [1.0, 0.0, 0.0]
    assert x.data is array


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ([[1, 2], [3]], ShapeError),
        ([[1, 2], 3], ShapeError),
        ([1, [2, 3]], ShapeError),
        (None, DTypeError),
        ([None], DTypeError),
        ([1.0, None], DTypeError),
        ("text", DTypeError),
        (["a", "b"], DTypeError),
        (b"bytes", DTypeError),
        (1j, DTypeError),
        ([1j, 2.0], DTypeError),
        (np.zeros(2, "complex128"), DTypeError),
        (np.array(["a"]), DTypeError),
        (np.array([None]), DTypeError),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), DTypeError),
        (np.zeros(2, "longdouble"), DTypeError),
        (np.complex64(1), DTypeError),
        ({1: 2}, DTypeError),
        ({1, 2}, DTypeError),
        (object(), DTypeError),
        (len, DTypeError),
        ([2**70], DTypeError),
        (2**70, DTypeError),
        (np.zeros(2, dtype=[("a", "f4")]), DTypeError),
        ([tg.ones(1), tg.ones(1)], DTypeError),
        ((x for x in [1, 2]), DTypeError),
    ],
)
def test_what_is_no_data(data, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^in tensor: expected .+, got "):
        tg.tensor(data)


@pytest.mark.parametrize("dtype", ["complex64", "object", "str", "datetime64[s]", "float128", "floaty", "f3", 3, [1]])
def test_what_is_no_dtype(dtype) -> None:
    for call in (
        lambda: tg.tensor([1.0], dtype=dtype),
        lambda: tg.zeros(2, dtype=dtype),
        lambda: tg.ones(2).astype(dtype),
    ):
        with pytest.raises(DTypeError, match=r"^in \w+: expected float16, bfloat16, float32"):
            call()


def test_only_floating_point_tensors_carry_gradients() -> None:
    for data in (np.array([1, 2]), np.array([True])):
        with pytest.raises(DTypeError, match="requires_grad"):
            tg.tensor(data, requires_grad=True)
        x = tg.tensor(data)
        with pytest.raises(DTypeError, match="requires_grad"):
            x.requires_grad_()
        assert not x.requires_grad
    assert tg.tensor([1, 2], requires_grad=True).dtype == np.float32


def test_casts_that_lose_values_are_silent() -> None:
    assert tg.tensor([1e300], dtype="float32").item() == math.inf
    assert tg.tensor([1e-300], dtype="float32").item() == 0.0
    tg.tensor([math.nan, math.inf], dtype="int32")
    tg.tensor([300.7]).astype("uint8")
    x = tg.zeros(1, dtype="int64")
    x[0] = 3.9
    assert x.item() == 3


def test_unknown_device() -> None:
    for name in ("gpu", "cuda:x", "", "cpu:0", 3):
        with pytest.raises(DeviceError, match=r"^in device: expected .+, got "):
            tg.tensor([1.0], device=name)


CREATORS = {
    "zeros": [
        lambda: tg.zeros(-1),
        lambda: tg.zeros(2.0),
        lambda: tg.zeros("23"),
        lambda: tg.zeros(2, None),
        lambda: tg.zeros(True),
    ],
    "ones": [lambda: tg.ones((2, -3)), lambda: tg.ones([1.5])],
    "full": [
        lambda: tg.full((2,), "a"),
        lambda: tg.full((2,), None),
        lambda: tg.full((-2,), 1),
        lambda: tg.full((2,), 300, dtype="uint8"),
        lambda: tg.full((2,), [1, 2]),
    ],
    "arange": [lambda: tg.arange(), lambda: tg.arange(1, 2, 3, 4), lambda: tg.arange("a"), lambda: tg.arange(0, 3, 0)],
    "eye": [lambda: tg.eye(-1), lambda: tg.eye(2.0)],
    "randn": [lambda: tg.randn(-1), lambda: tg.randn(2, "a")],
    "rand": [lambda: tg.rand(-1), lambda: tg.rand(1.5)],
    "zeros_like": [lambda: tg.zeros_like([1, 2]), lambda: tg.zeros_like(np.zeros(2))],
    "ones_like": [lambda: tg.ones_like(None)],
    "from_array": [
        lambda: tg.from_array([1, 2]),
        lambda: tg.from_array(np.zeros(2, "complex64")),
        lambda: tg.from_array(np.zeros(2, ">f4")),
        lambda: tg.from_numpy(None),
    ],
    "from_dlpack": [
        lambda: tg.from_dlpack([1, 2]),
        lambda: tg.from_dlpack(None),
        lambda: tg.from_dlpack(torch.ones(2, requires_grad=True)),
        lambda: tg.from_dlpack(torch.ones(2, dtype=torch.complex64)),
    ],
    "manual_seed": [lambda: tg.manual_seed(-1), lambda: tg.manual_seed(1.5), lambda: tg.manual_seed(True)],
}


@pytest.mark.parametrize(
    ("name", "call"), [pytest.param(n, c, id=f"{n}-{i}") for n, cs in CREATORS.items() for i, c in enumerate(cs)]
)
def test_wrong_calls(name: str, call) -> None:
    with pytest.raises((ArgumentError, DTypeError), match=rf"^in {name}: expected .+, got "):
        call()


def test_makers() -> None:
    assert tg.zeros(2, 3).tolist() == [[0.0] * 3] * 2
    assert tg.zeros((2, 3)).shape == tg.zeros([2, 3]).shape == (2, 3)
    assert tg.zeros().shape == ()
    assert tg.ones(2, dtype="int64").tolist() == [1, 1]
    assert tg.full(2, 1.5).tolist() == [1.5, 1.5]
    assert tg.full((), 2).item() == 2.0
    assert tg.eye(2).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert tg.arange(3).dtype == np.int64
    assert tg.arange(0.0, 1.0, 0.25).tolist() == [0.0, 0.25, 0.5, 0.75]
    assert tg.arange(0.0, 1.0, 0.25).dtype == np.float32
    assert tg.arange(2, 8, 3, dtype="float64").tolist() == [2.0, 5.0]
    x = tg.zeros(2, dtype="float16", requires_grad=True)
    assert x.requires_grad
    like = tg.ones_like(x)
    assert like.dtype == np.float16
    assert not like.requires_grad
    assert tg.zeros_like(x, requires_grad=True).requires_grad


def test_random_numbers_repeat_with_the_seed() -> None:
    tg.manual_seed(5)
    first = (tg.randn(3).tolist(), tg.rand(3).tolist())
    tg.manual_seed(5)
    assert (tg.randn(3).tolist(), tg.rand(3).tolist()) == first
    generator = tg.Generator(5)
    assert tg.randn(3, generator=generator).tolist() == first[0]
    values = tg.rand(1000)
    assert 0.0 <= values.min().item() < 0.05
    assert 0.95 < values.max().item() < 1.0


def test_the_same_numbers_in_every_dtype() -> None:
    """Drawn in float64 and rounded, so that a seed means the same model in every precision."""
    tg.manual_seed(5)
    wide = tg.randn(50, dtype="float64")
    tg.manual_seed(5)
    np.testing.assert_array_equal(tg.randn(50).numpy(), wide.numpy().astype("float32"))
