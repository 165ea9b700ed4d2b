from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinygrad_bn import data
from tinygrad_bn.data import full_sets
from tinygrad_bn.data.class_names import CIFAR10, CIFAR100_COARSE, CIFAR100_FINE
from tinygrad_bn.data.folders import cache_folder, download_folder, search_folders
from tinygrad_bn.data.idx import encode_idx
from tinygrad_bn.errors import ArgumentError, DataError

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
needs_debian = pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 28, 28)).astype(np.uint8)
LABELS = (np.arange(20) % 10).astype(np.uint8)
PARTS = {
    f"{prefix}-{name}": encode_idx(array)
    for prefix in ("train", "t10k")
    for name, array in (("images-idx3-ubyte", IMAGES), ("labels-idx1-ubyte", LABELS))
}


def put(folder: Path, ending: str = ".gz") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, contents in PARTS.items():
        (folder / f"{name}{ending}").write_bytes(gzip.compress(contents) if ending else contents)


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("folder", ["mnist", "MNIST/raw", "."])
def test_found_in_the_folder_that_the_user_names(data_folder: Path, folder: str, ending: str) -> None:
    put(data_folder / folder, ending)
    dataset = data.mnist("test", verify=False)
    np.testing.assert_array_equal(dataset.images, np.float32(IMAGES[:, None]) / np.float32(255))
    np.testing.assert_array_equal(dataset.labels, LABELS)
    assert dataset.images.dtype == np.float32
    assert dataset.labels.dtype == np.int64
    assert dataset.classes == tuple("0123456789")
    assert (dataset.name, dataset.mean, dataset.std) == ("mnist/test", (0.1307,), (0.3081,))


@pytest.mark.parametrize("place", ["debian/fashion-mnist", "cache/tinygrad_bn/fashion_mnist"])
def test_found_where_debian_and_the_cache_have_them(data_folder: Path, place: str) -> None:
    put(data_folder.parent / place)
    assert len(data.fashion_mnist("train", verify=False)) == 20


def test_the_users_folder_comes_first(data_folder: Path) -> None:
    put(data_folder.parent / "debian" / "fashion-mnist")
    put(data_folder / "fashion_mnist", "")
    (data_folder / "fashion_mnist" / "train-labels-idx1-ubyte").write_bytes(encode_idx(LABELS[::-1]))
    np.testing.assert_array_equal(data.fashion_mnist("train", verify=False).labels, LABELS[::-1])


def test_folders_without_the_environment_variable(monkeypatch: pytest.MonkeyPatch, data_folder: Path) -> None:
    monkeypatch.delenv("TINYGRAD_BN_DATA")
    home = data_folder.parent
    assert download_folder() == cache_folder() == home / "cache" / "tinygrad_bn"
    assert search_folders() == [home / "debian", cache_folder()]
    monkeypatch.setenv("TINYGRAD_BN_DATA", "~/sets")
    monkeypatch.setenv("HOME", str(home))
    assert download_folder() == search_folders()[0] == home / "sets"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == home / ".cache" / "tinygrad_bn"


def test_other_contents_are_refused_and_the_remedy_named(data_folder: Path) -> None:
    put(data_folder / "mnist")
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz.*SHA-256 ba891046e6505d7a"):
        data.mnist("train")


BROKEN = {
    "one label missing": ("t10k-labels-idx1-ubyte", encode_idx(LABELS[:-1]), "20 labels"),
    "label out of range": ("t10k-labels-idx1-ubyte", encode_idx(LABELS + np.uint8(1)), "labels below 10"),
    "labels in two dimensions": ("t10k-labels-idx1-ubyte", encode_idx(LABELS[:, None]), "20 labels"),
    "images in two dimensions": ("t10k-images-idx3-ubyte", encode_idx(IMAGES[:, 0]), r"\(N, H, W\)"),
    "no images": ("t10k-images-idx3-ubyte", encode_idx(IMAGES[:0]), r"\(N, H, W\)"),
    "images and labels swapped": ("t10k-images-idx3-ubyte", encode_idx(LABELS), r"\(N, H, W\)"),
}


