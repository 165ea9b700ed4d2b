"""Which algorithm computes a convolution: the rule on its shape, and the environment's word."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

pytest.importorskip("numba")

from tinygrad_bn.backend import get_device
from tinygrad_bn.errors import ArgumentError
from tinygrad_bn.kernels.cpu import CpuKernels
from tinygrad_bn.kernels.cpu.algorithm import ALGORITHMS, VARIABLE, winograd_tile

USUAL: dict[str, Any] = {
    "algorithm": None,
    "kernel": (3, 3),
    "stride": (1, 1),
    "dilation": (1, 1),
    "channels": (64, 64),
    "images": 64,
    "out_size": (16, 16),
}


@pytest.mark.parametrize(
    ("case", "tile"),
    [
        ({}, 4),
        ({"out_size": (112, 112), "images": 1}, 4),
        ({"out_size": (4, 4)}, 4),
        ({"out_size": (3, 3)}, 4),
        ({"out_size": (2, 2)}, 2),
        ({"out_size": (2, 30)}, 2),
        ({"out_size": (5, 5)}, 2),
        ({"out_size": (4, 4), "images": 1, "channels": (256, 256)}, 2),
        ({"out_size": (4, 4), "images": 8, "channels": (512, 512)}, 4),
        ({"channels": (1, 64)}, 0),
        ({"channels": (3, 512)}, 0),
        ({"channels": (7, 7)}, 0),
        ({"channels": (8, 8)}, 4),
        ({"channels": (8, 8), "images": 1, "out_size": (20, 20)}, 0),
        ({"images": 0}, 0),
        ({"out_size": (0, 16)}, 0),
        ({"stride": (2, 2)}, 0),
        ({"stride": (1, 2)}, 0),
        ({"dilation": (2, 1)}, 0),
        ({"kernel": (1, 1)}, 0),
        ({"kernel": (5, 5)}, 0),
        ({"kernel": (3, 1)}, 0),
        ({"kernel": (2, 3)}, 0),
    ],
    ids=repr,
)
def test_the_rule(case: dict[str, Any], tile: int) -> None:
    assert winograd_tile(**USUAL | case) == tile


def test_the_order_of_the_channels_and_of_the_axes_does_not_matter() -> None:
    for a, b, images, height, width in itertools.product((4, 8, 512), (8, 64), (1, 7), (1, 4, 6), (2, 13)):
        case = USUAL | {"images": images}
        tiles = {
            winograd_tile(**case | {"channels": channels, "out_size": size})
            for channels in ((a, b), (b, a))
            for size in ((height, width), (width, height))
        }
        assert len(tiles) == 1


@pytest.mark.parametrize(("name", "tile"), ALGORITHMS.items())
def test_a_forced_algorithm_computes_whatever_it_can(name: str, tile: int) -> None:
    for case in ({}, {"channels": (1, 1), "images": 1, "out_size": (1, 1)}, {"out_size": (2, 2)}):
        assert winograd_tile(**USUAL | case | {"algorithm": name}) == tile
    for case in ({"kernel": (5, 5)}, {"stride": (2, 1)}, {"dilation": (1, 2)}):
        assert winograd_tile(**USUAL | case | {"algorithm": name}) == 0


@pytest.mark.parametrize(("value", "expected"), [(None, None), ("", None), *((name, name) for name in ALGORITHMS)])
def test_the_environment_chooses(value: str | None, expected: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(VARIABLE, value)
    assert CpuKernels(get_device("cpu")).algorithm == expected


@pytest.mark.parametrize("value", ["winograd", "Direct", "winograd-6x6", " direct"])
def test_an_unknown_algorithm_is_refused_when_the_kernels_are_made(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_BN_CONVOLUTION", value)
    with pytest.raises(ArgumentError, match=r"^in TINYGRAD_BN_CONVOLUTION: expected") as caught:
        CpuKernels(get_device("cpu"))
    assert f"one of {', '.join(ALGORITHMS)}, got {value!r}" in str(caught.value)
