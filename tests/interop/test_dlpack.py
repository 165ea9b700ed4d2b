"""Sharing memory with PyTorch, JAX and NumPy through DLPack: nothing is copied, and nobody's rules are broken."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import torch

import tinygrad_bn as tg
from tinygrad_bn import optim
from tinygrad_bn.errors import ArgumentError, DeviceError, DTypeError, GraphError
from tinygrad_bn.interop import to_dlpack

pytestmark = pytest.mark.cpu_only("compares addresses with those of other libraries' arrays on the host")


def _address(x: tg.Tensor) -> int:
    return int(x.data.ctypes.data)


def test_bfloat16_shares_memory_both_ways() -> None:
    """NumPy's own exchange does not know the dtype."""
    x = tg.tensor([[1.0, -2.5], [3.0, 0.5]], dtype="bfloat16").T
    theirs = torch.from_dlpack(x)
    assert theirs.dtype == torch.bfloat16
    assert theirs.data_ptr() == _address(x)
    assert theirs.tolist() == [[1.0, 3.0], [-2.5, 0.5]]
    theirs[0, 1] = 8.0
    assert x.tolist() == [[1.0, 8.0], [-2.5, 0.5]]
    back = tg.from_dlpack(theirs)
    assert str(back.dtype) == "bfloat16"
    assert _address(back) == _address(x)
    assert back.tolist() == x.tolist()
    assert (back + 1.0).tolist() == [[2.0, 9.0], [-1.5, 1.5]]


def test_capsules_without_a_version() -> None:
    """What libraries pass that are older than DLPack 1.0."""
    for dtype, theirs in (("bfloat16", torch.bfloat16), ("float32", torch.float32)):
        x = tg.tensor([1.0, 2.0], dtype=dtype)
        for capsule in (x.__dlpack__(), to_dlpack(x.detach().requires_grad_())):
            taken = torch.utils.dlpack.from_dlpack(capsule)
            assert taken.dtype == theirs
            assert taken.data_ptr() == _address(x)


def test_a_capsule_nobody_takes_does_no_harm() -> None:
    x = tg.tensor([1.0, 2.0], dtype="bfloat16")
    before = sys.getrefcount(x.data)
    for version in (None, (1, 0)):
        capsule = x.__dlpack__(max_version=version)
        del capsule
    after = sys.getrefcount(x.data)
    assert after == before
    assert x.tolist() == [1.0, 2.0]


def test_memory_lives_as_long_as_somebody_needs_it() -> None:
    x = tg.from_dlpack(torch.arange(5.0).bfloat16())
    assert x.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    theirs = torch.from_dlpack(tg.ones(1000, dtype="bfloat16"))
    assert theirs.sum().item() == 1000.0


def test_what_a_consumer_may_ask_for() -> None:
    x = tg.tensor([1.0, 2.0])
    copied = np.from_dlpack(x, copy=True)
    assert not np.shares_memory(copied, x.data)
    assert np.shares_memory(np.from_dlpack(x, device="cpu", copy=False), x.data)
    assert x.__dlpack_device__() == (1, 0)
    with pytest.raises((BufferError, RuntimeError)):  # a stream: there is none on the CPU
        x.__dlpack__(stream=1)


class _Elsewhere:
    """An array in memory that we cannot reach: of Apple's Metal."""

    def __dlpack__(self, **request: Any) -> Any:
        raise AssertionError("never asked")

    def __dlpack_device__(self) -> tuple[int, int]:
        return 8, 0


def test_memory_that_no_tensor_can_have() -> None:
    with pytest.raises(DeviceError, match=r"^in from_dlpack: expected memory of the CPU or of CUDA, got .*8"):
        tg.from_dlpack(_Elsewhere())
    with pytest.raises(DeviceError, match=r"^in from_dlpack: expected memory that can be shared, got .*meta"):
        tg.from_dlpack(torch.ones(2, device="meta"))
    for source in (torch.ones(2, dtype=torch.complex64), torch.ones(2, requires_grad=True), [1.0]):
        with pytest.raises(DTypeError, match="expected"):
            tg.from_dlpack(source)


def test_arrays_that_numpy_cannot_read() -> None:
    half, leaf = torch.ones(2, dtype=torch.bfloat16), torch.ones(2, requires_grad=True)
    for source, remedy in (
        (half, "use tg.from_dlpack"),
        ([half], "use tg.from_dlpack"),
        (torch.ones(2, device="meta"), "use tg.from_dlpack"),
        (leaf, r"detach\(\) it first"),
        (leaf * 2, r"detach\(\) it first"),
        ([leaf, leaf], r"use tensor.detach\(\)"),  # PyTorch's own words
    ):
        with pytest.raises(DTypeError, match=rf"(?is)^in tensor: expected an array NumPy can read, got .+{remedy}"):
            tg.tensor(source)
    x = tg.ones(2)
    with pytest.raises(DTypeError, match="in assignment to elements"):
        x[:] = leaf
    assert tg.tensor(leaf.detach()).tolist() == tg.tensor(tg.from_dlpack(half)).tolist() == x.tolist()


def test_what_requires_grad_is_not_given_away() -> None:
    for dtype in ("float32", "bfloat16"):
        x = tg.ones(2, dtype=dtype, requires_grad=True)
        with pytest.raises(GraphError, match=r"detach\(\) first"):
            torch.from_dlpack(x)
    assert not hasattr(x, "__cuda_array_interface__")  # it is on the CPU


def test_axes_that_run_backwards_are_not_given_away() -> None:
    """PyTorch ends the process when it sees one."""
    for dtype in ("float32", "bfloat16"):
        for x in (tg.arange(6, dtype=dtype)[::-1], tg.ones(2, 3, dtype=dtype)[:, ::-1], tg.ones(1, dtype=dtype)[::-1]):
            for share in (torch.from_dlpack, to_dlpack):
                with pytest.raises(BufferError, match=r"^in __dlpack__: .+ backwards, got strides .+; copy\(\) it"):
                    share(x)
            assert torch.from_dlpack(x.copy()).tolist() == x.tolist()
    x = tg.arange(6, dtype="float32")[::-1]
    assert np.from_dlpack(x, copy=True).tolist() == x.tolist()


def test_memory_that_must_not_be_written() -> None:
    """As that of JAX: its arrays never change."""
    array = np.ones(3, dtype=np.float32)
    array.flags.writeable = False
    x = tg.from_dlpack(array)
    assert np.shares_memory(x.data, array)
    assert (x + 1.0).tolist() == [2.0, 2.0, 2.0]

    def write_an_element() -> None:
        x[0] = 5.0

    for write in (write_an_element, lambda: x.assign_(0.0), lambda: optim.SGD([x.requires_grad_()], lr=0.1)):
        with pytest.raises(ArgumentError, match=r"expected memory that may be written, got a read-only array's; copy"):
            write()
    assert array.tolist() == [1.0, 1.0, 1.0]
    optim.SGD([x.detach().copy().requires_grad_()], lr=0.1)


def test_jax_shares_memory_both_ways() -> None:
    """In a process of its own: JAX starts threads, and other tests fork."""
    if importlib.util.find_spec("jax") is None:
        pytest.skip("JAX is not installed")
    script = Path(__file__).with_name("share_with_jax.py")
    done = subprocess.run([sys.executable, "-W", "error", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["float32", "bfloat16", "float16", "int32", "uint8", "bool"]
