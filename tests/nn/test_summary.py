"""The summary: right numbers, and no trace in the module."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.backend import default_generator
from tinygrad_bn.errors import ArgumentError, DTypeError


def net() -> Any:
    return nn.Sequential(
        nn.ConvBlock(1, 4, 3, padding=1, activation="tanh"),
        nn.Dropout(0.5),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * 4 * 4, 10),
    )


def test_numbers() -> None:
    summary = net().summary((2, 1, 8, 8))
    conv, norm, act = summary["0.conv"], summary["0.norm"], summary["0.act"]
    pixels = 2 * 4 * 8 * 8
    assert (conv.kind, conv.input_shape, conv.output_shape) == ("Conv2d", (2, 1, 8, 8), (2, 4, 8, 8))
    assert (conv.parameters, norm.parameters, act.parameters) == (4 * 9 + 4, 8, 0)
    assert conv.flops == 2 * 9 * pixels  # a multiplication and an addition for every weight
    assert conv.saved_bytes == 0  # it keeps the input of the network, which is there anyway
    assert norm.saved_bytes == 4 * pixels  # the convolution's output
    assert act.saved_bytes == 4 * pixels  # tanh keeps its output
    assert summary["4"].flops >= 2 * 2 * 64 * 10
    whole = summary[""]
    assert whole.kind == "Sequential"
    assert whole.output_shape == (2, 10)
    assert whole.parameters == whole.trainable == 40 + 8 + 650
    leaves = [r for r in summary.rows if r.name in ("0.conv", "0.norm", "0.act", "1", "2", "3", "4")]
    assert whole.flops == sum(r.flops for r in leaves)
    assert whole.saved_bytes == sum(r.saved_bytes for r in leaves)
    assert summary["0"].flops == conv.flops + norm.flops + act.flops
    with pytest.raises(DTypeError, match=r"a Tensor, a tuple of them, or a shape such as .*, got 3"):
        net().summary(3)
    with pytest.raises(ArgumentError, match=r"did you mean '0\.conv'"):
        summary["0.con"]


def test_table() -> None:
    text = str(net().summary(tg.zeros(2, 1, 8, 8)))
    lines = text.splitlines()
    assert lines[0].split() == ["module", "output", "shape", "parameters", "FLOPs", "kept", "for", "backward"]
    assert lines[2].startswith("Sequential")
    assert lines[3].startswith("  0: ConvBlock")
    assert lines[4].startswith("    conv: Conv2d")
    assert "698" in lines[2]
    assert len({len(line) for line in lines}) == 1


def test_nothing_in_the_module_changes() -> None:
    model = net()
    model(tg.randn(4, 1, 8, 8)).sum().backward()
    model[1].eval()
    calls: list[int] = []
    model.register_forward_hook(lambda *_: calls.append(1))
    state = {name: t.numpy().copy() for name, t in model.state_dict().items()}
    grads = {name: p.grad.numpy().copy() for name, p in model.named_parameters()}
    modes = [m.training for m in model.modules()]
    random = default_generator.get_state()
    model.summary((1, 1, 8, 8))
    assert calls == []
    assert [m.training for m in model.modules()] == modes
    assert default_generator.get_state() == random
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), state[name])
    for name, parameter in model.named_parameters():
        np.testing.assert_array_equal(parameter.grad.numpy(), grads[name])
    model(tg.randn(4, 1, 8, 8))
    assert calls == [1]


def test_a_module_that_misbehaves_is_put_back_too() -> None:
    class Careless(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", tg.zeros(1))

        def forward(self, input: tg.Tensor) -> tg.Tensor:
            self.calls.assign_(self.calls + 1)
            tg.randn(3)
            raise ArithmeticError

    module, random = Careless(), default_generator.get_state()
    with pytest.raises(ArithmeticError):
        module.summary((1,))
    assert module.calls.item() == 0.0
    assert module.training
    assert default_generator.get_state() == random


def test_a_module_used_twice_has_one_row() -> None:
    shared = nn.Linear(3, 3)
    summary = nn.Sequential(shared, nn.Tanh(), shared).summary((2, 3))
    assert [row.name for row in summary.rows] == ["", "0", "1"]
    assert summary["0"].calls == 2
    assert summary["0"].flops == 2 * nn.Sequential(nn.Linear(3, 3)).summary((2, 3))["0"].flops
    assert summary[""].parameters == 12


def test_frozen_parameters_and_dtypes() -> None:
    model = nn.Linear(3, 2).double().requires_grad_(False)
    summary = model.summary((4, 3))
    assert (summary[""].parameters, summary[""].trainable) == (8, 0)
    assert summary[""].saved_bytes == 0


def test_several_inputs_and_outputs() -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = nn.Linear(2, 2)

        def forward(self, a: tg.Tensor, b: tg.Tensor) -> tuple[Any, Any]:
            return self.part(a), a * b

    summary = Pair().summary((tg.ones(1, 2), tg.ones(1, 2)))
    assert summary[""].output_shape is None
    assert summary[""].flops == summary["part"].flops + 2


def test_large_models_are_counted_without_trouble() -> None:
    summary = nn.build_model("resnet110", width=1).summary((1, 3, 8, 8))
    assert summary[""].parameters == sum(p.size for p in nn.build_model("resnet110", width=1).parameters())


def test_what_was_computed_before_counts_nowhere() -> None:
    x = tg.ones(2, 3, requires_grad=True)
    layer = nn.Linear(3, 4)
    assert layer.summary(x * 2)[""] == layer.summary((2, 3))[""]
    assert x.grad is None

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = x.sum() * 2  # an ordinary attribute with a graph of its own

        def forward(self, input: tg.Tensor) -> tg.Tensor:
            return input * self.scale

    assert Scaled().summary((2, 3))[""].flops == 6


def test_modules_in_a_plain_list_belong_to_the_module_that_calls_them() -> None:
    class Hiding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Tanh())
            self.hidden = [nn.Sequential(nn.Linear(3, 4))]

        def forward(self, input: tg.Tensor) -> Any:
            return self.inner(self.hidden[0](input))

    summary = nn.Sequential(Hiding()).summary((2, 3))
    linear = nn.Linear(3, 4).summary((2, 3))[""].flops
    assert [row.name for row in summary.rows] == ["", "0", "0.inner", "0.inner.0"]
    assert summary["0"].flops == linear + summary["0.inner"].flops
    assert summary["0.inner"].flops == summary["0.inner.0"].flops > 0


@pytest.mark.parametrize("input", ["shape", {"shape": 3}, (1.5, 2), None])
def test_an_input_that_is_none(input: Any) -> None:
    with pytest.raises(DTypeError, match="in summary: expected"):
        nn.Tanh().summary(input)
