"""Words about pairs."""

from __future__ import annotations

import pytest

from tinygrad_bn.lab.experiments.claims import better, difference_text, left_open
from tinygrad_bn.lab.statistics import PairedComparison, compare_pairs

pytest.importorskip("scipy")


def pair_of(*differences: float) -> PairedComparison:
    first = dict.fromkeys(range(len(differences)), 80.0)
    return compare_pairs("convention", "swap", first, {seed: 80.0 + d for seed, d in enumerate(differences)})


def test_only_a_called_difference_has_a_better_order() -> None:
    assert better(pair_of(1.0, 1.2, 0.8, 1.1, 0.9, 1.3)) == "swap"
    assert better(pair_of(-1.0, -1.2, -0.8, -1.1, -0.9, -1.3)) == "convention"
    assert better(pair_of(1.0, -1.2, 0.8, -1.1, 0.9, -1.3)) == ""


def test_what_is_left_open_is_the_far_end_of_the_interval() -> None:
    pair = pair_of(1.0, -1.2, 0.8, -1.1, 0.9, -1.3)
    assert pair.interval is not None
    assert f"up to {max(map(abs, pair.interval)):.2f} points open." in left_open(pair)
    assert "excludes 0" not in left_open(pair)


def test_an_interval_alone_does_not_decide() -> None:
    pair = pair_of(1.0, 1.2, 0.8, 1.1)
    assert pair.interval_excludes_zero
    assert not pair.called
    assert "It excludes 0, but the test does not reach p < .05" in left_open(pair)


def test_one_pair_and_none() -> None:
    assert "With 1 pair there is no interval" in left_open(pair_of(1.0))
    assert difference_text(pair_of(1.0)) == "+1.00 points, p = 1.000"
    assert difference_text(pair_of()) == "no pair has finished"
