"""Shapes, counts, memory and time as a person reads them."""

from __future__ import annotations

import math

from .records import Shape

_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"))


def shape_text(shape: Shape) -> str:
    """Write a shape.

    >>> shape_text((8, 3, 32, 32)), shape_text(())
    ('8×3×32×32', 'scalar')
    """
    return "×".join(map(str, shape)) or "scalar"


def flops_text(flops: float) -> str:
    """Write a number of floating-point operations.

    >>> flops_text(2_345_678), flops_text(12)
    ('2.35 MFLOPs', '12 FLOPs')
    """
    return f"{_scaled(flops)}FLOPs"


def bytes_text(size: float) -> str:
    """Write an amount of memory; 1 kB is 1000 bytes.

    >>> bytes_text(1_400_000), bytes_text(12)
    ('1.4 MB', '12 B')
    """
    return f"{_scaled(size)}B"


def seconds_text(seconds: float) -> str:
    """Write a duration.

    >>> seconds_text(0.00123), seconds_text(2.5e-5)
    ('1.23 ms', '25 µs')
    """
    return f"{_scaled(seconds)}s"


def number_text(number: float) -> str:
    """Write a measured number with three digits at most.

    >>> number_text(0.0), number_text(-0.12345), number_text(1234.5), number_text(1e-9), number_text(float("-inf"))
    ('0', '−0.123', '1230', '1e−9', '−∞')
    """
    if math.isnan(number):
        return "nan"
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    if number == 0:
        return "0"
    exponent = math.floor(math.log10(abs(number)))
    if -3 <= exponent < 5:
        rounded = f"{number:.3g}"
        shown = rounded if "e" not in rounded else f"{float(rounded):.0f}"
    else:
        mantissa, _, power = f"{number:.2e}".partition("e")
        shown = f"{float(mantissa):g}e{int(power)}"
    return shown.replace("-", "−")


def _scaled(number: float) -> str:
    """Return a number with three digits at most, a space, and the prefix of its unit."""
    if number == 0:
        return "0 "
    factor, prefix = next(((f, p) for f, p in _PREFIXES if float(f"{number:.3g}") >= f), _PREFIXES[-1])
    scaled = float(f"{number / factor:.3g}")
    return f"{scaled:g} {prefix}"
