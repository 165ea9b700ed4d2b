"""A file that is being written is never seen half."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinygrad_bn.files import atomic_writer


def test_a_finished_block_replaces_the_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("old")
    with atomic_writer(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failing_block_leaves_the_old_file_and_no_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("old")

    def write_half() -> None:
        with atomic_writer(path) as file:
            file.write(b"half")
            raise ValueError("stopped in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder, error in (("none", FileNotFoundError), ("file", NotADirectoryError)):
        path = tmp_path / folder / "result.json"
        with pytest.raises(error) as caught, atomic_writer(path):
            pass
        assert caught.value.filename == str(path)  # not that of the temporary file
        assert ".tmp" not in str(caught.value)


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    with atomic_writer(path) as first, atomic_writer(path) as second:
        first.write(b"first" * 1000)
        second.write(b"second")
    assert path.read_bytes() == b"first" * 1000  # the outer block ended last
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    path, ordinary = tmp_path / "result.json", tmp_path / "ordinary"
    ordinary.touch()
    with atomic_writer(path) as file:
        file.write(b"x")
    assert path.stat().st_mode == ordinary.stat().st_mode
