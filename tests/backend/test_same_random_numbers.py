"""Random numbers are drawn on the host: a seed means the same weights, batches and masks on the CPU and on a GPU."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn
from tinygrad_bn.backend import default_generator
from tinygrad_bn.nn import init

pytestmark = pytest.mark.usefixtures("emulated_gpu")

INITIALIZERS = sorted(name for name in vars(init) if name.endswith("_") and not name.startswith("_"))

DRAWS: dict[str, Callable[[str], tg.Tensor]] = {
    "rand": lambda where: tg.rand(5, 7, device=where),
    "randn": lambda where: tg.randn(5, 7, device=where, dtype="float64"),
    "dropout": lambda where: F.dropout(tg.ones(50, 7, device=where), 0.3),
    "dropout of half precision": lambda where: F.dropout(tg.ones(50, 7, device=where, dtype="float16"), 0.3),
    "rrelu": lambda where: F.rrelu(-tg.ones(50, 7, device=where), training=True),
    "a network": lambda where: nn.SmallCNN(width=2).to(where)(tg.randn(2, 1, 28, 28, device=where)).detach() * 0.0,
}


def _same(draw: Callable[[str], tg.Tensor]) -> None:
    found, states = [], []
    for where in ("cpu", "cuda"):
        tg.manual_seed(7)
        result = draw(where)
        assert str(result.device).startswith(where)
        found.append(np.array(result))
        states.append(json.dumps(default_generator.get_state()))
    np.testing.assert_array_equal(*found)
    assert states[0] == states[1]  # what is drawn next is the same, too


@pytest.mark.parametrize("name", DRAWS)
def test_tensors_and_masks(name: str) -> None:
    _same(DRAWS[name])


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initial_weights(name: str) -> None:
    def draw(where: str) -> tg.Tensor:
        weight = tg.zeros(6, 4, 3, 3, device=where)
        getattr(init, name)(weight, *([2.0] if name == "constant_" else []))
        return weight

    _same(draw)


@pytest.mark.parametrize("model", ["small_cnn", "mlp"])
def test_networks_built_on_the_gpu(model: str) -> None:
    """Also where the default device is the GPU, so that parameters are made there."""
    states = []
    for where in ("cpu", "cuda"):
        tg.manual_seed(3)
        before = tg.get_default_device()
        tg.set_default_device(where)
        try:
            built = nn.build_model(model, in_channels=1, num_classes=4, image_size=28, width=2)
        finally:
            tg.set_default_device(before)
        assert {str(p.device).partition(":")[0] for p in built.parameters()} == {where}
        states.append({name: np.array(value) for name, value in built.state_dict().items()})
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][name])
