"""The full MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100: found on this machine, else fetched."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ..errors import DataError, explain, unknown_choice
from .cifar import read_cifar
from .class_names import CIFAR10, CIFAR100_COARSE, CIFAR100_FINE, DIGITS, FASHION
from .dataset import Dataset
from .download import download
from .folders import download_folder, find_file
from .idx import read_idx
from .payload import check_sha256, file_sha256

SPLITS = ("train", "test")


@dataclass(frozen=True)
class IdxSet:
    """Four IDX files: where they are, what must be in them, and the constants of the training set."""

    name: str
    folders: tuple[str, ...]
    addresses: tuple[str, ...]
    sha256: dict[str, str]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files, uncompressed."""
        return tuple(self.sha256)

    def find(self, file: str) -> Path | None:
        """Return where one of the files is on this machine, plain or compressed."""
        return find_file(self.folders, (file, f"{file}.gz"))


@dataclass(frozen=True)
class CifarSet:
    """A CIFAR archive: where it is, what it must be, and the constants of the training set."""

    name: str
    archive: str
    sha256: str
    members: dict[str, tuple[str, ...]]
    label_limits: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """The name of the archive."""
        return (self.archive,)

    def find(self, file: str) -> Path | None:
        """Return where the archive is on this machine."""
        return find_file((self.name, "."), (file,))


