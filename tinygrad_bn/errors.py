"""Every error this package raises, and the one sentence they are all built from.

An error says: in *where*: expected *this*, got *that*; and, where there is one, the remedy.
Each class also inherits the built-in exception a Python programmer would expect to catch.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TinygradBNError(Exception):
    """Base class of all errors raised by tinygrad_bn."""


class ArgumentError(TinygradBNError, ValueError):
    """An argument has a value that the function cannot work with."""


class ShapeError(ArgumentError):
    """A shape, axis or length does not fit."""


class OutOfBoundsError(ArgumentError, IndexError):
    """An index names an element that does not exist, or cannot be an index."""


class DTypeError(TinygradBNError, TypeError):
    """A dtype or Python type does not fit."""


class DeviceError(TinygradBNError, RuntimeError):
    """A device cannot be used, or operands live on different devices."""


class GraphError(TinygradBNError, RuntimeError):
    """The autograd graph was used in a way that has no meaning."""


class MemoryLayoutError(TinygradBNError, BufferError):
    """Memory cannot be given to another library as it lies."""


class CaptureError(TinygradBNError, RuntimeError):
    """A captured step does what a recording on the device cannot repeat."""


class DataError(TinygradBNError, ValueError):
    """A data file is missing, truncated, corrupt, or not what it claims to be."""


class StateError(TinygradBNError, ValueError):
    """A saved state does not fit the object that it is loaded into."""


class MissingDependencyError(TinygradBNError, ImportError):
    """An optional package is needed and not installed; the message names the extra."""


def explain(where: str, expected: str, got: str, remedy: str | None = None) -> str:
    """Build the message that every error of this package carries.

    >>> explain("conv2d", "input of 4 dimensions (N, C, H, W)", "shape (3, 8, 8)", "add a batch axis")
    'in conv2d: expected input of 4 dimensions (N, C, H, W), got shape (3, 8, 8); add a batch axis'
    """
    message = f"in {where}: expected {expected}, got {got}"
    return f"{message}; {remedy}" if remedy else message


def unknown_choice(where: str, what: str, value: object, valid: Iterable[str]) -> ArgumentError:
    """Build the error for a word that is not in a list of valid words; suggests the nearest one."""
    words = list(valid)
    close = difflib.get_close_matches(str(value), words, n=1)
    remedy = f"did you mean {close[0]!r}?" if close else None
    return ArgumentError(explain(where, f"{what} to be one of {', '.join(words)}", repr(value), remedy))


def missing_dependency(where: str, package: str, extra: str) -> MissingDependencyError:
    """Build the error for an optional package that is not installed."""
    return MissingDependencyError(
        explain(
            where,
            f"the package {package!r} to be installed",
            "no such package",
            f"install it with: pip install 'tinygrad_bn[{extra}]'",
        )
    )
