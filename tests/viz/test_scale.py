"""Colours for numbers: even steps, also for colour-blind eyes, and text that can be read on all of them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tinygrad_bn.viz.scale import contrast, diverging, sequential, text_on

GROUNDS = ("light", "dark")

# From linear sRGB to cone responses and back, with the missing cone's response replaced: Viénot, Brettel & Mollon 1999.
_PROTANOPIA = np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]])
_DEUTERANOPIA = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])


def linear(colour: str) -> np.ndarray:
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def oklab(rgb: np.ndarray) -> np.ndarray:
    """Oklab from linear sRGB, by the matrices in the direction that the package does not need (Ottosson 2020)."""
    to_cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    to_lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return to_lab @ np.cbrt(to_cones @ np.clip(rgb, 0, 1))


SCALES = {
    f"{scale.__name__} {ground}": [scale(position, ground) for position in positions]
    for ground in GROUNDS
    for scale, positions in ((sequential, np.linspace(0, 1, 21)), (diverging, np.linspace(-1, 1, 21)))
}


@pytest.mark.parametrize("name", SCALES)
def test_equal_steps_look_equal(name: str) -> None:
    labs = [oklab(linear(colour)) for colour in SCALES[name]]
    steps = [float(np.linalg.norm(b - a)) for a, b in pairwise(labs)]
    halves = [steps] if "sequential" in name else [steps[:10], steps[10:]]
    assert all(max(half) < 1.25 * min(half) for half in halves)


@pytest.mark.parametrize("name", SCALES)
@pytest.mark.parametrize("eyes", [_PROTANOPIA, _DEUTERANOPIA], ids=["protanopia", "deuteranopia"])
def test_colour_blind_eyes_see_the_same_order(name: str, eyes: np.ndarray) -> None:
    labs = np.array([oklab(eyes @ linear(colour)) for colour in SCALES[name]])
    lightness = labs[:, 0]
    halves = [lightness] if "sequential" in name else [lightness[:11], lightness[10:]]
    assert all(np.all(np.diff(half) > 0) or np.all(np.diff(half) < 0) for half in halves)
    assert np.linalg.norm(labs[-1] - labs[0]) > 0.15  # the two ends of a diverging scale are equally light


@pytest.mark.parametrize("name", SCALES)
def test_text_can_be_read_on_every_colour(name: str) -> None:
    assert min(contrast(text_on(colour), colour) for colour in SCALES[name]) >= 4.5


def test_contrast_is_that_of_the_guidelines() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


def test_positions_beyond_the_ends_are_the_ends() -> None:
    assert sequential(-1) == sequential(0) != sequential(1) == sequential(7)
    assert diverging(-3) == diverging(-1) != diverging(1) == diverging(3)
    assert diverging(0) == diverging(-0.0)
    assert sequential(0, "dark") == sequential(1, "light")
