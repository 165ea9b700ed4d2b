"""The words of a config, turned into what trains."""

from __future__ import annotations

from typing import Any

import pytest

from tinygrad_bn import nn
from tinygrad_bn.lab.config import RunConfig
from tinygrad_bn.lab.recipes import parameter_groups


@pytest.mark.parametrize(
    ("settings", "gamma", "beta"),
    [
        ({"affine_weight_decay": 0.25}, 0.25, 0.25),
        ({"affine_weight_decay": 0.25, "beta_weight_decay": 0.0}, 0.25, 0.0),
        ({"affine_weight_decay": 0.0, "gamma_weight_decay": 0.5}, 0.5, 0.0),
        ({"gamma_weight_decay": 0.5}, 0.5, None),
    ],
)
def test_scale_and_shift_have_one_weight_decay_unless_given_apart(
    settings: dict[str, Any], gamma: float | None, beta: float | None
) -> None:
    model = nn.build_model("mlp", width=3, order="swap")
    groups = {group["name"]: group for group in parameter_groups(model, RunConfig(model="mlp", **settings))}
    assert {name: group.get("weight_decay") for name, group in groups.items()} == {
        "weights": None,
        "gamma": gamma,
        "beta": beta,
    }
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d)]
    assert [id(norm.bias) for norm in norms] == [id(parameter) for parameter in groups["beta"]["params"]]
    assert [id(norm.weight) for norm in norms] == [id(parameter) for parameter in groups["gamma"]["params"]]
    assert sum(len(group["params"]) for group in groups.values()) == len(list(model.parameters()))


def test_without_a_weight_decay_of_their_own_they_are_no_group_apart() -> None:
    (group,) = parameter_groups(nn.build_model("mlp", width=3), RunConfig(model="mlp"))
    assert group["name"] == "all"
