"""safetensors writes the memory of an array as it lies; what is not in C order must be copied first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import interop

pytest.importorskip("safetensors")
VALUES = np.arange(24.0, dtype="float32").reshape(2, 3, 4)
ARRAYS = {
    "transposed": VALUES.T,
    "reversed": VALUES[::-1],
    "sliced": VALUES[:, ::2, 1:],
    "fortran": np.asfortranarray(VALUES),
    "broadcast": np.broadcast_to(VALUES[:1], (2, 3, 4)),
    "channels last": VALUES.transpose(1, 2, 0),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_in_any_memory_order_survive_a_file(name: str, tmp_path: Path) -> None:
    array = ARRAYS[name]
    path = tmp_path / "file.safetensors"
    interop.save_file({"w": tg.from_numpy(array)}, path)
    loaded = interop.load_file(path)["w"]
    np.testing.assert_array_equal(loaded.numpy(), array)
    assert loaded.shape == array.shape
