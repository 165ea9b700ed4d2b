"""The page's colours can be told from the paper, in both schemes (WCAG 2.2: 1.4.3 and 1.4.11)."""

from __future__ import annotations

import itertools

import pytest

from tinygrad_bn.lab import figures
from tinygrad_bn.lab.report.assets import palette

ORDERS = [f"order-{number}" for number in range(len(figures.COLOURS))]


def contrast(first: str, second: str) -> float:
    def luminance(colour: str) -> float:
        values = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # the well-known grey that just fails


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("behind", ["paper", "panel"])
def test_text_has_a_contrast_of_at_least_four_and_a_half(scheme: str, behind: str) -> None:
    colours = palette(scheme)
    for name in ("ink", "soft", "faint", "link", "alarm"):
        assert contrast(colours[name], colours[behind]) >= 4.5, name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_have_a_contrast_of_at_least_three(scheme: str) -> None:
    colours = palette(scheme)
    for name in (*ORDERS, "faint"):
        assert contrast(colours[name], colours["paper"]) >= 3.0, name


def test_files_have_the_contrast_of_the_page() -> None:
    assert [palette("light")[name] for name in ORDERS] == list(figures.COLOURS)
    for colour in (*figures.COLOURS, figures.INK, figures.FAINT):
        assert contrast(colour, "#ffffff") >= 3.0, colour
    # The page finds these colours in the drawing and puts its own there.
    assert len({*figures.COLOURS, figures.INK, figures.FAINT}) == len(figures.COLOURS) + 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_orders_differ_from_each_other(scheme: str) -> None:
    colours = palette(scheme)
    for first, second in itertools.combinations(ORDERS, 2):
        channels = [[int(colours[name][place : place + 2], 16) for place in (1, 3, 5)] for name in (first, second)]
        assert sum(abs(a - b) for a, b in zip(*channels, strict=True)) > 60, (first, second)
