from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tinygrad_bn.data.idx import encode_idx, read_idx
from tinygrad_bn.errors import DataError

IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
PLAIN = encode_idx(IMAGES)
COMPRESSIONS = {"plain": bytes, "gzip": gzip.compress, "bzip2": bz2.compress}


def test_layout_is_the_documented_one() -> None:
    expected = struct.pack(">HBBIII", 0, 8, 3, 3, 4, 5) + bytes(range(60))
    assert encode_idx(IMAGES) == expected


@pytest.mark.parametrize("compress", COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_reads_what_was_written(tmp_path: Path, compress) -> None:
    path = tmp_path / "any-name"
    path.write_bytes(compress(PLAIN))
    array = read_idx(path, hashlib.sha256(PLAIN).hexdigest())
    np.testing.assert_array_equal(array, IMAGES)
    assert array.dtype == np.uint8
    assert not array.flags.writeable


@given(arrays(np.uint8, array_shapes(max_dims=4, min_side=0, max_side=4)))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(encode_idx(array))
    np.testing.assert_array_equal(read_idx(path), array)


def test_a_view_that_is_not_contiguous_is_encoded_in_c_order(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(encode_idx(IMAGES.transpose(2, 0, 1)[::-1]))
    np.testing.assert_array_equal(read_idx(path), IMAGES.transpose(2, 0, 1)[::-1])


WRONG = {
    "empty": b"",
    "short magic": b"\0\0\x08",
    "wrong start": b"\1" + PLAIN[1:],
    "floats, not bytes": b"\0\0\x0d" + PLAIN[3:],
    "no dimensions": b"\0\0\x08\0" + PLAIN[4:],
    "five dimensions": b"\0\0\x08\5" + PLAIN[4:],
    "short dimensions": PLAIN[:9],
    "one value missing": PLAIN[:-1],
    "one value too many": PLAIN + b"\0",
    "too many images claimed": PLAIN[:4] + struct.pack(">I", 4) + PLAIN[8:],
    "too few images claimed": PLAIN[:4] + struct.pack(">I", 2) + PLAIN[8:],
    "an HTML page": b"<!DOCTYPE html><html>",
}


@pytest.mark.parametrize("compress", COMPRESSIONS.values(), ids=COMPRESSIONS)
@pytest.mark.parametrize("contents", WRONG.values(), ids=WRONG)
def test_wrong_contents_are_an_error_that_names_the_file(tmp_path: Path, contents: bytes, compress) -> None:
    path = tmp_path / "train-images"
    path.write_bytes(compress(contents))
    with pytest.raises(DataError, match="train-images"):
        read_idx(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing-here"):
        read_idx(tmp_path / "nothing-here")
    with pytest.raises(DataError, match=tmp_path.name):
        read_idx(tmp_path)


def test_other_contents_than_expected(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(PLAIN)
    with pytest.raises(DataError, match=f"SHA-256 {'0' * 64}"):
        read_idx(path, "0" * 64)


@pytest.mark.parametrize("compress", COMPRESSIONS.values(), ids=COMPRESSIONS)
@pytest.mark.parametrize("sizes", [(0xFFFFFFFF,) * 4, (60000, 28, 28), (1 << 20, 1 << 9)])
def test_no_memory_is_taken_for_a_claim_that_the_file_cannot_hold(
    tmp_path: Path, compress, sizes: tuple[int, ...]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(compress(struct.pack(f">HBB{len(sizes)}I", 0, 8, len(sizes), *sizes) + bytes(100)))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="file"):
            read_idx(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def test_a_bomb_is_not_unpacked_further_than_its_header_says(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(PLAIN + bytes(64 << 20), 1))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="more bytes"):
            read_idx(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


@pytest.mark.parametrize("compress", COMPRESSIONS.values(), ids=COMPRESSIONS)
@given(data=st.data())
def test_damage_is_noticed_or_harmless(tmp_path_factory: pytest.TempPathFactory, compress, data) -> None:
    """With the digest known, a damaged file is an error or reads as the very same array."""
    contents = bytearray(compress(PLAIN))
    if data.draw(st.booleans(), "truncate"):
        del contents[data.draw(st.integers(0, len(contents) - 1), "length") :]
    else:
        for _ in range(data.draw(st.integers(1, 3), "flips")):
            contents[data.draw(st.integers(0, len(contents) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.mktemp("idx") / "damaged"
    path.write_bytes(contents)
    with contextlib.suppress(DataError):
        array = read_idx(path, hashlib.sha256(PLAIN).hexdigest())
        np.testing.assert_array_equal(array, IMAGES)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, contents: bytes) -> None:
    for start in (b"", b"\x1f\x8b\x08\x00", b"BZh9", b"\0\0\x08"):
        path = tmp_path_factory.mktemp("idx") / "file"
        path.write_bytes(start + contents)
        try:
            array = read_idx(path)
        except DataError:
            continue
        assert len(start + contents) == 4 + 4 * array.ndim + array.size


def test_encode_refuses_other_values() -> None:
    with pytest.raises(DataError, match="uint8"):
        encode_idx(np.zeros(3))
