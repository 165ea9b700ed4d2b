"""Datasets and the loader that turns them into batches.

`fashion_mini` and `digits` come with the package; `mnist`, `fashion_mnist`, `cifar10` and `cifar100` are
found on this machine or fetched; `synthetic`, `bars` and `gaussian_blobs` are made up. All images come out as
float32 NCHW in [0, 1], labels as int64.
"""

from __future__ import annotations

from .cifar import read_cifar
from .dataset import Dataset
from .embedded import digits, fashion_mini
from .full_sets import cifar10, cifar100, fashion_mnist, locate, mnist
from .idx import read_idx
from .loader import DataLoader
from .registry import LOADERS, load
from .synthetic import bars, gaussian_blobs, synthetic
from .transforms import Compose, Normalize, RandomCrop, RandomHorizontalFlip, Transform

__all__ = [
    "LOADERS",
    "Compose",
    "DataLoader",
    "Dataset",
    "Normalize",
    "RandomCrop",
    "RandomHorizontalFlip",
    "Transform",
    "bars",
    "cifar10",
    "cifar100",
    "digits",
    "fashion_mini",
    "fashion_mnist",
    "gaussian_blobs",
    "load",
    "locate",
    "mnist",
    "read_cifar",
    "read_idx",
    "synthetic",
]
