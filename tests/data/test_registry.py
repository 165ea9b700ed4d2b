from __future__ import annotations

import pytest

from tinygrad_bn import data
from tinygrad_bn.errors import ArgumentError


def test_every_name_of_the_list_loads_or_looks_for_its_files() -> None:
    for name in ("fashion_mini", "digits", "synthetic"):
        assert data.load(name, "test").name == f"{name}/test"
    for name in ("mnist", "fashion_mnist", "cifar10", "cifar100"):
        with pytest.raises(AssertionError, match="tried to fetch"):
            data.load(name, "test")
    assert set(data.LOADERS) == {
        "fashion_mini",
        "digits",
        "synthetic",
        "mnist",
        "fashion_mnist",
        "cifar10",
        "cifar100",
    }


def test_training_images_are_the_default() -> None:
    assert data.load("digits").name == "digits/train"


def test_unknown_name_is_told_the_list_and_the_nearest() -> None:
    with pytest.raises(
        ArgumentError, match=r"fashion_mini, digits, mnist.*got 'fashion-mini'; did you mean 'fashion_mini'"
    ):
        data.load("fashion-mini")
    for name in (None, ["mnist"], 3):
        with pytest.raises(ArgumentError):
            data.load(name)  # type: ignore[arg-type]


def test_unknown_split() -> None:
    with pytest.raises(ArgumentError, match="split"):
        data.load("digits", "val")
