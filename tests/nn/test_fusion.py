"""Blocks that run BatchNorm and activation as one operation: the same results, and only where nobody watches."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn
from tinygrad_bn.autograd import Node, trace
from tinygrad_bn.errors import DTypeError, ShapeError
from tinygrad_bn.lab import ModelProbe

IMAGES = np.random.default_rng(0).standard_normal((6, 2, 7, 7)).astype("float32")
PAIRED = [word for word in nn.ORDERS if {"norm-act", "act-norm"} & {word[i : i + 8] for i in range(len(word))}] + [
    "convention",
    "swap",
    "preact",
]
APART = ["norm-weight-act", "act-weight-norm", "weight-act", "act-weight"]


def operations(output: tg.Tensor) -> list[str]:
    """The names of the operations behind a tensor, last first."""
    names, pending = [], [output._node]
    while pending:
        node = pending.pop()
        if isinstance(node, Node):
            names.append(node.op.name)
            pending.extend(node.edges)  # type: ignore[arg-type]
    return names


def is_fused(block: nn.Module) -> bool:
    names = operations(block(tg.tensor(IMAGES, requires_grad=True)))
    return any(name.startswith("norm_act") for name in names)


def step(model: nn.Module, images: np.ndarray, enabled: bool) -> list[np.ndarray]:
    """Output, gradients and buffers after a forward and a backward pass."""
    x = tg.tensor(images, requires_grad=True)
    with nn.fusion(enabled):
        output = model(x)
    (output * output).sum().backward()
    gradients = [p.grad.numpy() for p in model.parameters()]
    return [output.numpy(), x.grad.numpy(), *gradients, *(b.numpy().copy() for b in model.buffers())]


def test_the_orders_with_a_pair_are_fused_and_no_others() -> None:
    assert sorted(PAIRED + APART + ["no-norm"]) == sorted(nn.ORDERS)
    assert all(is_fused(nn.ConvBlock(2, 3, 3, order=order)) for order in PAIRED)
    assert not any(is_fused(nn.ConvBlock(2, 3, 3, order=order)) for order in APART)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("activation", [name for name in nn.ACTIVATIONS if name != "rrelu"])
@pytest.mark.parametrize("order", PAIRED)
def test_fused_and_separate_agree(order: str, activation: str, training: bool) -> None:
    block = nn.ConvBlock(2, 3, 3, order=order, activation=activation)
    twin = copy.deepcopy(block)
    for _ in range(2):
        for a, b in zip(
            step(block.train(training), IMAGES, True), step(twin.train(training), IMAGES, False), strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "norm",
    [
        lambda channels: nn.BatchNorm2d(channels, momentum=None),
        lambda channels: nn.BatchNorm2d(channels, affine=False),
        lambda channels: nn.BatchNorm2d(channels, track_running_stats=False),
        lambda channels: nn.BatchNorm2d(channels, eps=0.3, momentum=0.7),
    ],
    ids=["cumulative", "plain", "untracked", "eps and momentum"],
)
@pytest.mark.parametrize("order", ["convention", "swap"])
def test_every_kind_of_batch_norm(order: str, norm: Callable[[int], nn.Module]) -> None:
    block = nn.ConvBlock(2, 3, 3, order=order, activation="leaky_relu", norm=norm)
    twin = copy.deepcopy(block)
    assert is_fused(copy.deepcopy(block))
    for training in (True, True, False, True):
        one, two = (step(m.train(training), IMAGES, on) for m, on in ((block, True), (twin, False)))
        for a, b in zip(one, two, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    if block.norm.num_batches_tracked is not None:
        assert block.norm.num_batches_tracked.item() == 3


def test_the_norms_own_mode_counts() -> None:
    """A frozen norm in a block that is trained: evaluation."""
    block = nn.ConvBlock(2, 3, 3)
    block.norm.eval()
    assert "norm_act_eval" in operations(block(tg.tensor(IMAGES, requires_grad=True)))
    assert block.norm.num_batches_tracked.item() == 0


def test_settings_changed_later_are_seen() -> None:
    block = nn.ConvBlock(2, 3, 3, activation="leaky_relu").eval()
    before = block(tg.tensor(IMAGES)).numpy()
    block.act.negative_slope = 0.5
    block.norm.eps = 0.1
    after = block(tg.tensor(IMAGES))
    with nn.fusion(False):
        np.testing.assert_allclose(after.numpy(), block(tg.tensor(IMAGES)).numpy(), rtol=1e-5, atol=1e-6)
    assert not np.allclose(after.numpy(), before, atol=1e-3)


def test_linear_blocks_and_sequences() -> None:
    block = nn.LinearBlock(5, 4, order="swap", activation="tanh")
    twin = copy.deepcopy(block)
    values = np.random.default_rng(0).standard_normal((6, 5)).astype("float32")
    for a, b in zip(step(block, values, True), step(twin, values, False), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    assert "norm_act" in operations(block(tg.tensor(values)))


@pytest.mark.parametrize("order", ["convention", "swap"])
@pytest.mark.parametrize("name", ["norm", "act"])
@pytest.mark.parametrize("register", ["register_forward_hook", "register_forward_pre_hook"])
def test_a_hook_on_either_of_them_sees_its_call(order: str, name: str, register: str) -> None:
    block = nn.ConvBlock(2, 3, 3, order=order)
    seen: list[tuple[Any, ...]] = []
    handle = getattr(getattr(block, name), register)(lambda *arguments: seen.append(arguments))
    assert not is_fused(block)
    assert len(seen) == 1
    handle.remove()
    assert is_fused(block)
    assert len(seen) == 1


def test_a_hook_that_replaces_a_value_works() -> None:
    block = nn.ConvBlock(2, 3, 3)
    block.norm.register_forward_hook(lambda module, arguments, output: output * 0.0 + 2.0)
    np.testing.assert_array_equal(block(tg.tensor(IMAGES)).numpy(), 2.0)


def test_hooks_on_the_block_and_the_convolution_are_called_once_and_do_not_matter() -> None:
    block, seen = nn.ConvBlock(2, 3, 3), []
    block.register_forward_pre_hook(lambda module, arguments: seen.append("before"))
    block.conv.register_forward_hook(lambda module, arguments, output: seen.append("conv"))
    block.register_forward_hook(lambda module, arguments, output: seen.append("after"))
    assert is_fused(block)
    assert seen == ["before", "conv", "after"]


def test_traces_see_every_operation() -> None:
    block = nn.ConvBlock(2, 3, 3, order="swap", activation="tanh").eval()
    with trace():
        names = operations(block(tg.tensor(IMAGES)))
    assert names == ["batch_norm_eval", "tanh", "conv2d"]
    rows = block.summary(tg.tensor(IMAGES))
    assert [rows[name].calls for name in ("", "conv", "act", "norm")] == [1, 1, 1, 1]
    assert rows["norm"].flops > rows["act"].flops > 0


def test_probes_see_the_activation() -> None:
    model = nn.SmallCNN(2, 4, 7, width=2, order="convention", activation="tanh")
    probe = ModelProbe(model, "tanh")
    with probe.watching():
        model(tg.tensor(IMAGES))
    assert (probe.arrays()["000/activation/count"] > 0).all()


class Doubled(nn.BatchNorm2d):
    """A norm that computes something else."""

    def forward(self, input: tg.Tensor) -> tg.Tensor:
        return super().forward(input) * 2.0


class Shifted(nn.Tanh):
    """An activation that computes something else."""

    def forward(self, input: tg.Tensor) -> tg.Tensor:
        return super().forward(input) + 1.0


@pytest.mark.parametrize("order", ["convention", "swap"])
def test_modules_of_ones_own_are_called(order: str) -> None:
    x = tg.tensor(IMAGES)
    for options in ({"norm": Doubled}, {"activation": Shifted}, {"activation": nn.PReLU}, {"activation": "rrelu"}):
        block = nn.ConvBlock(2, 3, 3, order=order, **options)  # type: ignore[arg-type]
        assert not is_fused(block)
    block = nn.ConvBlock(2, 3, 3, order=order)
    block.act = nn.Dropout(1.0)
    assert not is_fused(block)
    block = nn.ConvBlock(2, 3, 3, order=order)
    block.norm.forward = lambda input: input * 0.0  # type: ignore[method-assign]
    np.testing.assert_array_equal(block(x).numpy(), 0.0)


def test_what_is_put_between_them_or_behind_them_is_run() -> None:
    block = nn.ConvBlock(2, 3, 3)
    block.append(nn.Softplus())
    np.testing.assert_array_equal(block(tg.tensor(IMAGES)).numpy() >= np.float32(np.log(2)), True)
    parts = list(block.children())
    mixed = nn.ConvBlock(2, 3, 3)
    mixed.norm, mixed.act = parts[1], nn.Sequential(nn.Dropout(0.0), parts[2])
    assert not is_fused(mixed)


def test_slices_copies_and_the_text_of_a_block_are_as_ever() -> None:
    block = nn.ConvBlock(2, 3, 3)
    x = tg.tensor(IMAGES)
    before = (repr(block), list(block.state_dict()))
    whole = block(x)
    np.testing.assert_allclose(block[1:](block[0](x)).numpy(), whole.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(block[:2](x).numpy().mean(axis=(0, 2, 3)), 0.0, atol=1e-5)
    np.testing.assert_array_equal(copy.deepcopy(block)(x).numpy(), block(x).numpy())
    assert (repr(block), list(block.state_dict())) == before


def test_the_switch_is_put_back_and_holds_in_its_own_thread() -> None:
    block = nn.ConvBlock(2, 3, 3)
    with nn.fusion(False):
        assert not is_fused(block)
        with nn.fusion(True):
            assert is_fused(block)
        assert not is_fused(block)
        seen: list[bool] = []
        thread = threading.Thread(target=lambda: seen.append(is_fused(block)))
        thread.start()
        thread.join()
        assert seen == [True]
    with pytest.raises(ZeroDivisionError), nn.fusion(False):
        _ = 1 / 0
    assert is_fused(block)
    with pytest.raises(DTypeError, match="in fusion: expected enabled to be True or False, got 1"), nn.fusion(1):  # type: ignore[arg-type]
        pass


@pytest.mark.parametrize("order", ["norm-act-weight", "act-norm-weight"])
def test_a_wrong_input_gives_batch_norms_own_error_and_changes_nothing(order: str) -> None:
    block = nn.ConvBlock(2, 3, 3, order=order)
    for shape, message in (((4, 3, 7, 7), "2 channels"), ((4, 2), r"\(N, C, H, W\)")):
        with pytest.raises(ShapeError, match=rf"in BatchNorm2d: expected input.*{message}"):
            block(tg.zeros(*shape))
    assert block.norm.num_batches_tracked.item() == 0
    with pytest.raises(ValueError, match=r"at least 2 values per channel.*eval\(\)"):
        block(tg.zeros(1, 2, 1, 1))
    assert block.norm.num_batches_tracked.item() == 0
    assert block.norm.running_mean.tolist() == [0.0, 0.0]


def test_second_derivatives_and_retained_graphs() -> None:
    for order in ("convention", "swap"):
        block = nn.ConvBlock(2, 3, 3, order=order, activation="tanh").double()
        x = tg.tensor(IMAGES, dtype="float64", requires_grad=True)
        found = []
        for enabled in (True, False):
            with nn.fusion(enabled):
                (slope,) = tg.grad((block(x) ** 2).sum(), x, create_graph=True)
            (curvature,) = tg.grad((slope * slope).sum(), x, retain_graph=True)
            (again,) = tg.grad((slope * slope).sum(), x)
            np.testing.assert_array_equal(curvature.numpy(), again.numpy())
            found.append(curvature.numpy())
        np.testing.assert_allclose(*found, rtol=1e-9, atol=1e-9)


def test_training_with_and_without_fusion_takes_the_same_way() -> None:
    labels = tg.tensor(np.arange(6) % 4)
    losses = []
    for enabled in (True, False):
        tg.manual_seed(3)
        model = nn.SmallCNN(2, 4, 7, width=4, order="swap", activation="tanh")
        optimizer = tg.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        with nn.fusion(enabled):
            for _ in range(5):
                optimizer.zero_grad()
                loss = F.cross_entropy(model(tg.tensor(IMAGES)), labels)
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
    assert losses[4] < losses[0]
    np.testing.assert_allclose(losses[:5], losses[5:], rtol=1e-4)
