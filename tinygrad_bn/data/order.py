"""Random orders that stay the same for good: on every machine, and with every later NumPy."""

from __future__ import annotations

import numpy as np

# What random numbers are for is the first word of their key, so that two purposes never share a stream. The
# words are not 0, and the other words of one purpose always number the same: SeedSequence drops zeros at the
# end.
SHUFFLING, AUGMENTATION, SPLITTING = 1, 2, 3


def random_order(count: int, *key: int) -> np.ndarray:
    """Return 0 .. count-1 in the random order that belongs to a key of integers >= 0.

    NumPy promises that the raw numbers of a bit generator never change, but not that `permutation` makes the
    same use of them (NEP 19); so the raw numbers are sorted here.

    >>> random_order(6, SHUFFLING, 0, 0).tolist()
    [2, 0, 1, 4, 5, 3]
    """
    numbers = np.random.Philox(np.random.SeedSequence(key)).random_raw(count)
    return np.argsort(numbers, kind="stable")
