"""Seeded random numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

import tinygrad_bn as tg
from tinygrad_bn.backend import Generator, default_generator
from tinygrad_bn.errors import ArgumentError


def _draw(g: Generator) -> list:
    return [
        g.normal((3,)).tolist(),
        g.uniform((2,), 1, 2).tolist(),
        g.integers(0, 9, (4,)).tolist(),
        g.permutation(5).tolist(),
    ]


def test_a_seed_repeats_everything() -> None:
    assert _draw(Generator(7)) == _draw(Generator(7)) == _draw(Generator(np.int64(7)))
    assert _draw(Generator(7)) != _draw(Generator(8))
    assert _draw(Generator()) != _draw(Generator())
    g = tg.manual_seed(3)
    assert g is default_generator
    first = _draw(g)
    tg.manual_seed(3)
    assert _draw(default_generator) == first


def test_a_state_can_be_saved_as_text_and_restored() -> None:
    g = Generator(1)
    g.normal((5,))
    state = json.loads(json.dumps(g.get_state()))
    expected = _draw(g)
    other = Generator(99)
    other.set_state(state)
    assert _draw(other) == expected


def test_the_numbers_do_not_change_between_versions() -> None:
    """Results of runs are compared over months; the stream is NumPy's PCG64, which is fixed."""
    assert Generator(0).integers(0, 1000, (4,)).tolist() == [850, 636, 511, 269]
    assert Generator(0).normal((2,)).tolist() == pytest.approx([0.12573022, -0.13210486])


def test_distributions() -> None:
    g = Generator(0)
    assert stats.kstest(g.normal((5000,), 1.0, 2.0), "norm", (1.0, 2.0)).pvalue > 0.01
    assert stats.kstest(g.uniform((5000,), -1.0, 3.0), "uniform", (-1.0, 4.0)).pvalue > 0.01
    assert set(g.integers(2, 5, (200,)).tolist()) == {2, 3, 4}
    assert sorted(g.permutation(10).tolist()) == list(range(10))
    assert g.normal((2,)).dtype == g.uniform((2,)).dtype == np.float64
    assert g.integers(0, 2, (2,)).dtype == np.int64


@pytest.mark.parametrize("seed", [-1, 1.5, "a", True, [1]])
def test_wrong_seeds(seed: object) -> None:
    for call in (Generator, tg.manual_seed):
        with pytest.raises(ArgumentError, match=r"^in manual_seed: expected .+, got "):
            call(seed)


@pytest.mark.parametrize("state", [{}, {"bit_generator": "MT19937"}, {"bit_generator": "PCG64"}, None, 3])
def test_wrong_states_change_nothing(state: object) -> None:
    g = Generator(5)
    expected = _draw(Generator(5))
    with pytest.raises(ArgumentError, match=r"^in Generator.set_state: expected .+, got "):
        g.set_state(state)
    assert _draw(g) == expected
