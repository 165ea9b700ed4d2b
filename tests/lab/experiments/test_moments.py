"""Describing values and writing numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_bn.lab.experiments.moments import correlation, moments

stats = pytest.importorskip("scipy.stats")


def test_moments_are_those_of_scipy() -> None:
    values = np.random.default_rng(0).gamma(2.0, size=(4, 5, 6)).clip(0.5)
    found = moments(values)
    assert found["mean"] == pytest.approx(values.mean())
    assert found["deviation"] == pytest.approx(values.std())
    assert found["skewness"] == pytest.approx(stats.skew(values, axis=None))
    assert (found["smallest"], found["largest"]) == (values.min(), values.max())


def test_zeros_are_counted_and_equal_values_have_no_skewness() -> None:
    assert moments([0.0, 0.0, -1.0, 2.0])["zeros"] == 0.5
    assert moments([3.0, 3.0])["skewness"] is None


def test_values_on_another_scale_are_correlated() -> None:
    values = np.random.default_rng(0).normal(size=(3, 4))
    assert correlation(values, 3.0 * values - 1.0) == pytest.approx(1.0)
    assert correlation(values, -values) == pytest.approx(-1.0)
