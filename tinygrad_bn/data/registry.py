"""Datasets by name."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import unknown_choice
from .dataset import Dataset
from .embedded import digits, fashion_mini
from .full_sets import cifar10, cifar100, fashion_mnist, mnist
from .synthetic import synthetic

LOADERS: dict[str, Callable[[str], Dataset]] = {
    "fashion_mini": fashion_mini,
    "digits": digits,
    "mnist": mnist,
    "fashion_mnist": fashion_mnist,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "synthetic": synthetic,
}
"""Every dataset that can be asked for by name; each takes the split, "train" or "test"."""


def load(name: str, split: str = "train") -> Dataset:
    """Return a dataset by its name.

    Args:
        name: fashion_mini, digits, mnist, fashion_mnist, cifar10, cifar100 or synthetic.
        split: "train" or "test".

    Raises:
        ArgumentError: there is no such dataset or split.
        DataError: its files are damaged, or missing and cannot be fetched.

    >>> load("synthetic", "test")
    Dataset('synthetic/test': 200 images of 1x8x8, 4 classes)
    """
    if not isinstance(name, str) or name not in LOADERS:
        raise unknown_choice("data.load", "name", name, LOADERS)
    return LOADERS[name](split)
