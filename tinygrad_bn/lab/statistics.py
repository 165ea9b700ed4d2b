"""Paired comparison of two orders: interval, exact p value, and one honest sentence.

Runs are paired by seed (same initial weights, same batch order), so the unit of evidence is the difference of
one pair. Two questions are asked of the differences and both must agree before a difference is called:

* the 95 % bias-corrected and accelerated bootstrap interval of their mean (Efron 1987, "Better Bootstrap
  Confidence Intervals"; `scipy.stats.bootstrap`) excludes 0, and
* the sign-flip permutation test (Fisher 1935, "The Design of Experiments", section 21;
  `scipy.stats.permutation_test`) gives p < .05.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError, explain, missing_dependency

CONFIDENCE = 0.95
LEVEL = 0.05
RESAMPLES = 9999
# 2**20 sign patterns take SciPy about a second; beyond that the exact test doubles with every pair.
MOST_EXACT_PAIRS = 20
BOOTSTRAP_SEED = 20230127


@dataclass(frozen=True, kw_only=True)
class PairedComparison:
    """What the paired differences (second order minus first order) say.

    Attributes:
        first, second: the names of the two orders.
        seeds: the seeds for which both orders have a result, one per pair.
        first_values, second_values, differences: one value per seed, in percentage points of accuracy.
        interval: the 95 % BCa interval of the mean difference, or None when it cannot be computed.
        interval_missing: why there is no interval, or "".
        p_value: two-sided p of the sign-flip test, or None without pairs.
        p_is_exact: False when the sign patterns were sampled because there are too many.
    """

    first: str
    second: str
    seeds: tuple[int, ...]
    first_values: tuple[float, ...]
    second_values: tuple[float, ...]
    differences: tuple[float, ...]
    interval: tuple[float, float] | None
    interval_missing: str
    p_value: float | None
    p_is_exact: bool

    @property
    def pairs(self) -> int:
        """Number of paired runs."""
        return len(self.differences)

    @property
    def mean_difference(self) -> float:
        """Mean of the differences; nan without pairs."""
        return math.fsum(self.differences) / self.pairs if self.pairs else math.nan

    @property
    def smallest_p(self) -> float:
        """The smallest two-sided p that this many pairs can show."""
        return smallest_p_value(self.pairs)

    @property
    def called(self) -> bool:
        """Whether a difference is called: the interval excludes 0 and p < .05."""
        return self.interval_excludes_zero and self.p_value is not None and self.p_value < LEVEL

    @property
    def interval_excludes_zero(self) -> bool:
        """Whether there is an interval and 0 lies outside."""
        return self.interval is not None and (self.interval[0] > 0.0 or self.interval[1] < 0.0)

    def _repr_html_(self) -> str:
        from .report.notebook import pair_html

        return pair_html(self)


def smallest_p_value(pairs: int) -> float:
    """Smallest two-sided p of the sign-flip test with this many pairs: 2 / 2**pairs, at most 1.

    >>> smallest_p_value(3), smallest_p_value(6)
    (0.25, 0.03125)
    """
    return min(1.0, 2.0 / 2.0**pairs)


def sign_flip_p_value(differences: Sequence[float]) -> tuple[float, bool]:
    """Two-sided p of the hypothesis that each difference could as well have had the other sign.

    All `2**n` sign patterns are counted up to `MOST_EXACT_PAIRS` pairs; beyond, patterns are sampled.

    Args:
        differences: at least one finite paired difference.

    Returns:
        The p value and whether it is exact.

    >>> sign_flip_p_value([1.0, 2.0, 0.5, 1.5, 0.7, 3.0])
    (0.03125, True)
    """
    stats = scipy_stats("sign_flip_p_value")
    sample = _sample("sign_flip_p_value", differences, at_least=1)
    if sample.size == 1 or not sample.any():
        return 1.0, True  # every sign pattern gives the same distance from 0
    exact = sample.size <= MOST_EXACT_PAIRS
    result = stats.permutation_test(
        (sample,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf if exact else 99_999,
        batch=65_536,
        axis=-1,
        rng=BOOTSTRAP_SEED,
    )
    return float(result.pvalue), exact


def bootstrap_interval(differences: Sequence[float]) -> tuple[tuple[float, float] | None, str]:
    """95 % BCa interval of the mean difference, with a fixed random state so that it repeats.

    Returns:
        The interval and "", or None and the reason why there is none: fewer than two pairs, or differences
        that are all equal, so that resampling them shows no spread.
    """
    stats = scipy_stats("bootstrap_interval")
    sample = _sample("bootstrap_interval", differences, at_least=0)
    if sample.size < 2:
        return None, f"an interval needs at least 2 pairs, there {_are(sample.size)}"
    if np.ptp(sample) <= 1e-12 * max(1.0, float(np.abs(sample).max())):
        return None, "all differences are equal, so resampling them shows no spread"
    with warnings.catch_warnings():
        # SciPy warns and answers nan where BCa has no answer; the nan is what we look at.
        warnings.simplefilter("ignore")
        interval = stats.bootstrap(
            (sample,),
            np.mean,
            confidence_level=CONFIDENCE,
            n_resamples=RESAMPLES,
            method="BCa",
            vectorized=True,
            rng=BOOTSTRAP_SEED,
        ).confidence_interval
    low, high = float(interval.low), float(interval.high)
    if not (math.isfinite(low) and math.isfinite(high)):
        return None, "the BCa correction has no finite answer for these differences"
    return (low, high), ""


def compare_pairs(
    first: str,
    second: str,
    first_values: dict[int, float],
    second_values: dict[int, float],
) -> PairedComparison:
    """Compare two orders over the seeds that both have finished.

    Args:
        first, second: names of the orders; differences are `second - first`.
        first_values, second_values: accuracy in percent by seed.
    """
    seeds = tuple(sorted(first_values.keys() & second_values.keys()))
    pairs = [(first_values[seed], second_values[seed]) for seed in seeds]
    differences = tuple(b - a for a, b in pairs)
    interval, interval_missing = bootstrap_interval(differences)
    p_value, exact = sign_flip_p_value(differences) if differences else (None, True)
    return PairedComparison(
        first=first,
        second=second,
        seeds=seeds,
        first_values=tuple(a for a, _ in pairs),
        second_values=tuple(b for _, b in pairs),
        differences=differences,
        interval=interval,
        interval_missing=interval_missing,
        p_value=p_value,
        p_is_exact=exact,
    )


def sentence(comparison: PairedComparison, activation: str) -> str:
    """One honest sentence: what the pairs show, or that no difference could be shown."""
    first, second = comparison.first, comparison.second
    if not comparison.pairs:
        return f"{activation}: no seed has finished in both {first} and {second} order, so nothing can be said."
    difference = comparison.mean_difference
    numbers = f"{signed(difference)} points over {plural(comparison.pairs, 'pair')}"
    if comparison.interval is not None:
        numbers += f", 95 % interval {interval_text(comparison.interval)}"
    if comparison.p_value is not None:
        numbers += f", p = {p_text(comparison.p_value)}"
    if comparison.called:
        winner, loser = (second, first) if difference > 0 else (first, second)
        return (
            f"With {activation}, {winner} order did better than {loser} order by "
            f"{abs(difference):.2f} percentage points ({second} − {first}: {numbers})."
        )
    text = (
        f"With {activation}, no difference between {second} and {first} order could be shown "
        f"({second} − {first}: {numbers}); that is not to say that there is none."
    )
    if comparison.smallest_p >= LEVEL:
        text += (
            f" With {plural(comparison.pairs, 'pair')} p can never be below "
            f"{p_text(comparison.smallest_p)}: at least 6 pairs are needed to show one at all."
        )
    elif comparison.interval is None:
        text += f" There is no interval: {comparison.interval_missing}."
    elif comparison.interval_excludes_zero:
        text += " The interval excludes 0 but the test does not reach p < .05; both are needed to call a difference."
    return text


def signed(value: float) -> str:
    """A difference with its sign and two decimals, with a true minus sign.

    >>> signed(0.5), signed(-0.25)
    ('+0.50', '−0.25')
    """
    return "n/a" if math.isnan(value) else f"{value:+.2f}".replace("-", "−")


def interval_text(interval: tuple[float, float]) -> str:
    """An interval as text: `[+0.10, +0.90]`."""
    return f"[{signed(interval[0])}, {signed(interval[1])}]"


def p_text(p_value: float) -> str:
    """A p value to three decimals, or as a bound when it is smaller.

    >>> p_text(0.03125), p_text(0.00001)
    ('.031', '< .001')
    """
    if p_value < 0.001:
        return "< .001"
    return f"{p_value:.3f}".removeprefix("0")


def plural(count: int, noun: str) -> str:
    """A count with its noun: `1 pair`, `6 pairs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _are(count: int) -> str:
    return f"is {count}" if count == 1 else f"are {count}"


def _sample(where: str, differences: Sequence[float], at_least: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    sample = np.asarray(differences, dtype=np.float64)
    if sample.ndim != 1 or sample.size < at_least:
        expected = f"a sequence of at least {plural(at_least, 'difference')}"
        raise ShapeError(explain(where, expected, f"shape {sample.shape}"))
    if not np.isfinite(sample).all():
        raise ArgumentError(explain(where, "finite differences", f"{list(differences)}"))
    return sample


def scipy_stats(where: str) -> Any:
    """Return `scipy.stats`, for whoever computes intervals.

    Raises:
        MissingDependencyError: SciPy is not installed.
    """
    try:
        from scipy import stats
    except ImportError as error:
        raise missing_dependency(where, "scipy", "lab") from error
    return stats
