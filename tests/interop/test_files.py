"""Safetensors files: what comes back is what went in, or an error."""

from __future__ import annotations

import builtins
import json
import os
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import interop, nn
from tinygrad_bn.errors import DataError, DTypeError, MissingDependencyError, StateError

pytest.importorskip("safetensors")


def test_tensors_and_arrays_of_every_dtype_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        dtype: (100 * rng.standard_normal((2, 3))).astype(dtype)
        for dtype in ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")
    }
    arrays["bfloat16"] = arrays["float32"].astype(ml_dtypes.bfloat16)
    interop.save_file({**arrays, "tensor": tg.tensor(arrays["float32"])}, tmp_path / "a.safetensors")
    loaded = interop.load_file(tmp_path / "a.safetensors")
    for name, array in arrays.items():
        assert str(loaded[name].dtype) == name
        np.testing.assert_array_equal(loaded[name].numpy(), array)
    np.testing.assert_array_equal(loaded["tensor"].numpy(), arrays["float32"])


def test_arrays_in_any_memory_order_come_back(tmp_path: Path) -> None:
    base = np.arange(24, dtype="float32").reshape(2, 3, 4)
    arrays = {
        "transposed": base.transpose(2, 0, 1),
        "fortran": np.asfortranarray(base),
        "strided": base[:, ::2, 1::2],
        "reversed": base[::-1, :, ::-1],
        "broadcast": np.broadcast_to(base[:1], (3, 3, 4)),
        "big endian": base.astype(">f4"),
        "scalar": np.float32(7.0),
        "no axes": np.array(3, dtype="int64"),
        "empty": np.zeros((0, 3)),
    }
    interop.save_file({**arrays, "tensor": tg.tensor(base).transpose(1, 2, 0)}, tmp_path / "a")
    loaded = interop.load_file(tmp_path / "a")
    for name, array in arrays.items():
        assert loaded[name].shape == np.shape(array), name
        np.testing.assert_array_equal(loaded[name].numpy(), array, err_msg=name)
    np.testing.assert_array_equal(loaded["tensor"].numpy(), base.transpose(1, 2, 0))


@pytest.mark.parametrize("order", ["convention", "swap"])
def test_a_model_comes_back(tmp_path: Path, order: str) -> None:
    source, target = (nn.SmallCNN(width=2, image_size=8, order=order) for _ in range(2))
    images = tg.randn(3, 1, 8, 8)
    source(images)
    interop.save_model(source, tmp_path / "model.safetensors")
    assert interop.load_model(target, tmp_path / "model.safetensors") == ([], [])
    np.testing.assert_array_equal(target.eval()(images).numpy(), source.eval()(images).numpy())
    with pytest.raises(StateError, match=r"missing: .*unexpected: "):
        interop.load_model(nn.Linear(2, 2), tmp_path / "model.safetensors")


def test_pytorch_reads_the_file(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    for convert in (nn.Module.float, nn.Module.bfloat16):
        interop.save_model(convert(model), tmp_path / "model.safetensors")
        theirs = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
        theirs.load_state_dict(load_file(tmp_path / "model.safetensors"))
        np.testing.assert_array_equal(theirs[0].weight.detach().numpy(), np.asarray(model[0].weight, dtype="float32"))
    assert load_file(tmp_path / "model.safetensors")["0.weight"].dtype == torch.bfloat16


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    interop.save_file({"x": np.ones(2)}, path)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        interop.save_file({"x": np.zeros(2)}, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_nothing_but_numbers_by_name_is_written(tmp_path: Path) -> None:
    with pytest.raises(DTypeError, match="names that are strings"):
        interop.save_file({1: np.ones(2)}, tmp_path / "a")  # type: ignore[dict-item]
    with pytest.raises(DTypeError, match="save_file, x"):
        interop.save_file({"x": np.array(["a"])}, tmp_path / "a")
    with pytest.raises(DTypeError, match="save_file, x"):
        interop.save_file({"x": np.array([1j])}, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def float8_file() -> bytes:
    header = json.dumps({"x": {"dtype": "F8_E5M2", "shape": [1], "data_offsets": [0, 1]}}).encode()
    return len(header).to_bytes(8, "little") + header + b"\0"


@pytest.mark.parametrize("content", [None, b"", b"garbage that is no header", "truncated", float8_file()])
def test_files_that_cannot_be_read(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "a"
    if content == "truncated":
        interop.save_file({"x": np.ones(100)}, path)
        path.write_bytes(path.read_bytes()[:-8])
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="in load_file: expected"):
        interop.load_file(path)


def test_without_the_package_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("safetensors"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r"tinygrad_bn\[interop\]"):
        interop.save_file({}, tmp_path / "a")
    with pytest.raises(MissingDependencyError, match=r"tinygrad_bn\[interop\]"):
        interop.load_file(tmp_path / "a")


def test_only_a_mapping_is_saved(tmp_path: Path) -> None:
    with pytest.raises(DTypeError, match="in save_file: expected a mapping from names to tensors, got list"):
        interop.save_file([1], tmp_path / "weights.safetensors")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