# The digests are those of the *decompressed* files, so that files which somebody compressed again are
# accepted. Not computed by this project: several others that load MNIST pin the same ones. The constants are
# those in common use (PyTorch's MNIST example).
MNIST = IdxSet(
    name="mnist",
    folders=("mnist", "MNIST/raw", "."),
    addresses=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    sha256={
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    classes=DIGITS,
    mean=(0.1307,),
    std=(0.3081,),
)

# Digests and constants computed from the files of Debian's package dataset-fashion-mnist.
FASHION_MNIST = IdxSet(
    name="fashion_mnist",
    folders=("fashion_mnist", "fashion-mnist", "FashionMNIST/raw", "."),
    addresses=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    sha256={
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
    classes=FASHION,
    mean=(0.2860,),
    std=(0.3530,),
)

# Not computed by this project: the archives' SHA-256 as GoMLX, MLDatasets.jl and torchvision-ruby pin them.
# The MD5 that the authors' page publishes: CIFAR-10 c32a1d4ab5d03f1284b67883e8d87530, CIFAR-100
# 03b5dce01913d631647c71ecec9e9cb8. The normalisation constants are those in common use for these training
# sets.
CIFAR_10 = CifarSet(
    name="cifar10",
    archive="cifar-10-binary.tar.gz",
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    members={
        "train": tuple(f"cifar-10-batches-bin/data_batch_{number}.bin" for number in range(1, 6)),
        "test": ("cifar-10-batches-bin/test_batch.bin",),
    },
    label_limits=(10,),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
)
CIFAR_100 = CifarSet(
    name="cifar100",
    archive="cifar-100-binary.tar.gz",
    sha256="58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    members={"train": ("cifar-100-binary/train.bin",), "test": ("cifar-100-binary/test.bin",)},
    label_limits=(20, 100),
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
)
FULL_SETS: dict[str, IdxSet | CifarSet] = {
    source.name: source for source in (MNIST, FASHION_MNIST, CIFAR_10, CIFAR_100)
}
CIFAR_ADDRESS = "https://www.cs.toronto.edu/~kriz/"


def mnist(split: str = "train", *, verify: bool = True) -> Dataset:
    """Return MNIST: 60,000 training or 10,000 test images of handwritten digits, (1, 28, 28).

    The four IDX files, plain or .gz, are looked for in `mnist/`, `MNIST/raw/` and directly in the folder that
    TINYGRAD_BN_DATA names and in the user's cache folder; what is missing is fetched.

    Args:
        split: "train" or "test".
        verify: refuse files whose contents are not those of the original; False accepts any files of this
            layout.

    Raises:
        DataError: a file is damaged, is not the original, or is missing and cannot be fetched.
    """
    return load_idx_set(MNIST, split, verify)


def fashion_mnist(split: str = "train", *, verify: bool = True) -> Dataset:
    """Return Fashion-MNIST: 60,000 training or 10,000 test images of clothes, (1, 28, 28).

    The four IDX files, plain or .gz, are looked for in `fashion_mnist/`, `fashion-mnist/`,
    `FashionMNIST/raw/` and directly in the folder that TINYGRAD_BN_DATA names, where Debian's package
    `dataset-fashion-mnist` installs them, and in the user's cache folder; what is missing is fetched.

    Args:
        split: "train" or "test".
        verify: refuse files whose contents are not those of the original; False accepts any files of this
            layout.

    Raises:
        DataError: a file is damaged, is not the original, or is missing and cannot be fetched.
    """
    return load_idx_set(FASHION_MNIST, split, verify)


def cifar10(split: str = "train", *, verify: bool = True) -> Dataset:
    """Return CIFAR-10: 50,000 training or 10,000 test colour photographs, (3, 32, 32), of ten classes.

    The archive `cifar-10-binary.tar.gz` is looked for in `cifar10/` and directly in the folder that
    TINYGRAD_BN_DATA names and in the user's cache folder; otherwise it is fetched (170 MB). It is read
    without being unpacked.

    Args:
        split: "train" or "test".
        verify: refuse an archive that is not the authors' own; False accepts any archive of this layout.

    Raises:
        DataError: the archive is damaged, is not the original, or is missing and cannot be fetched.
    """
    return load_cifar_set(CIFAR_10, split, CIFAR10, 0, verify)


def cifar100(split: str = "train", *, labels: str = "fine", verify: bool = True) -> Dataset:
    """Return CIFAR-100: 50,000 training or 10,000 test colour photographs, (3, 32, 32).

    The archive `cifar-100-binary.tar.gz` is looked for in `cifar100/` and directly in the folder that
    TINYGRAD_BN_DATA names and in the user's cache folder; otherwise it is fetched (169 MB). It is read
    without being unpacked.

    Args:
        split: "train" or "test".
        labels: "fine" for the 100 classes, "coarse" for the 20 superclasses.
        verify: refuse an archive that is not the authors' own; False accepts any archive of this layout.

    Raises:
        DataError: the archive is damaged, is not the original, or is missing and cannot be fetched.
    """
    if labels not in ("fine", "coarse"):
        raise unknown_choice("cifar100", "labels", labels, ("fine", "coarse"))
    if labels == "coarse":
        return load_cifar_set(CIFAR_100, split, CIFAR100_COARSE, 0, verify)
    return load_cifar_set(CIFAR_100, split, CIFAR100_FINE, 1, verify)


def locate(name: str) -> Path | None:
    """Return the folder in which a full set lies on this machine, or None where it would have to be fetched.

    Raises:
        ArgumentError: it is not the name of a full set.
    """
    if name not in FULL_SETS:
        raise unknown_choice("data.locate", "name", name, FULL_SETS)
    source = FULL_SETS[name]
    paths = [source.find(file) for file in source.files]
    return paths[0].parent if paths[0] is not None and None not in paths else None


def load_idx_set(source: IdxSet, split: str, verify: bool = True) -> Dataset:
    """Read (and fetch, where needed) one split of a set of IDX files."""
    prefix = {"train": "train", "test": "t10k"}[check_split(source.name, split)]
    images_path, images = _read_idx_file(source, f"{prefix}-images-idx3-ubyte", verify)
    labels_path, labels = _read_idx_file(source, f"{prefix}-labels-idx1-ubyte", verify)
    return labelled_images(
        source.name,
        split,
        (images_path, images),
        (labels_path, labels),
        source.classes,
        (source.mean, source.std),
    )


def load_cifar_set(source: CifarSet, split: str, classes: tuple[str, ...], column: int, verify: bool = True) -> Dataset:
    """Read (and fetch, where needed) one split of a CIFAR archive, labelled by one of its label bytes."""
    members = source.members[check_split(source.name, split)]
    path = source.find(source.archive)
    check = partial(_check_archive, source)
    if path is None:
        path = download_folder() / source.name / source.archive
        download((CIFAR_ADDRESS + source.archive,), path, check)
    elif verify:
        check(path)
    images, labels = read_cifar(path, members, source.label_limits)
    return Dataset(
        images, labels[:, column], classes, f"{source.name}/{split}", normalization=(source.mean, source.std)
    )


def labelled_images(
    name: str,
    split: str,
    images: tuple[Path, np.ndarray],
    labels: tuple[Path, np.ndarray],
    classes: tuple[str, ...],
    normalization: tuple[tuple[float, ...], tuple[float, ...]],
    full_scale: int = 255,
) -> Dataset:
    """Make a Dataset of grey images (N, H, W) and labels (N,) read from two files, after checking them."""
    images_path, pixels = images
    labels_path, values = labels
    if pixels.ndim != 3 or not pixels.size:
        raise DataError(explain(name, f"images (N, H, W) in {images_path}", f"shape {pixels.shape}"))
    if values.shape != pixels.shape[:1]:
        raise DataError(explain(name, f"{len(pixels)} labels in {labels_path}", f"shape {values.shape}"))
    if values.max() >= len(classes):
        raise DataError(explain(name, f"labels below {len(classes)} in {labels_path}", f"{values.max()}"))
    return Dataset(
        pixels[:, None],
        values,
        classes,
        f"{name}/{split}",
        full_scale=full_scale,
        normalization=normalization,
    )


def check_split(where: str, split: str) -> str:
    """Return the name of a split after checking that there is one."""
    if split not in SPLITS:
        raise unknown_choice(where, "split", split, SPLITS)
    return split


def _read_idx_file(source: IdxSet, name: str, verify: bool) -> tuple[Path, np.ndarray]:
    digest = source.sha256[name]
    path = source.find(name)
    if path is None:
        path = download_folder() / source.name / f"{name}.gz"
        urls = [f"{address}{name}.gz" for address in source.addresses]
        download(urls, path, lambda file: _check_idx(file, digest))
    return path, read_idx(path, digest if verify else None)


def _check_idx(path: Path, digest: str) -> None:
    read_idx(path, digest)


def _check_archive(source: CifarSet, path: Path) -> None:
    check_sha256(source.name, path, "the archive", source.sha256, file_sha256(path))
