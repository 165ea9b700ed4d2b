"""Shares memory with JAX both ways and prints each dtype with which it did; run by test_dlpack.py."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn.backend import BufferPool
from tinygrad_bn.errors import ArgumentError, GraphError


def address(x: tg.Tensor) -> int:
    return int(x.data.ctypes.data)


def main() -> None:
    import jax  # here: whoever collects tests reads this file, too

    for dtype in ("float32", "bfloat16", "float16", "int32", "uint8", "bool"):
        x = tg.tensor(np.arange(1000) % 2, dtype=dtype, device="cpu")
        aligned = BufferPool(smallest=0).empty(x.shape, x.dtype)  # to 64 bytes: JAX copies what lies otherwise
        aligned[...] = x.data
        x = tg.from_array(aligned)
        theirs = jax.dlpack.from_dlpack(x)
        assert str(theirs.dtype) == dtype
        assert theirs.unsafe_buffer_pointer() == address(x)
        back = tg.from_dlpack(theirs)
        assert address(back) == address(x)
        assert back.dtype == x.dtype
        assert back[:4].tolist() == [0, 1, 0, 1]
        with pytest.raises(ArgumentError, match="read-only"):
            back[0] = 1
        with pytest.raises(GraphError, match="detach"):
            jax.dlpack.from_dlpack(tg.ones(2, device="cpu", requires_grad=True))
        print(dtype)


if __name__ == "__main__":
    main()
