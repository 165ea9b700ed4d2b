from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import make_embedded_data
from tinygrad_bn import data
from tinygrad_bn.data import embedded
from tinygrad_bn.data.embedded import DIGITS_8X8, FASHION_MINI, FILES
from tinygrad_bn.data.idx import read_idx
from tinygrad_bn.errors import ArgumentError, DataError

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
needs_debian = pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")


@pytest.mark.parametrize(("split", "count"), [("train", 6000), ("test", 2000)])
def test_fashion_mini(split: str, count: int) -> None:
    dataset = data.fashion_mini(split)
    assert dataset.images.shape == (count, 1, 28, 28)
    assert dataset.images.dtype == np.float32
    assert (dataset.images.min(), dataset.images.max()) == (0, 1)
    assert dataset.labels.dtype == np.int64
    assert np.bincount(dataset.labels).tolist() == [count // 10] * 10
    assert dataset.classes[9] == "Ankle boot"


@pytest.mark.parametrize(("split", "count"), [("train", 1437), ("test", 360)])
def test_digits(split: str, count: int) -> None:
    dataset = data.digits(split)
    assert dataset.images.shape == (count, 1, 8, 8)
    assert (dataset.images.min(), dataset.images.max()) == (0, 1)
    whole = np.bincount(np.concatenate([data.digits("train").labels, data.digits("test").labels]))
    assert np.abs(np.bincount(dataset.labels) - whole * count / 1797).max() < 1


def test_digits_are_those_of_scikit_learn() -> None:
    original = pytest.importorskip("sklearn.datasets").load_digits()
    expected = {
        (*image.astype(int).ravel(), label) for image, label in zip(original.images, original.target, strict=True)
    }
    found = [
        (*np.rint(image * 16).astype(int).ravel(), label)
        for split in ("train", "test")
        for image, label in data.digits(split)
    ]
    assert len(found) == len(original.target) == 1797
    assert set(found) == expected


@pytest.mark.parametrize("load", [data.fashion_mini, data.digits])
def test_both_splits_carry_the_constants_of_the_training_images(load) -> None:
    train, test = load("train"), load("test")
    assert train.images.mean(dtype=np.float64) == pytest.approx(train.mean[0], abs=1e-6)
    assert train.images.std(dtype=np.float64) == pytest.approx(train.std[0], abs=1e-6)
    assert (test.mean, test.std) == (train.mean, train.std)


def test_no_image_is_in_both_splits() -> None:
    seen = {image.tobytes() for image in data.fashion_mini("train").images}
    # The original itself has a few images twice; a split gone wrong would share thousands.
    assert sum(image.tobytes() in seen for image in data.fashion_mini("test").images) < 5


@pytest.mark.parametrize("load", [data.fashion_mini, data.digits])
def test_unknown_split(load) -> None:
    with pytest.raises(ArgumentError, match="one of train, test, got 'validation'"):
        load("validation")


def test_the_files_are_small_and_licensed() -> None:
    files = [path for path in FILES.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 5_000_000
    assert {path.name for path in files if path.suffix == ".txt"} == {
        "fashion_mini-LICENSE.txt",
        "digits-LICENSE.txt",
    }
    assert "MIT License" in (FILES / "fashion_mini-LICENSE.txt").read_text("utf-8")
    assert "CC BY 4.0" in (FILES / "digits-LICENSE.txt").read_text("utf-8")


def test_a_damaged_file_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in FILES.glob("digits-*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "digits-train-labels.idx.bz2").write_bytes((FILES / "digits-test-labels.idx.bz2").read_bytes())
    monkeypatch.setattr(embedded, "FILES", tmp_path)
    assert len(data.digits("test")) == 360
    with pytest.raises(DataError, match=r"digits-train-labels\.idx\.bz2"):
        data.digits("train")


@needs_debian
def test_the_script_makes_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn")
    assert make_embedded_data.main(["--from", str(DEBIAN), "--out", str(tmp_path)]) == 0
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in FILES.glob("*.bz2")}

    (tmp_path / "digits-test-labels.idx.bz2").write_bytes(b"changed")
    (tmp_path / "digits-test-images.idx.bz2").unlink()
    capsys.readouterr()
    assert make_embedded_data.main(["--from", str(DEBIAN), "--out", str(tmp_path), "--check"]) == 1
    output = capsys.readouterr()
    assert "6 of 8 files are the same" in output.out
    assert output.err.count("DIFFERENT") == 2
    assert not (tmp_path / "digits-test-images.idx.bz2").exists()


@needs_debian
def test_images_and_labels_belong_together() -> None:
    """Each embedded image is looked up in the original files, and must have the label that it has there."""
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images = read_idx(DEBIAN / f"{prefix}-images-idx3-ubyte.gz")
        labels = read_idx(DEBIAN / f"{prefix}-labels-idx1-ubyte.gz")
        original = {}
        for image, label in zip(images, labels, strict=True):
            original.setdefault(image.tobytes(), set()).add(int(label))
        embedded_images = read_idx(FASHION_MINI.path(f"{split}-images"))
        embedded_labels = read_idx(FASHION_MINI.path(f"{split}-labels"))
        assert all(
            int(label) in original[image.tobytes()]
            for image, label in zip(embedded_images, embedded_labels, strict=True)
        )


def test_the_script_refuses_other_originals(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        make_embedded_data.main(["--from", str(tmp_path), "--out", str(tmp_path / "out")])
    csv = tmp_path / "digits.csv.gz"
    csv.write_bytes(b"not gzip")
    with pytest.raises(DataError, match=r"digits\.csv\.gz"):
        make_embedded_data.digits_parts(csv)
    assert not (tmp_path / "out").exists()


def test_names_of_the_files() -> None:
    assert FASHION_MINI.path("train-images").is_file()
    assert DIGITS_8X8.file_name("test-labels") == "digits-test-labels.idx.bz2"
