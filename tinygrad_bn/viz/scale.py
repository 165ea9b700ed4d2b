"""Colours for numbers, so that equal steps look equal, also to colour-blind readers.

Both scales have constant speed in Oklab (Björn Ottosson 2020, "A perceptual color space for image processing"), in
which equal distances are equally visible differences. The sequential one is a helix of constant chroma from pale yellow
through teal to dark blue, the diverging one two straight lines from the neutral colour of 0 to blue and to orange.
Lightness changes evenly along both, and red-green blindness leaves it intact, and the axis between yellow and blue.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Lab = tuple[float, float, float]

_SMALLEST, _LARGEST = (0.955, 105.0), (0.33, 268.0)
_CHROMA = 0.088
"""Oklab's lightness and hue in degrees of the smallest and the largest number; on dark ground they change places."""

_DIVERGING: dict[str, tuple[Lab, Lab, Lab]] = {
    "light": ((0.52, -0.035, -0.135), (0.985, 0.0, 0.0), (0.52, 0.105, 0.08)),
    "dark": ((0.76, -0.045, -0.1), (0.23, 0.0, -0.01), (0.76, 0.095, 0.085)),
}
"""By theme, Oklab of the most negative number, of 0, and of the most positive."""

_TEXTS = ("#050505", "#fefefe")


def sequential(position: float, theme: str = "light") -> str:
    """Return the colour of a position from 0 (the smallest number) to 1."""
    position = min(max(position, 0.0), 1.0)
    position = position if theme == "light" else 1.0 - position
    lightness, hue = (s + (e - s) * position for s, e in zip(_SMALLEST, _LARGEST, strict=True))
    angle = math.radians(hue)
    return _hexadecimal((lightness, _CHROMA * math.cos(angle), _CHROMA * math.sin(angle)))


def diverging(position: float, theme: str = "light") -> str:
    """Return the colour of a position from -1 over 0 to 1."""
    negative, zero, positive = _DIVERGING[theme]
    end, share = positive if position > 0 else negative, min(abs(position), 1.0)
    lightness, a, b = (s + (e - s) * share for s, e in zip(zero, end, strict=True))
    return _hexadecimal((lightness, a, b))


def text_on(fill: str) -> str:
    """Return the colour of text, nearly black or nearly white, that is easier to read on a ground."""
    return max(_TEXTS, key=lambda text: contrast(text, fill))


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of two colours, from 1 to 21 (WCAG 2.2); text should have 4.5 at least."""
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _hexadecimal(lab: Lab) -> str:
    """Return #rrggbb; matrices from Ottosson 2020."""
    lightness, a, b = lab
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * _to_srgb(channel)):02x}" for channel in linear)


def _to_srgb(linear: float) -> float:
    linear = min(max(linear, 0.0), 1.0)
    return float(12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055)


def _from_srgb(channel: float) -> float:
    return float(channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4)


def _luminance(colour: str) -> float:
    channels: Sequence[float] = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = map(_from_srgb, channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
