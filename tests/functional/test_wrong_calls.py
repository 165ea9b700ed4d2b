"""Wrong calls: each must raise one of our errors, say where, what was expected and what came, and do no harm."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn.errors import TinygradBNError


def _t(*shape: int, dtype: str = "float32") -> tg.Tensor:
    return tg.randn(*shape, dtype=dtype)


def _i(*shape: int) -> tg.Tensor:
    return tg.zeros(*shape, dtype="int64")


X = _t(2, 3, 6, 6)
W = _t(4, 3, 3, 3)
B = _t(4)
LOGITS = _t(4, 3)
LABELS = tg.tensor([0, 1, 2, 0], dtype="int64")
MEAN, VAR = tg.zeros(3), tg.ones(3)

WRONG: dict[str, list[Callable[[], Any]]] = {
    "linear": [
        lambda: F.linear(_t(2, 3), _t(4, 2)),
        lambda: F.linear(_t(2, 3), _t(3)),
        lambda: F.linear(_t(2, 3), _t(4, 3), _t(3)),
        lambda: F.linear(_t(2, 3), _t(4, 3), _t(4, 1)),
        lambda: F.linear(_t(2, 3), _t(4, 3, dtype="float64")),
        lambda: F.linear(_t(2, 3), _t(4, 3), _t(4, dtype="float64")),
        lambda: F.linear(_i(2, 3), _t(4, 3)),
        lambda: F.linear(np.zeros((2, 3)), _t(4, 3)),
        lambda: F.linear(_t(2, 3), np.zeros((4, 3))),
        lambda: F.linear(_t(2, 3), _t(4, 3), 1.0),
        lambda: F.linear(tg.tensor(1.0), _t(4, 3)),
        lambda: F.linear(None, None),
    ],
    "conv2d": [
        lambda: F.conv2d(_t(6, 6), W),
        lambda: F.conv2d(_t(2, 2, 3, 6, 6), W),
        lambda: F.conv2d(X, _t(4, 3, 3)),
        lambda: F.conv2d(X, _t(4, 2, 3, 3)),
        lambda: F.conv2d(X, W, _t(3)),
        lambda: F.conv2d(X, W, _t(4, 1)),
        lambda: F.conv2d(X, W, B, stride=0),
        lambda: F.conv2d(X, W, B, stride=-1),
        lambda: F.conv2d(X, W, B, stride=1.5),
        lambda: F.conv2d(X, W, B, stride=True),
        lambda: F.conv2d(X, W, B, stride="2"),
        lambda: F.conv2d(X, W, B, stride=(1, 2, 3)),
        lambda: F.conv2d(X, W, B, stride=None),
        lambda: F.conv2d(X, W, B, padding=-1),
        lambda: F.conv2d(X, W, B, padding=(1,)),
        lambda: F.conv2d(X, W, B, padding="full"),
        lambda: F.conv2d(X, W, B, padding="same", stride=2),
        lambda: F.conv2d(X, W, B, padding=0.5),
        lambda: F.conv2d(X, W, B, dilation=0),
        lambda: F.conv2d(X, W, B, dilation=(1, -1)),
        lambda: F.conv2d(X, W, B, groups=0),
        lambda: F.conv2d(X, W, B, groups=2),
        lambda: F.conv2d(_t(2, 4, 6, 6), _t(3, 2, 3, 3), groups=2),
        lambda: F.conv2d(X, W, B, groups=1.0),
        lambda: F.conv2d(X, W, B, groups=(1, 1)),
        lambda: F.conv2d(X, _t(4, 3, 7, 3)),
        lambda: F.conv2d(X, W, dilation=3),
        lambda: F.conv2d(_t(2, 3, 0, 6), W),
        lambda: F.conv2d(X, _t(0, 3, 3, 3)),
        lambda: F.conv2d(X, _t(4, 3, 0, 3)),
        lambda: F.conv2d(X, W.astype("float64")),
        lambda: F.conv2d(X, W, B.astype("float64")),
        lambda: F.conv2d(X.astype("int64"), W),
        lambda: F.conv2d(X > 0, W),
        lambda: F.conv2d(X.numpy(), W),
        lambda: F.conv2d(X, W.numpy()),
        lambda: F.conv2d(X, W, B.numpy()),
        lambda: F.conv2d(X, W, 0.0),
        lambda: F.conv2d(X, None),
    ],
    "conv_transpose2d": [
        lambda: F.conv_transpose2d(_t(2, 4), W),
        lambda: F.conv_transpose2d(_t(2, 3, 6, 6), W),
        lambda: F.conv_transpose2d(_t(2, 4, 6, 6), W, _t(4)),
        lambda: F.conv_transpose2d(_t(2, 4, 6, 6), W, output_padding=1),
        lambda: F.conv_transpose2d(_t(2, 4, 6, 6), W, stride=2, output_padding=(0, 2)),
        lambda: F.conv_transpose2d(_t(2, 4, 6, 6), W, stride=2, output_padding=-1),
        lambda: F.conv_transpose2d(_t(2, 4, 6, 6), W, padding=4),
        lambda: F.conv_transpose2d(_t(2, 4, 6, 6), W, padding="same"),
        lambda: F.conv_transpose2d(_t(2, 4, 6, 6), W, groups=3),
        lambda: F.conv_transpose2d(_t(2, 4, 6, 6), W, stride=0),
        lambda: F.conv_transpose2d(_t(2, 4, 6, 6), W, dilation=0),
        lambda: F.conv_transpose2d(_t(2, 4, 6, 6), W.astype("float64")),
        lambda: F.conv_transpose2d(_t(2, 4, 0, 6), W, padding=1),
    ],
    "max_pool2d": [
        lambda: F.max_pool2d(_t(6, 6), 2),
        lambda: F.max_pool2d(_i(2, 3, 6, 6), 2),
        lambda: F.max_pool2d(X, 0),
        lambda: F.max_pool2d(X, (2, -1)),
        lambda: F.max_pool2d(X, 2.0),
        lambda: F.max_pool2d(X, "2"),
        lambda: F.max_pool2d(X, (2, 2, 2)),
        lambda: F.max_pool2d(X, 2, stride=0),
        lambda: F.max_pool2d(X, 2, padding=2),
        lambda: F.max_pool2d(X, 2, padding=-1),
        lambda: F.max_pool2d(X, 2, dilation=0),
        lambda: F.max_pool2d(X, 7),
        lambda: F.max_pool2d(X, 3, dilation=4),
        lambda: F.max_pool2d(X.numpy(), 2),
    ],
    "avg_pool2d": [
        lambda: F.avg_pool2d(_t(6, 6), 2),
        lambda: F.avg_pool2d(X, 0),
        lambda: F.avg_pool2d(X, 7),
        lambda: F.avg_pool2d(X, 2, padding=2),
        lambda: F.avg_pool2d(X, 2, stride=-2),
        lambda: F.avg_pool2d(X, 2, divisor_override=0),
        lambda: F.avg_pool2d(X, 2, divisor_override=1.5),
        lambda: F.avg_pool2d(X > 0, 2),
    ],
    "adaptive_avg_pool2d": [
        lambda: F.adaptive_avg_pool2d(_t(6, 6), 2),
        lambda: F.adaptive_avg_pool2d(X, 0),
        lambda: F.adaptive_avg_pool2d(X, (2, 2, 2)),
        lambda: F.adaptive_avg_pool2d(X, (2.5, 2)),
        lambda: F.adaptive_avg_pool2d(X, "2"),
        lambda: F.adaptive_avg_pool2d(_t(2, 3, 0, 6), 2),
        lambda: F.adaptive_avg_pool2d(_i(2, 3, 6, 6), 2),
    ],
    "batch_norm": [
        lambda: F.batch_norm(_t(3), MEAN, VAR),
        lambda: F.batch_norm(X, None, None),
        lambda: F.batch_norm(X, MEAN, None, training=True),
        lambda: F.batch_norm(X, None, VAR),
        lambda: F.batch_norm(X, tg.zeros(4), tg.ones(4)),
        lambda: F.batch_norm(X, MEAN, tg.ones(4), training=True),
        lambda: F.batch_norm(X, MEAN, VAR, tg.ones(4), training=True),
        lambda: F.batch_norm(X, MEAN, VAR, tg.ones(3), tg.ones(1), training=True),
        lambda: F.batch_norm(X, MEAN, VAR, tg.ones(3, 1), training=True),
        lambda: F.batch_norm(X.astype("float64"), MEAN, VAR, training=True),
        lambda: F.batch_norm(_i(2, 3), MEAN, VAR, training=True),
        lambda: F.batch_norm(_t(1, 3), MEAN, VAR, training=True),
        lambda: F.batch_norm(_t(1, 3, 1, 1), MEAN, VAR, training=True),
        lambda: F.batch_norm(_t(0, 3, 2, 2), MEAN, VAR, training=True),
        lambda: F.batch_norm(X, MEAN, VAR, training=True, eps=0),
        lambda: F.batch_norm(X, MEAN, VAR, training=True, eps=-1e-5),
        lambda: F.batch_norm(X, MEAN, VAR, training=True, eps="small"),
        lambda: F.batch_norm(X, MEAN, VAR, training=True, eps=float("nan")),
        lambda: F.batch_norm(X, MEAN, VAR, training=True, momentum=None),
        lambda: F.batch_norm(X, MEAN, VAR, training=True, momentum="0.1"),
        lambda: F.batch_norm(X, MEAN.numpy(), VAR.numpy(), training=True),
        lambda: F.batch_norm(X, MEAN, VAR, 1.0, 0.0, training=True),
        lambda: F.batch_norm(X.numpy(), MEAN, VAR),
        lambda: F.batch_norm(X, tg.zeros(3, requires_grad=True), VAR, training=True),
    ],
    "norm_act": [
        lambda: F.norm_act(_t(3), MEAN, VAR),
        lambda: F.norm_act(X, None, None),
        lambda: F.norm_act(X, MEAN, None, training=True),
        lambda: F.norm_act(X, tg.zeros(4), tg.ones(4)),
        lambda: F.norm_act(X, MEAN, VAR, tg.ones(3), tg.ones(1), training=True, order="swap"),
        lambda: F.norm_act(X.astype("float64"), MEAN, VAR, training=True),
        lambda: F.norm_act(_i(2, 3), MEAN, VAR, training=True),
        lambda: F.norm_act(_t(1, 3), MEAN, VAR, training=True),
        lambda: F.norm_act(X, MEAN, VAR, training=True, eps=0),
        lambda: F.norm_act(X, MEAN, VAR, training=True, momentum=None),
        lambda: F.norm_act(X, MEAN, VAR, training="yes"),
        lambda: F.norm_act(X.numpy(), MEAN, VAR),
        lambda: F.norm_act(X, tg.zeros(3, requires_grad=True), VAR, training=True),
        lambda: F.norm_act(X, MEAN, VAR, training=True, order="weight-norm-act"),
        lambda: F.norm_act(X, MEAN, VAR, training=True, order=None),
        lambda: F.norm_act(X, MEAN, VAR, training=True, activation="rleu"),
        lambda: F.norm_act(X, MEAN, VAR, training=True, activation=F.relu),
        lambda: F.norm_act(X, MEAN, VAR, training=True, activation="prelu"),
        lambda: F.norm_act(X, MEAN, VAR, training=True, activation="rrelu", lower=0.1),
        lambda: F.norm_act(X, MEAN, VAR, training=True, negative_slope=0.1),
        lambda: F.norm_act(X, MEAN, VAR, training=True, activation="elu", slope=0.1),
        lambda: F.norm_act(X, MEAN, VAR, training=True, inplace=False),
    ],
    "dropout": [
        lambda: F.dropout(X, -0.1),
        lambda: F.dropout(X, 1.1),
        lambda: F.dropout(X, float("nan")),
        lambda: F.dropout(X, "half"),
        lambda: F.dropout(X, None),
        lambda: F.dropout(X, 0.5, inplace=True),
        lambda: F.dropout(_i(3), 0.5),
        lambda: F.dropout(X.numpy(), 0.5),
        lambda: F.dropout(X, "half", training=False),
    ],
    "pad": [
        lambda: F.pad(X, (1,)),
        lambda: F.pad(X, 1),
        lambda: F.pad(X, (1, 1, 1, 1, 1, 1, 1, 1, 1, 1)),
        lambda: F.pad(X, (1.5, 1)),
        lambda: F.pad(X, "ab"),
        lambda: F.pad(X, (1, 1), "mirror"),
        lambda: F.pad(X, (1, 1), "reflect", 1.0),
        lambda: F.pad(X, (6, 0), "reflect"),
        lambda: F.pad(X, (7, 0), "circular"),
        lambda: F.pad(X, (-7, 0)),
        lambda: F.pad(X, (-4, -4)),
        lambda: F.pad(X, (1, 1), value="a"),
        lambda: F.pad(X.numpy(), (1, 1)),
        lambda: F.pad(_t(2, 0), (1, 1), "replicate"),
        lambda: F.pad(tg.zeros(2, dtype="uint8"), (1, 1), value=300),
    ],
    "softmax": [
        lambda: F.softmax(LOGITS),
        lambda: F.softmax(LOGITS, 2),
        lambda: F.softmax(LOGITS, -3),
        lambda: F.softmax(LOGITS, 1.0),
        lambda: F.softmax(LOGITS, "1"),
        lambda: F.softmax(LABELS, 0),
        lambda: F.softmax([1.0, 2.0], 0),
        lambda: F.softmax(tg.tensor(1.0), 0),
        lambda: F.softmax(_t(3, 0), 1),
    ],
    "log_softmax": [
        lambda: F.log_softmax(LOGITS),
        lambda: F.log_softmax(LOGITS, 5),
        lambda: F.log_softmax(LABELS, 0),
        lambda: F.log_softmax(LOGITS, (0, 1)),
    ],
    "cross_entropy": [
        lambda: F.cross_entropy(LOGITS, LABELS[:3]),
        lambda: F.cross_entropy(LOGITS, LABELS.reshape(4, 1)),
        lambda: F.cross_entropy(LOGITS, LABELS.astype("float32")),
        lambda: F.cross_entropy(LOGITS, LABELS > 0),
        lambda: F.cross_entropy(LOGITS, [0, 1, 2, 0]),
        lambda: F.cross_entropy(LOGITS, LABELS.numpy()),
        lambda: F.cross_entropy(LOGITS.numpy(), LABELS),
        lambda: F.cross_entropy(LABELS, LABELS),
        lambda: F.cross_entropy(LOGITS, LABELS, tg.ones(4)),
        lambda: F.cross_entropy(LOGITS, LABELS, np.ones(3)),
        lambda: F.cross_entropy(LOGITS, LABELS, tg.ones(3, dtype="float64")),
        lambda: F.cross_entropy(LOGITS, LABELS, reduction="average"),
        lambda: F.cross_entropy(LOGITS, LABELS, reduction=None),
        lambda: F.cross_entropy(LOGITS, LABELS, label_smoothing=1.5),
        lambda: F.cross_entropy(LOGITS, LABELS, label_smoothing=-0.1),
        lambda: F.cross_entropy(LOGITS, LABELS, label_smoothing="a"),
        lambda: F.cross_entropy(LOGITS, LABELS, ignore_index=1.5),
        lambda: F.cross_entropy(LOGITS, LABELS, ignore_index=None),
        lambda: F.cross_entropy(LOGITS, F.softmax(_t(4, 2), 1)),
        lambda: F.cross_entropy(_t(4, 0), LABELS),
        lambda: F.cross_entropy(tg.tensor(1.0), tg.tensor(0, dtype="int64")),
    ],
    "nll_loss": [
        lambda: F.nll_loss(LOGITS, LABELS.astype("float32")),
        lambda: F.nll_loss(LOGITS, LOGITS),
        lambda: F.nll_loss(LOGITS, LABELS[:3]),
        lambda: F.nll_loss(LOGITS, LABELS, reduction="max"),
        lambda: F.nll_loss(LOGITS, LABELS, tg.ones(2)),
        lambda: F.nll_loss(LOGITS, LABELS, ignore_index="none"),
        lambda: F.nll_loss(LABELS, LABELS),
    ],
    "mse_loss": [
        lambda: F.mse_loss(LOGITS, _t(4, 1)),
        lambda: F.mse_loss(LOGITS, _t(4)),
        lambda: F.mse_loss(LOGITS, LABELS),
        lambda: F.mse_loss(LOGITS, 1.0),
        lambda: F.mse_loss(LOGITS, LOGITS, reduction="avg"),
        lambda: F.mse_loss(LOGITS.numpy(), LOGITS),
    ],
    "one_hot": [
        lambda: F.one_hot(LOGITS),
        lambda: F.one_hot([0, 1]),
        lambda: F.one_hot(LABELS, -5),
        lambda: F.one_hot(LABELS, 2.5),
        lambda: F.one_hot(tg.zeros(0, dtype="int64")),
        lambda: F.one_hot(tg.zeros(0, dtype="int64"), -5),
        lambda: F.one_hot(LABELS > 0),
    ],
    "hardtanh": [
        lambda: F.hardtanh(X, 1.0, -1.0),
        lambda: F.hardtanh(X, 1.0, 1.0),
        lambda: F.hardtanh(X, "low", 1.0),
        lambda: F.hardtanh(X, inplace=True),
    ],
    "prelu": [
        lambda: F.prelu(X, _t(2)),
        lambda: F.prelu(X, _t(3, 1)),
        lambda: F.prelu(_t(3), _t(3)),
        lambda: F.prelu(X, 0.25),
        lambda: F.prelu(X, _t(1, dtype="float64")),
        lambda: F.prelu(X, _i(1)),
    ],
    "rrelu": [
        lambda: F.rrelu(X, 0.5, 0.1),
        lambda: F.rrelu(X, None),
        lambda: F.rrelu(X, inplace=True),
        lambda: F.rrelu(X, float("nan"), training=True),
    ],
    "leaky_relu": [lambda: F.leaky_relu(X, "a"), lambda: F.leaky_relu(X, None), lambda: F.leaky_relu(X, inplace=True)],
    "elu": [
        lambda: F.norm_act(X, MEAN, VAR, training=True, activation="elu", alpha="a"),
        lambda: F.elu(X, "a"),
        lambda: F.elu(X, _t(3)),
        lambda: F.elu(X, inplace=True),
    ],
    "celu": [
        lambda: F.norm_act(X, MEAN, VAR, training=True, activation="celu", alpha=0),
        lambda: F.celu(X, 0),
        lambda: F.celu(X, "a"),
    ],
    "gelu": [lambda: F.gelu(X, "fast"), lambda: F.gelu(X, None)],
    "softplus": [lambda: F.softplus(X, 0), lambda: F.softplus(X, -1.0), lambda: F.softplus(X, 1.0, "a")],
    "penalized_tanh": [lambda: F.penalized_tanh(X, "a")],
    "shifted_tanh": [lambda: F.shifted_tanh(X, [1.0])],
    "activation": [lambda: F.get_activation("thanh"), lambda: F.get_activation(None)],
}

for _name in F.ACTIVATIONS:
    if _name != "prelu":  # it takes a weight, and is listed above
        WRONG.setdefault(_name, []).extend(
            lambda name=_name, x=x: getattr(F, name)(x) for x in (_i(3), X.numpy(), 1.0, None)
        )

WRONG_CLASSES = {
    "cross_entropy": [
        lambda: F.cross_entropy(LOGITS, tg.tensor([0, 1, 2, 3], dtype="int64")),
        lambda: F.cross_entropy(LOGITS, tg.tensor([0, 1, 2, -1], dtype="int64")),
    ],
    "nll_loss": [lambda: F.nll_loss(LOGITS, tg.tensor([0, 1, 2, 3], dtype="int64"))],
    "one_hot": [
        lambda: F.one_hot(LABELS, 2),
        lambda: F.one_hot(LABELS, 0),
        lambda: F.one_hot(tg.tensor([-1, 0], dtype="int64")),
    ],
}


def _listed(table: dict[str, list[Callable[[], Any]]]) -> list[Any]:
    return [pytest.param(name, call, id=f"{name}-{i}") for name, calls in table.items() for i, call in enumerate(calls)]


@pytest.mark.cpu_only("a GPU would have to stop and answer")
@pytest.mark.parametrize(("name", "call"), _listed(WRONG_CLASSES))
def test_wrong_classes(name: str, call: Callable[[], Any]) -> None:
    test_wrong_call(name, call)


@pytest.mark.parametrize(("name", "call"), _listed(WRONG))
def test_wrong_call(name: str, call: Callable[[], Any]) -> None:
    inputs = [X, W, B, LOGITS, LABELS, MEAN, VAR]
    before = [(t.numpy().copy(), t.version.count) for t in inputs]
    with pytest.raises(TinygradBNError, match=rf"^in {name}: expected .+, got ") as caught:
        call()
    assert re.search(r"got \S", str(caught.value))
    assert isinstance(caught.value, ValueError | TypeError | RuntimeError)
    for tensor, (old, version) in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(tensor.numpy(), old)
        assert tensor.version.count == version
