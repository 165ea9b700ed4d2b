"""Holding the engine against PyTorch: values, gradients, and gradients of gradients."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn.dtypes import is_bfloat16, is_floating

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

# Relative and absolute: float32 results of some hundred additions, float64 results of the same.
TOLERANCE = {
    np.dtype("float64"): (1e-9, 1e-10),
    np.dtype("float32"): (2e-4, 2e-5),
    np.dtype("float16"): (1e-2, 5e-3),
    np.dtype(ml_dtypes.bfloat16): (4e-2, 2e-2),
}


def assert_close(actual: Any, expected: Any, what: str = "", dtype: Any = None) -> None:
    """Compare an array, Tensor or torch tensor with another in shape, dtype and, within rounding, values."""
    a = _as_numpy(actual)
    b = _as_numpy(expected)
    assert a.shape == b.shape, f"{what}: shape {a.shape}, expected {b.shape}"
    assert a.dtype == b.dtype, f"{what}: dtype {a.dtype}, expected {b.dtype}"
    rtol, atol = TOLERANCE.get(np.dtype(dtype or a.dtype), (0.0, 0.0))
    if is_bfloat16(a.dtype):
        a, b = a.astype("float64"), b.astype("float64")
    scale = np.abs(b[np.isfinite(b)]).max(initial=1.0) if b.dtype.kind == "f" else 1.0
    np.testing.assert_allclose(a, b, rtol=rtol, atol=atol * scale, err_msg=what)


def _as_numpy(value: Any) -> np.ndarray:
    if not isinstance(value, torch.Tensor):
        return np.asarray(value)
    if value.dtype == torch.bfloat16:
        return value.detach().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return value.detach().numpy()


def as_torch(array: np.ndarray) -> Any:
    """Return a torch tensor with a copy of an array."""
    if is_bfloat16(array.dtype):
        return torch.tensor(array.view("int16")).view(torch.bfloat16)
    return torch.tensor(array)


def cast(arrays: Sequence[np.ndarray], dtype: Any) -> list[np.ndarray]:
    """Return the arrays, those of floating-point numbers in another dtype."""
    return [np.array(a, dtype=dtype if is_floating(np.asarray(a).dtype) else None) for a in arrays]


def leaves(arrays: Sequence[np.ndarray]) -> list[tg.Tensor]:
    """Return tensors on the default device, on the CPU without copying; floating-point ones require grad."""
    device = tg.get_default_device()
    return [tg.from_numpy(a).to(device).requires_grad_(is_floating(a.dtype)) for a in arrays]


def torch_leaves(arrays: Sequence[np.ndarray]) -> list[Any]:
    """Return torch tensors with copies of the arrays; those of floating-point numbers require grad."""
    return [as_torch(a).requires_grad_(is_floating(a.dtype)) for a in arrays]


def compare_with_torch(
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    arrays: Sequence[np.ndarray],
    dtype: Any = "float64",
    second: bool = False,
) -> None:
    """Compare values and the gradients of every floating-point input; `second` adds gradients of gradients.

    The functions take one tensor per array and return one tensor. The gradient that starts the backward pass is random.
    """
    arrays = cast(arrays, dtype)
    before = [a.copy() for a in arrays]
    inputs, references = leaves(arrays), torch_leaves(arrays)
    output = ours(*inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about itself ("same" padding of even kernels and the like)
        expected = theirs(*references)
    assert_close(output, expected, "value")
    if not expected.requires_grad:
        assert not output.requires_grad
        return
    rng = np.random.default_rng(1)
    start = np.asarray(rng.standard_normal(output.shape)).astype(output.dtype)
    ours_in = [x for x in inputs if x.requires_grad]
    theirs_in = [x for x in references if x.requires_grad]
    if not second:
        output.backward(start)
        expected.backward(as_torch(start))
        for i, (x, reference) in enumerate(zip(ours_in, theirs_in, strict=True)):
            assert (x.grad is None) == (reference.grad is None), f"gradient {i}: one is None"
            if x.grad is not None:
                assert_close(x.grad, reference.grad, f"gradient of floating-point input {i}")
    else:
        _compare_second(output, expected, start, ours_in, theirs_in, rng)
    for array, old in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, old, err_msg="an input was changed")


def _compare_second(
    output: Any, expected: Any, start: np.ndarray, inputs: list[Any], references: list[Any], rng: Any
) -> None:
    outer, outer_reference = tg.tensor(start, requires_grad=True), torch.tensor(start, requires_grad=True)
    first = tg.grad(output, inputs, outer, create_graph=True, allow_unused=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first_reference = torch.autograd.grad(
            expected, references, outer_reference, create_graph=True, allow_unused=True
        )
    total, total_reference = None, None
    for i, (a, b) in enumerate(zip(first, first_reference, strict=True)):
        assert (a is None) == (b is None), f"gradient {i}: one is None"
        if a is None:
            continue
        assert_close(a, b, f"first gradient {i}")
        weights = np.asarray(rng.standard_normal(a.shape)).astype(a.dtype)
        part, part_reference = (a * weights).sum(), (b * torch.from_numpy(weights)).sum()
        total = part if total is None else total + part
        total_reference = part_reference if total_reference is None else total_reference + part_reference
    assert total is not None
    second = tg.grad(total, [*inputs, outer], allow_unused=True)
    if not total_reference.requires_grad:  # a derivative that torch knows to be constant
        total_reference = total_reference + 0.0 * outer_reference.sum()
    second_reference = torch.autograd.grad(total_reference, [*references, outer_reference], allow_unused=True)
    for i, (a, b) in enumerate(zip(second, second_reference, strict=True)):
        # A derivative that is zero everywhere may be None in one library and zeros in the other.
        shape = start.shape if i == len(inputs) else inputs[i].shape
        a_values = np.zeros(shape) if a is None else np.asarray(a, dtype="float64")
        b_values = np.zeros(shape) if b is None else b.numpy(force=True).astype("float64")
        assert_close(a_values, b_values, f"second gradient {i}", dtype=start.dtype)


def layouts(array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the same values in every kind of memory that an array can have."""
    yield "fortran", np.array(array, order="F")
    if array.ndim:
        wide = np.full((*array.shape[:-1], 2 * array.shape[-1] + 1), 7, dtype=array.dtype)
        wide[..., 1::2] = array
        yield "every second column", wide[..., 1::2]
        backwards = np.ascontiguousarray(array[::-1, ...])
        yield "negative stride, first axis", backwards[::-1, ...]
        yield "negative stride, last axis", np.ascontiguousarray(array[..., ::-1])[..., ::-1]
        yield "reversed axes", np.ascontiguousarray(array.T).T
    if array.ndim == 4:
        yield "channels last", np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        inner = np.zeros((array.shape[0], array.shape[1] + 2, array.shape[2] + 3, array.shape[3] + 1), array.dtype)
        inner[:, 1:-1, 2:-1, :-1] = array
        yield "inside a larger array", inner[:, 1:-1, 2:-1, :-1]
    locked = array.copy()
    locked.flags.writeable = False
    yield "read-only", locked
    unaligned = np.zeros(array.nbytes + 1, dtype="uint8")[1:].view(array.dtype).reshape(array.shape)
    unaligned[...] = array
    yield "not aligned", unaligned
