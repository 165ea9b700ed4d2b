"""Layers against PyTorch's, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compare import assert_close, torch
from twins import TORCH_ACTIVATIONS

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn
from tinygrad_bn.errors import ArgumentError, DTypeError, ShapeError
from tinygrad_bn.interop import load_torch_state_dict

LAYERS: dict[str, tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = {
    "linear": ("Linear", (5, 3), {}, (4, 5)),
    "linear without bias, more axes": ("Linear", (5, 3), {"bias": False}, (2, 4, 5)),
    "conv2d": ("Conv2d", (4, 6, 3), {"stride": 2, "padding": 1}, (2, 4, 7, 6)),
    "conv2d grouped, dilated": (
        "Conv2d",
        (4, 6, (3, 1)),
        {"dilation": 2, "groups": 2, "bias": False},
        (2, 4, 7, 6),
    ),
    "conv2d same": ("Conv2d", (4, 2, 3), {"padding": "same"}, (2, 4, 7, 6)),
    "conv_transpose2d": (
        "ConvTranspose2d",
        (4, 6, 3),
        {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2},
        (2, 4, 5, 6),
    ),
    "conv_transpose2d by position": ("ConvTranspose2d", (4, 6, 3, 2, 0, 0, 1, False, 2), {}, (2, 4, 5, 6)),
    "max_pool2d": ("MaxPool2d", (3,), {"stride": 2, "padding": 1, "ceil_mode": True}, (2, 3, 8, 7)),
    "avg_pool2d": (
        "AvgPool2d",
        ((3, 2),),
        {"stride": 2, "padding": 1, "count_include_pad": False},
        (2, 3, 8, 7),
    ),
    "adaptive_avg_pool2d": ("AdaptiveAvgPool2d", ((3, None),), {}, (2, 3, 8, 7)),
    "flatten": ("Flatten", (), {"start_dim": 2}, (2, 3, 4, 5)),
    "batch_norm1d": ("BatchNorm1d", (3,), {}, (6, 3)),
    "batch_norm1d of a sequence": ("BatchNorm1d", (3,), {"momentum": 0.3, "eps": 1e-2}, (4, 3, 5)),
    "batch_norm2d": ("BatchNorm2d", (3,), {}, (4, 3, 5, 2)),
    "batch_norm2d not affine": ("BatchNorm2d", (3,), {"affine": False}, (4, 3, 5, 2)),
    "batch_norm2d cumulative": ("BatchNorm2d", (3,), {"momentum": None}, (4, 3, 5, 2)),
    "batch_norm2d untracked": ("BatchNorm2d", (3,), {"track_running_stats": False}, (4, 3, 5, 2)),
    "prelu per channel": ("PReLU", (3,), {"init": 0.1}, (4, 3, 5)),
    **{
        f"activation {name}": (module.__name__, (), {}, (5, 4))
        for name, module in TORCH_ACTIVATIONS.items()
        # The slopes of rrelu are random in training; in PyTorch, that of hardsigmoid is 1/6 in float32 only.
        if name not in ("rrelu", "hardsigmoid")
    },
}


@pytest.mark.parametrize("name", LAYERS)
def test_outputs_gradients_and_buffers_are_pytorchs_over_several_steps(name: str) -> None:
    kind, args, settings, shape = LAYERS[name]
    theirs = getattr(torch.nn, kind)(*args, **settings).double()
    ours = getattr(nn, kind)(*args, **settings).double()
    load_torch_state_dict(ours, theirs.state_dict())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    rng = np.random.default_rng(0)
    for mode in (True, True, True, False):
        ours.train(mode)
        theirs.train(mode)
        data = rng.standard_normal(shape) * 2.0 + 0.5
        x, y = tg.tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
        output, expected = ours(x), theirs(y)
        assert_close(output, expected, "output")
        weights = rng.standard_normal(output.shape)
        (output * tg.tensor(weights)).sum().backward()
        (expected * torch.tensor(weights)).sum().backward()
        assert_close(x.grad, y.grad, "gradient of the input")
        gradients = dict(theirs.named_parameters())
        for parameter, tensor in ours.named_parameters():
            assert_close(tensor.grad, gradients[parameter].grad, f"gradient of {parameter}")
        state = theirs.state_dict()
        for buffer, tensor in ours.named_buffers():
            assert_close(tensor, state[buffer], buffer)


@pytest.mark.parametrize("name", sorted(F.ACTIVATIONS))
def test_every_activation_function_has_its_module(name: str) -> None:
    x = tg.tensor(np.linspace(-4, 4, 41))
    module = nn.activation(name).double().eval()
    np.testing.assert_array_equal(module(x).numpy(), F.ACTIVATIONS[name].function(x).numpy())
    if name in TORCH_ACTIVATIONS and name != "prelu":  # newer versions of PyTorch show more of PReLU
        assert repr(nn.activation(name)) == repr(TORCH_ACTIVATIONS[name]())
    assert getattr(nn, type(module).__name__) is type(module)


def test_activation_parameters_reach_the_function() -> None:
    x = tg.tensor([-1.0])
    assert nn.activation("leaky_relu", negative_slope=0.5)(x).item() == -0.5
    assert nn.Hardtanh(-0.25, 1.0)(x).item() == -0.25
    assert nn.ShiftedTanh(1.0)(x).item() == 0.0
    with pytest.raises(ArgumentError, match="did you mean 'relu'"):
        nn.activation("rlu")
    with pytest.raises(ArgumentError, match="in ReLU: expected inplace=False"):
        nn.ReLU(inplace=True)


def test_rrelu_draws_in_training_only() -> None:
    layer, x = nn.RReLU(), tg.tensor(-np.ones(1000))
    drawn = -layer(x).numpy()
    assert drawn.std() > 0.01
    assert 1 / 8 <= drawn.min() < drawn.max() < 1 / 3
    np.testing.assert_allclose(layer.eval()(x).numpy(), -(1 / 8 + 1 / 3) / 2)


def test_dropout() -> None:
    layer, x = nn.Dropout(0.25), tg.ones(10_000)
    dropped = layer(x).numpy()
    assert abs((dropped == 0).mean() - 0.25) < 0.02
    np.testing.assert_allclose(np.unique(dropped), [0.0, 4.0 / 3.0], rtol=1e-6)
    assert layer.eval()(x) is x
    assert repr(layer) == "Dropout(p=0.25)"


def test_losses() -> None:
    logits, goal = tg.randn(5, 3), tg.tensor([0, 2, 1, 1, 0], dtype="int64")
    weight = tg.tensor([1.0, 2.0, 3.0])
    loss = nn.CrossEntropyLoss(weight, label_smoothing=0.1)
    expected = torch.nn.CrossEntropyLoss(torch.tensor(weight.numpy()), label_smoothing=0.1)(
        torch.tensor(logits.numpy()), torch.tensor(goal.numpy())
    )
    assert_close(loss(logits, goal), expected)
    assert list(loss.state_dict()) == ["weight"]
    assert nn.MSELoss(reduction="sum")(logits, logits + 1.0).item() == pytest.approx(15.0)
    with pytest.raises(ArgumentError, match="reduction to be one of none, mean, sum"):
        nn.MSELoss(reduction="average")


def test_batch_norm_refuses_before_any_harm() -> None:
    norm = nn.BatchNorm2d(3)
    with pytest.raises(ShapeError, match=r"in BatchNorm2d: expected input \(N, C, H, W\), got shape \(4, 3\)"):
        norm(tg.ones(4, 3))
    with pytest.raises(ShapeError, match=r"in BatchNorm2d: expected input of 3 channels"):
        norm(tg.ones(4, 2, 5, 5))
    with pytest.raises(ArgumentError, match="at least 2 values per channel in training"):
        norm(tg.ones(1, 3, 1, 1))
    with pytest.raises(DTypeError, match="a Tensor"):
        norm(np.ones((4, 3, 2, 2)))
    assert norm.num_batches_tracked.item() == 0
    assert norm.running_mean.tolist() == [0.0, 0.0, 0.0]
    assert norm.eval()(tg.ones(1, 3, 1, 1)).shape == (1, 3, 1, 1)
    with pytest.raises(ShapeError, match=r"\(N, C\) or \(N, C, L\)"):
        nn.BatchNorm1d(3)(tg.ones(2, 3, 4, 4))


def test_batch_norm_can_be_reset() -> None:
    norm = nn.BatchNorm1d(2)
    norm(tg.randn(8, 2))
    norm.reset_running_stats()
    assert (norm.running_mean.tolist(), norm.running_var.tolist()) == ([0.0, 0.0], [1.0, 1.0])
    assert norm.num_batches_tracked.item() == 0


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: nn.Linear(0, 3), "in_features >= 1"),
        (lambda: nn.Linear(2.0, 3), "in_features to be an integer"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "divisible by groups = 2"),
        (lambda: nn.Conv2d(3, 4, 0), "kernel_size >= 1"),
        (lambda: nn.Conv2d(3, 4, (1, 2, 3)), "kernel_size to be one integer or two"),
        (lambda: nn.Conv2d(3, 4, 3, padding="sam"), "did you mean 'same'"),
        (lambda: nn.Conv2d(3, 4, 3, stride=2, padding="same"), "stride 1 with padding='same'"),
        (lambda: nn.BatchNorm2d(3, momentum=1.5), "momentum to be a number >= 0 and <= 1"),
        (lambda: nn.BatchNorm2d(3, eps=0.0), "eps to be a number > 0"),
        (lambda: nn.Dropout(1.5), r"p in \[0, 1\]"),
        (lambda: nn.MaxPool2d(0), "kernel_size >= 1"),
        (lambda: nn.PReLU(0), "num_parameters >= 1"),
    ],
)
def test_settings_are_checked_early(call: Any, complaint: str) -> None:
    with pytest.raises((ArgumentError, DTypeError), match=complaint):
        call()
