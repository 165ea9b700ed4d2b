"""Weight decay of BatchNorm's scale and shift apart from that of weights."""

from __future__ import annotations

import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn, optim
from tinygrad_bn.errors import ArgumentError


@pytest.mark.parametrize(
    ("settings", "decays"),
    [
        ({}, (5e-4, 5e-4, 5e-4)),
        ({"norm_weight_decay": 0.0}, (5e-4, 0.0, 0.0)),
        ({"norm_bias_weight_decay": 0.0}, (5e-4, 5e-4, 0.0)),
        ({"norm_weight_decay": 0.0, "norm_bias_weight_decay": 1e-3}, (5e-4, 0.0, 1e-3)),
    ],
)
def test_every_parameter_is_in_its_group(settings: dict[str, float], decays: tuple[float, ...]) -> None:
    model = nn.SmallCNN(width=2)
    optimizer = optim.SGD(optim.parameter_groups(model, 5e-4, **settings), lr=0.1)
    assert [g["name"] for g in optimizer.param_groups] == ["weights", "norm_weight", "norm_bias"]
    assert tuple(g["weight_decay"] for g in optimizer.param_groups) == decays
    for group, ending in zip(optimizer.param_groups[1:], ("norm.weight", "norm.bias"), strict=True):
        assert len(group["params"]) == 5
        assert all(name.endswith(ending) for name in group["param_names"])
    named = dict(model.named_parameters())
    found = {n: p for g in optimizer.param_groups for n, p in zip(g["param_names"], g["params"], strict=True)}
    assert found.keys() == named.keys()
    assert all(found[name] is named[name] for name in named)


def test_only_what_shall_decay_decays() -> None:
    norm = nn.BatchNorm1d(2)
    with tg.no_grad():
        norm.bias.assign_([1.0, 1.0])
    optimizer = optim.SGD(optim.parameter_groups(norm, 0.5, norm_bias_weight_decay=0.0), lr=1.0)
    (norm(tg.randn(4, 2)) * 0.0).sum().backward()
    optimizer.step()
    assert norm.weight.tolist() == [0.5, 0.5]
    assert norm.bias.tolist() == [1.0, 1.0]


def test_models_without_norms_have_one_group() -> None:
    assert [g["name"] for g in optim.parameter_groups(nn.Linear(2, 2), 0.1)] == ["weights"]
    with pytest.raises(ArgumentError, match="weight decay of norm_weight to be a number >= 0"):
        optim.parameter_groups(nn.Linear(2, 2), 0.1, norm_weight_decay=-1.0)
