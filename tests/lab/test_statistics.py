"""The statistics against brute-force enumeration, SciPy, and their degenerate cases."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from tinygrad_bn.errors import ArgumentError
from tinygrad_bn.lab import statistics

stats = pytest.importorskip("scipy.stats")


def enumerated_p(differences: list[float]) -> float:
    """Share of all sign patterns whose mean is at least as far from 0 as the observed one."""
    observed = abs(np.mean(differences))
    patterns = list(itertools.product((-1.0, 1.0), repeat=len(differences)))
    means = np.abs(np.array(patterns) @ np.array(differences) / len(differences))
    return float(np.mean(means >= observed - 1e-12))


@pytest.mark.parametrize("pairs", [1, 2, 3, 5, 6, 9])
def test_sign_flip_is_the_enumeration_of_all_sign_patterns(pairs: int) -> None:
    for seed in range(5):
        differences = list(np.random.default_rng(seed).normal(0.4, 1.0, pairs))
        p_value, exact = statistics.sign_flip_p_value(differences)
        assert exact
        assert p_value == pytest.approx(enumerated_p(differences), abs=1e-12)


def test_sign_flip_with_ties_and_zeros_is_the_enumeration_too() -> None:
    for differences in ([1.0, 1.0, 1.0, -1.0], [0.0, 0.0, 2.0, 1.0], [0.5] * 6, [0.0, 0.0]):
        assert statistics.sign_flip_p_value(differences)[0] == pytest.approx(enumerated_p(differences))


def test_smallest_p_is_reached_when_all_signs_agree_and_never_undercut() -> None:
    for pairs in range(1, 9):
        p_value, _ = statistics.sign_flip_p_value(list(np.linspace(1.0, 2.0, pairs)))
        assert p_value == pytest.approx(statistics.smallest_p_value(pairs))


def test_many_pairs_are_sampled_and_said_so() -> None:
    p_value, exact = statistics.sign_flip_p_value(list(np.linspace(0.5, 1.0, 25)))
    assert not exact
    assert 0.0 < p_value < 0.001


def test_interval_is_scipys_bca_interval_and_repeats() -> None:
    differences = [0.3, 0.9, 1.4, -0.2, 0.8, 0.6]
    interval, missing = statistics.bootstrap_interval(differences)
    expected = stats.bootstrap(
        (np.array(differences),), np.mean, method="BCa", n_resamples=9999, rng=statistics.BOOTSTRAP_SEED
    ).confidence_interval
    assert missing == ""
    assert interval == pytest.approx((expected.low, expected.high))
    assert statistics.bootstrap_interval(differences)[0] == interval


@pytest.mark.parametrize(
    ("differences", "reason"),
    [
        ([], "at least 2 pairs"),
        ([1.0], "at least 2 pairs"),
        ([0.7] * 6, "all differences are equal"),
        ([0.0] * 4, "equal"),
    ],
)
def test_degenerate_differences_have_no_interval_and_say_why(differences: list[float], reason: str) -> None:
    interval, missing = statistics.bootstrap_interval(differences)
    assert interval is None
    assert reason in missing


def pairs_of(differences: list[float], base: float = 80.0) -> statistics.PairedComparison:
    first = dict.fromkeys(range(len(differences)), base)
    second = {seed: base + difference for seed, difference in enumerate(differences)}
    return statistics.compare_pairs("convention", "swap", first, second)


def test_a_difference_is_called_only_when_interval_and_p_agree() -> None:
    strong = pairs_of([1.0, 1.2, 0.9, 1.4, 1.1, 0.8])
    assert strong.called
    assert "swap order did better than convention order by 1.07" in statistics.sentence(strong, "tanh")
    reverse = pairs_of([-1.0, -1.2, -0.9, -1.4, -1.1, -0.8])
    assert "convention order did better than swap order" in statistics.sentence(reverse, "tanh")
    # All signs agree and the interval excludes 0, but five pairs cannot bring p below .0625.
    five = pairs_of([1.0, 1.2, 0.9, 1.4, 1.1])
    assert five.interval is not None
    assert five.interval[0] > 0
    assert not five.called
    assert "p can never be below .062" in statistics.sentence(five, "tanh")


def test_no_difference_shown_is_not_no_difference() -> None:
    text = statistics.sentence(pairs_of([0.5, -0.4, 0.3, -0.2, 0.1, -0.6]), "relu")
    assert "no difference between swap and convention order could be shown" in text
    assert "not to say that there is none" in text
    assert "can never" not in text


def test_an_interval_without_the_test_calls_nothing() -> None:
    comparison = pairs_of([-0.05, 0.3, 0.4, 1.45, -0.15, 0.5])
    assert comparison.interval_excludes_zero
    assert comparison.p_value is not None
    assert comparison.p_value >= 0.05
    assert not comparison.called
    assert "The interval excludes 0 but the test does not reach p < .05" in statistics.sentence(comparison, "softsign")


def test_equal_differences_are_not_called_and_the_reason_is_said() -> None:
    comparison = pairs_of([0.5] * 6)
    assert comparison.p_value == pytest.approx(2 / 64)
    assert not comparison.called
    assert "all differences are equal" in statistics.sentence(comparison, "relu")


def test_only_seeds_present_in_both_orders_are_paired() -> None:
    comparison = statistics.compare_pairs("a", "b", {0: 1.0, 1: 2.0, 3: 4.0}, {3: 6.0, 1: 2.5, 7: 9.0})
    assert comparison.seeds == (1, 3)
    assert comparison.differences == (0.5, 2.0)
    nothing = statistics.compare_pairs("a", "b", {0: 1.0}, {1: 1.0})
    assert math.isnan(nothing.mean_difference)
    assert "nothing can be said" in statistics.sentence(nothing, "relu")


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ArgumentError, match="finite differences"):
        statistics.sign_flip_p_value([1.0, math.nan])


def test_the_same_order_against_itself_is_rarely_called() -> None:
    """Under the null hypothesis a difference may be called in at most about 5 % of experiments."""
    generator = np.random.default_rng(7)
    called = sum(pairs_of(list(generator.normal(0.0, 1.0, 6))).called for _ in range(200))
    assert called <= 16
