from __future__ import annotations

import contextlib
import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_bn.data.cifar import read_cifar
from tinygrad_bn.errors import DataError

NAMES = ("set/one.bin", "set/two.bin")


def records(count: int, label_limits: tuple[int, ...], seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    labels = np.stack([generator.integers(0, limit, count) for limit in label_limits], axis=1)
    pixels = generator.integers(0, 256, (count, 3072))
    return np.concatenate([labels, pixels], axis=1).astype(np.uint8)


def member(name: str, contents: bytes, kind: bytes = tarfile.REGTYPE) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = len(contents)
    return info, contents


def archive_of(*members: tuple[tarfile.TarInfo, bytes], compressed: bool = True) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for info, contents in members:
            archive.addfile(info, io.BytesIO(contents))
    return gzip.compress(buffer.getvalue(), 1) if compressed else buffer.getvalue()


ONE, TWO = records(3, (10,), 1), records(2, (10,), 2)
GOOD_MEMBERS = (
    member("set/readme.html", b"<html>"),
    member(NAMES[0], ONE.tobytes()),
    member(NAMES[1], TWO.tobytes()),
)


def write(folder: Path, contents: bytes) -> Path:
    path = folder / "archive.tar.gz"
    path.write_bytes(contents)
    return path


@pytest.mark.parametrize("compressed", [True, False])
def test_reads_records_in_the_order_asked_for(tmp_path: Path, compressed: bool) -> None:
    path = write(tmp_path, archive_of(*GOOD_MEMBERS, compressed=compressed))
    images, labels = read_cifar(path, NAMES[::-1], (10,))
    expected = np.concatenate([TWO, ONE])
    np.testing.assert_array_equal(labels, expected[:, :1])
    for i, record in enumerate(expected):
        # Written out by hand from the format's description: planes, then rows, then columns.
        for channel, row, column in [(0, 0, 0), (0, 0, 31), (0, 1, 0), (1, 0, 0), (2, 31, 31)]:
            assert images[i, channel, row, column] == record[1 + channel * 1024 + row * 32 + column]


def test_two_label_bytes(tmp_path: Path) -> None:
    hundred = records(4, (20, 100), 3)
    path = write(tmp_path, archive_of(member("cifar-100-binary/train.bin", hundred.tobytes())))
    images, labels = read_cifar(path, ("cifar-100-binary/train.bin",), (20, 100))
    assert images.shape == (4, 3, 32, 32)
    np.testing.assert_array_equal(labels, hundred[:, :2])


def test_nothing_is_unpacked_onto_the_disk(tmp_path: Path) -> None:
    outside = member("../escaped.bin", b"x")
    absolute = member("/tmp/absolute-escaped.bin", b"x")
    link = member("set/link", b"", tarfile.SYMTYPE)
    link[0].linkname = "/etc/passwd"
    path = write(tmp_path, archive_of(outside, absolute, link, *GOOD_MEMBERS))
    images, _ = read_cifar(path, NAMES, (10,))
    assert len(images) == 5
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == [path.name]
    assert not (tmp_path.parent / "escaped.bin").exists()


def _link() -> tuple[tarfile.TarInfo, bytes]:
    info, contents = member(NAMES[0], b"", tarfile.SYMTYPE)
    info.linkname = "/etc/passwd"
    return info, contents


TOO_LARGE_LABEL = ONE.copy()
TOO_LARGE_LABEL[1, 0] = 10
WRONG = {
    "empty file": b"",
    "not an archive": b"<!DOCTYPE html>" * 100,
    "gzip of something else": gzip.compress(b"hello"),
    "a member is missing": archive_of(GOOD_MEMBERS[1]),
    "the right name in another folder": archive_of(
        member("one.bin", ONE.tobytes()), member("set/set/two.bin", TWO.tobytes())
    ),
    "a member twice": archive_of(*GOOD_MEMBERS, GOOD_MEMBERS[1]),
    "a link in place of a member": archive_of(_link(), GOOD_MEMBERS[2]),
    "a folder in place of a member": archive_of(member(NAMES[0], b"", tarfile.DIRTYPE), GOOD_MEMBERS[2]),
    "an empty member": archive_of(member(NAMES[0], b""), GOOD_MEMBERS[2]),
    "half a record": archive_of(member(NAMES[0], ONE.tobytes()[:-1]), GOOD_MEMBERS[2]),
    "a label too large": archive_of(member(NAMES[0], TOO_LARGE_LABEL.tobytes()), GOOD_MEMBERS[2]),
    "cut off": archive_of(*GOOD_MEMBERS)[:-2000],
    "gzip's checksum cut off": archive_of(*GOOD_MEMBERS)[:-4],
    "gzip's checksum wrong": archive_of(*GOOD_MEMBERS)[:-8] + bytes(8),
}


@pytest.mark.parametrize("contents", WRONG.values(), ids=WRONG)
def test_wrong_archives_are_an_error_that_names_the_file(tmp_path: Path, contents: bytes) -> None:
    path = write(tmp_path, contents)
    with pytest.raises(DataError, match=path.name):
        read_cifar(path, NAMES, (10,))


def test_missing_archive(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing-here"):
        read_cifar(tmp_path / "nothing-here", NAMES, (10,))


@pytest.mark.parametrize("size", [(1 << 33) - 1, 1 << 60, -1])
@pytest.mark.parametrize("name", ["set/other", NAMES[0]])
def test_huge_claims_end_at_once(tmp_path: Path, size: int, name: str) -> None:
    info = tarfile.TarInfo(name)
    info.size = size
    header = info.tobuf(tarfile.GNU_FORMAT)
    path = write(tmp_path, gzip.compress(header + bytes(10240)))
    with pytest.raises(DataError, match=path.name):
        read_cifar(path, NAMES, (10,))


def test_a_long_chain_of_extended_headers(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@PaxHeader")
    info.type = tarfile.XHDTYPE
    path = write(tmp_path, gzip.compress(info.tobuf(tarfile.USTAR_FORMAT) * 5000 + bytes(10240)))
    with pytest.raises(DataError, match=path.name):
        read_cifar(path, NAMES, (10,))


# The headers are small and the pixels many, so most random changes would hit pixels: these hit headers.
@given(data=st.data())
def test_damaged_headers_are_refused_or_harmless(tmp_path_factory: pytest.TempPathFactory, data) -> None:
    contents = bytearray(archive_of(*GOOD_MEMBERS, compressed=False))
    starts = [0, 1024, 1024 + 512 + 9728]
    assert all(contents[start + 257 : start + 262] == b"ustar" for start in starts)
    for _ in range(data.draw(st.integers(1, 4), "changes")):
        place = data.draw(st.sampled_from(starts)) + data.draw(st.integers(0, 511))
        contents[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans(), "with the header's checksum made right again"):
        for start in starts:
            header = contents[start : start + 512]
            header[148:156] = b" " * 8
            contents[start + 148 : start + 156] = b"%06o\0 " % sum(header)
    if data.draw(st.booleans(), "truncate"):
        del contents[data.draw(st.integers(0, len(contents) - 1)) :]
    path = write(tmp_path_factory.mktemp("tar"), bytes(contents))
    with contextlib.suppress(DataError):
        images, _ = read_cifar(path, NAMES, (10,))
        assert len(images) == 5


@given(data=st.data())
def test_damaged_archives_are_refused_or_harmless(tmp_path_factory: pytest.TempPathFactory, data) -> None:
    """gzip's checksum notices what the parser cannot see."""
    contents = bytearray(GOOD)
    if data.draw(st.booleans(), "truncate"):
        del contents[data.draw(st.integers(0, len(contents) - 1)) :]
    else:
        contents[data.draw(st.integers(0, len(contents) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = write(tmp_path_factory.mktemp("tar"), bytes(contents))
    with contextlib.suppress(DataError):
        images, labels = read_cifar(path, NAMES, (10,))
        np.testing.assert_array_equal(images.reshape(5, -1), np.concatenate([ONE, TWO])[:, 1:])
        np.testing.assert_array_equal(labels, np.concatenate([ONE, TWO])[:, :1])


GOOD = archive_of(*GOOD_MEMBERS)
