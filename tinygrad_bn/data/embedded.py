"""The sets that come with the package and need no network: `fashion_mini` and `digits`.

`scripts/make_embedded_data.py` made the files. Each is an IDX file compressed with bzip2; its contents are
checked against a SHA-256 whenever it is read. The licences lie beside the files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .class_names import DIGITS, FASHION
from .dataset import Dataset
from .full_sets import check_split, labelled_images
from .idx import read_idx

FILES = Path(__file__).parent / "files"


@dataclass(frozen=True)
class EmbeddedSet:
    """A set of four files in the package, and the constants of its training images."""

    name: str
    classes: tuple[str, ...]
    full_scale: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sha256: dict[str, str]

    def path(self, part: str) -> Path:
        """Return the file of one part, such as "train-images"."""
        return FILES / self.file_name(part)

    def file_name(self, part: str) -> str:
        """Return the name of the file of one part."""
        return f"{self.name}-{part}.idx.bz2"


FASHION_MINI = EmbeddedSet(
    name="fashion_mini",
    classes=FASHION,
    full_scale=255,
    mean=(0.284848,),
    std=(0.352093,),
    sha256={
        "train-images": "07ee32e9cd0472da75bf1d4236771873b932746a83029ef8e971656307e1586d",
        "train-labels": "8649c4a8ea000cbe57cdb7c6118d43fc6aa88d8269112f072619d04c4438c359",
        "test-images": "bf3c78fb715bede924135574b86878a4c6075192a20528793c333379ce9943e8",
        "test-labels": "b1822c5413d70be4b474376a93ccb87db4cba217cc413e84e34ea9c080b6edee",
    },
)

DIGITS_8X8 = EmbeddedSet(
    name="digits",
    classes=DIGITS,
    full_scale=16,
    mean=(0.305859,),
    std=(0.376514,),
    sha256={
        "train-images": "eba844157edf741eaf446e196c78dc516af8920c97fc58633dbd2847e73addbe",
        "train-labels": "8de78241d76277ec56451471afa423ec4044f03acc9acb9f96eddd0671cae6d2",
        "test-images": "391dbfa03670fb69715c3ac980bda7d218e99efeedd65feb092b3a5967d92069",
        "test-labels": "2f4c1823a7936f8f428d95d7407b85cb59fd20896acc56642c8f9a87ff1b9834",
    },
)


def fashion_mini(split: str = "train") -> Dataset:
    """Return a small Fashion-MNIST: 6,000 training or 2,000 test images of clothes, (1, 28, 28).

    Drawn with the same number from each of the ten classes, training images from the original training set
    and test images from the original test set. Copyright 2017 Zalando SE, MIT licence. Source: Xiao, Rasul,
    Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms", 2017.

    Args:
        split: "train" or "test".

    >>> fashion_mini("test")
    Dataset('fashion_mini/test': 2000 images of 1x28x28, 10 classes)
    """
    return _load(FASHION_MINI, split)


def digits(split: str = "train") -> Dataset:
    """Return the 8x8 handwritten digits of UCI and scikit-learn: 1,437 training or 360 test images.

    Images are (1, 8, 8). The 1,797 images are one set in the original; the split here is fixed and gives both
    parts the same share of every class. Source: Alpaydin, Kaynak, "Optical Recognition of Handwritten
    Digits", UCI Machine Learning Repository, 1998, licence CC BY 4.0.

    Args:
        split: "train" or "test".

    >>> digits("train")
    Dataset('digits/train': 1437 images of 1x8x8, 10 classes)
    """
    return _load(DIGITS_8X8, split)


def _load(source: EmbeddedSet, split: str) -> Dataset:
    check_split(source.name, split)
    images, labels = (
        (source.path(part), read_idx(source.path(part), source.sha256[part]))
        for part in (f"{split}-images", f"{split}-labels")
    )
    return labelled_images(
        source.name, split, images, labels, source.classes, (source.mean, source.std), source.full_scale
    )
