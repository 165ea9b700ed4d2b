"""What the activations' tags say, measured on a fine grid."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import functional as F

GRID = np.concatenate([np.linspace(-30, 30, 600_001), [-1e9, 1e9, 0.0]])
GRID.sort()


@pytest.mark.parametrize("name", F.ACTIVATIONS)
def test_tags_describe_the_function(name: str) -> None:
    activation = F.ACTIVATIONS[name]
    x = tg.tensor(GRID, requires_grad=True)
    y = activation.function(x)
    y.sum().backward()
    values, slopes = y.numpy(), x.grad.numpy()
    assert activation.at_zero == pytest.approx(values[GRID == 0.0][0], abs=1e-12)
    assert activation.bounded == bool(np.abs(values).max() < 1e3)
    for limit, found in ((activation.lower, values.min()), (activation.upper, values.max())):
        assert found == pytest.approx(limit, abs=1e-7) if math.isfinite(limit) else abs(found) > 1e6
    for limit, found in ((activation.left, values[0]), (activation.right, values[-1])):
        assert found == pytest.approx(limit, abs=1e-7) if math.isfinite(limit) else abs(found) > 1e6
    assert activation.monotone == bool((np.diff(values) >= -1e-12).all())
    assert np.abs(slopes).max() == pytest.approx(activation.lipschitz, rel=1e-4)


def test_bounded_ones_are_those_of_the_paper_and_their_kin() -> None:
    bounded = {name for name, activation in F.ACTIVATIONS.items() if activation.bounded}
    assert bounded == {
        "tanh",
        "lecun_tanh",
        "penalized_tanh",
        "shifted_tanh",
        "softsign",
        "sigmoid",
        "hardtanh",
        "hardsigmoid",
        "relu6",
        "arctan",
        "erf",
    }


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(ValueError, match="did you mean 'softsign'"):
        F.get_activation("softsing")
