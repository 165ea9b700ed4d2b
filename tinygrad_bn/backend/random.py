"""Random numbers, drawn on the host for every device.

A seed therefore means the same initial weights, batch orders and dropout masks on the CPU and on a GPU.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError, explain
from .capturing import refuse_drawing
from .forks import renew_in_children


class Generator:
    """A seeded stream of random numbers (NumPy's PCG64) whose state can be saved and restored.

    >>> a, b = Generator(7), Generator(7)
    >>> bool((a.normal((2, 3)) == b.normal((2, 3))).all())
    True
    """

    def __init__(self, seed: int | None = None) -> None:
        self.manual_seed(seed)

    def manual_seed(self, seed: int | None) -> None:
        """Start the stream again from a seed; None takes one from the operating system."""
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0):
            raise ArgumentError(explain("manual_seed", "a seed that is an integer >= 0", repr(seed)))
        refuse_drawing("set the seed before the call")
        self._numpy = np.random.Generator(np.random.PCG64(seed))

    def normal(self, shape: tuple[int, ...], mean: float = 0.0, std: float = 1.0) -> np.ndarray:
        """Draw float64 values from the normal distribution."""
        refuse_drawing()
        return self._numpy.normal(mean, std, shape)

    def uniform(self, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """Draw float64 values uniformly from [low, high)."""
        refuse_drawing()
        return self._numpy.uniform(low, high, shape)

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> np.ndarray:
        """Draw int64 values uniformly from low to high - 1."""
        refuse_drawing()
        return self._numpy.integers(low, high, shape)

    def permutation(self, n: int) -> np.ndarray:
        """Return the numbers 0 .. n-1 in a random order."""
        refuse_drawing()
        return self._numpy.permutation(n)

    def get_state(self) -> dict[str, Any]:
        """Return the stream's state as plain Python values (they fit into JSON)."""
        return dict(self._numpy.bit_generator.state)

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        refuse_drawing("set the state before the call")
        try:
            self._numpy.bit_generator.state = state
        except (TypeError, ValueError, KeyError) as error:
            raise ArgumentError(
                explain("Generator.set_state", "a state returned by get_state()", repr(state)[:80])
            ) from error

    def restart(self) -> None:
        """Go on with a new lock, as a forked child must: another thread of its parent may have held the old one."""
        bits: Any = np.random.PCG64()
        bits.state = self._numpy.bit_generator.state
        self._numpy = np.random.Generator(bits)


default_generator = Generator(0)
"""The stream that initialisers, dropout and every other draw without a generator of its own use."""

renew_in_children(default_generator.restart)


def manual_seed(seed: int) -> Generator:
    """Make everything drawn afterwards from the default generator repeat; returns that generator."""
    default_generator.manual_seed(seed)
    return default_generator
