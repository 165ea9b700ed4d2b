from __future__ import annotations

import numpy as np

from tinygrad_bn.data.order import random_order


def test_is_a_permutation_that_belongs_to_its_key() -> None:
    order = random_order(1000, 3, 4)
    assert sorted(order.tolist()) == list(range(1000))
    np.testing.assert_array_equal(order, random_order(1000, 3, 4))
    for key in [(4, 3), (3,), (3, 4, 1), (3, 5)]:
        assert not np.array_equal(order, random_order(1000, *key))


def test_never_changes() -> None:
    """Pinned: another order here means other results from every published seed."""
    assert random_order(10, 1, 0, 0).tolist() == [2, 0, 1, 4, 5, 6, 7, 8, 3, 9]


def test_every_place_is_as_likely() -> None:
    counts = np.zeros((5, 5), dtype=int)
    for seed in range(2000):
        counts[np.arange(5), random_order(5, seed)] += 1
    # 400 expected, standard deviation 18.
    assert np.abs(counts - 400).max() < 90


def test_empty() -> None:
    assert random_order(0, 1).tolist() == []