@pytest.mark.parametrize(("name", "contents", "message"), BROKEN.values(), ids=BROKEN)
def test_files_that_do_not_fit_each_other(data_folder: Path, name: str, contents: bytes, message: str) -> None:
    put(data_folder, "")
    (data_folder / name).write_bytes(contents)
    with pytest.raises(DataError, match=message) as caught:
        data.mnist("test", verify=False)
    assert str(data_folder / name) in str(caught.value)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Plays the network: each address delivers the file of its name; the list tells what was asked for."""
    asked: list[str] = []

    def deliver(urls: list[str], destination: Path, check) -> None:
        asked.extend(urls)
        name = urls[0].rsplit("/", 1)[-1]
        destination.parent.mkdir(parents=True, exist_ok=True)
        contents = ARCHIVES.get(name) or gzip.compress(PARTS[name.removesuffix(".gz")])
        destination.write_bytes(contents)
        check(destination)

    monkeypatch.setattr(full_sets, "download", deliver)
    return asked


def test_missing_files_are_fetched_once_into_the_users_folder(data_folder: Path, fetched: list[str]) -> None:
    digests = {name: hashlib.sha256(contents).hexdigest() for name, contents in PARTS.items()}
    source = replace(full_sets.MNIST, sha256=digests)
    for _ in range(2):
        assert len(full_sets.load_idx_set(source, "train")) == 20
    files = ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"]
    assert fetched == [address + file for file in files for address in source.addresses]
    assert sorted(path.name for path in (data_folder / "mnist").iterdir()) == files


def test_fetched_files_are_checked(fetched: list[str]) -> None:
    with pytest.raises(DataError, match="SHA-256"):
        data.mnist("test")
    assert len(fetched) == len(full_sets.MNIST.addresses)


@pytest.mark.parametrize("load", [data.mnist, data.fashion_mnist, data.cifar10, data.cifar100])
def test_unknown_split(load) -> None:
    with pytest.raises(ArgumentError, match=r"split to be one of train, test, got 'tset'; did you mean 'test'"):
        load("tset")


@needs_debian
def test_debians_fashion_mnist_is_the_original(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_BN_DATA", str(DEBIAN.parent))
    train, test = data.fashion_mnist("train"), data.fashion_mnist("test")
    assert (len(train), len(test)) == (60000, 10000)
    assert np.bincount(train.labels).tolist() == [6000] * 10
    assert np.bincount(test.labels).tolist() == [1000] * 10
    counted = data.Dataset(train.images[:, :, ::1], train.labels)
    assert counted.mean == pytest.approx(train.mean, abs=5e-5)
    assert counted.std == pytest.approx(train.std, abs=5e-5)


# -- CIFAR ---------------------------------------------------------------------------------------------------


def _cifar_archive(source: full_sets.CifarSet) -> bytes:
    import io
    import tarfile

    generator = np.random.default_rng(0)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for name in (name for names in source.members.values() for name in names):
            labels = [generator.integers(0, limit, 7) for limit in source.label_limits]
            pixels = generator.integers(0, 256, (7, 3072))
            contents = np.column_stack([*labels, pixels]).astype(np.uint8).tobytes()
            info = tarfile.TarInfo(name)
            info.size = len(contents)
            archive.addfile(info, io.BytesIO(contents))
    return buffer.getvalue()


ARCHIVES = {source.archive: _cifar_archive(source) for source in (full_sets.CIFAR_10, full_sets.CIFAR_100)}


@pytest.mark.parametrize("folder", [".", "cifar10"])
def test_cifar10(data_folder: Path, folder: str) -> None:
    (data_folder / folder).mkdir(exist_ok=True)
    (data_folder / folder / "cifar-10-binary.tar.gz").write_bytes(ARCHIVES["cifar-10-binary.tar.gz"])
    train, test = data.cifar10("train", verify=False), data.cifar10("test", verify=False)
    assert (train.images.shape, test.images.shape) == ((35, 3, 32, 32), (7, 3, 32, 32))
    assert train.images.dtype == np.float32
    assert 0 <= train.images.min() < train.images.max() <= 1
    assert train.classes == CIFAR10
    assert len(train.mean) == len(train.std) == 3
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz.*SHA-256 c4a38c50a1bc5f3a"):
        data.cifar10("train")


def test_cifar100_fine_and_coarse_labels(data_folder: Path) -> None:
    (data_folder / "cifar-100-binary.tar.gz").write_bytes(ARCHIVES["cifar-100-binary.tar.gz"])
    fine = data.cifar100("test", verify=False)
    coarse = data.cifar100("test", labels="coarse", verify=False)
    assert (len(fine.classes), len(coarse.classes)) == (100, 20)
    np.testing.assert_array_equal(fine.images, coarse.images)
    assert fine.labels.max() >= 20 > coarse.labels.max()
    with pytest.raises(ArgumentError, match="did you mean 'coarse'"):
        data.cifar100("test", labels="course")


def test_cifar_is_fetched_and_checked(data_folder: Path, fetched: list[str]) -> None:
    digest = hashlib.sha256(ARCHIVES["cifar-10-binary.tar.gz"]).hexdigest()
    source = replace(full_sets.CIFAR_10, sha256=digest)
    for _ in range(2):
        assert len(full_sets.load_cifar_set(source, "train", CIFAR10, 0)) == 35
    assert fetched == ["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"]
    with pytest.raises(DataError, match="SHA-256 58a81ae192c23a4b"):
        data.cifar100("train")


def test_class_names_are_complete() -> None:
    assert (len(CIFAR10), len(CIFAR100_COARSE), len(CIFAR100_FINE)) == (10, 20, 100)
    assert list(CIFAR100_FINE) == sorted(set(CIFAR100_FINE))
    assert list(CIFAR100_COARSE) == sorted(set(CIFAR100_COARSE))


@pytest.mark.parametrize("source", [full_sets.MNIST, full_sets.FASHION_MNIST])
def test_digests_are_digests(source: full_sets.IdxSet) -> None:
    assert sorted(source.sha256) == sorted(PARTS)
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in source.sha256.values())
