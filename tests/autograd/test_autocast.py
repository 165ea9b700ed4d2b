"""Mixed precision: the dtypes that PyTorch chooses on a GPU, gradients in float32, and one cast per parameter."""

from __future__ import annotations

import contextlib
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from cases import EVERYTHING
from compare import torch

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn, optim
from tinygrad_bn.autograd import is_autocast_enabled, trace
from tinygrad_bn.dtypes import is_floating
from tinygrad_bn.errors import DTypeError

TF = torch.nn.functional
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
HALVES = ["float16", "bfloat16"]


def weight(*shape: int) -> tg.Tensor:
    return tg.tensor(np.random.default_rng(0).standard_normal(shape), dtype="float32", requires_grad=True)


# Against PyTorch's rules for GPUs, which its fake tensors follow without one.


@contextlib.contextmanager
def torch_on_a_gpu(dtype: str) -> Iterator[None]:
    fake_tensor = pytest.importorskip("torch._subclasses.fake_tensor")
    before = torch.get_autocast_dtype("cuda")
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", getattr(torch, dtype))
    try:
        with fake_tensor.FakeTensorMode():
            yield
    finally:
        torch.set_autocast_enabled("cuda", False)
        torch.set_autocast_dtype("cuda", before)
        torch.clear_autocast_cache()


def torch_dtype(function: Callable[..., Any], arrays: list[np.ndarray], dtype: str) -> str:
    with torch_on_a_gpu(dtype), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inputs = [torch.empty(a.shape, dtype=getattr(torch, str(a.dtype)), device="cuda") for a in arrays]
        return str(function(*inputs).dtype).removeprefix("torch.")


def in_dtypes(arrays: list[np.ndarray], dtypes: list[str]) -> list[np.ndarray]:
    """Return the arrays, those of floating-point numbers in the dtypes in turn."""
    return [
        np.asarray(a).astype(dtypes[i % len(dtypes)] if a.dtype.kind == "f" else a.dtype) for i, a in enumerate(arrays)
    ]


# celu is made of other functions where PyTorch has fake tensors; 2 / x is a reciprocal there, here a division.
OTHERWISE = ("celu", "2.0 / x")


@pytest.mark.parametrize("start", [["float32"], ["float16"], ["float16", "float32"]], ids="-".join)
def test_the_dtypes_are_those_of_pytorch_on_a_gpu(start: list[str]) -> None:
    compared = 0
    for case in EVERYTHING:
        arrays = in_dtypes(case.draw(), start)
        ranks = [a.ndim for a in arrays if a.dtype.kind == "f"]
        if case.name.startswith(OTHERWISE) or len(ranks) < len(start) or (len(start) > 1 and 0 in ranks):
            continue  # a tensor without axes does not promote others in PyTorch
        try:
            expected = torch_dtype(case.theirs, arrays, "float16")
        except (RuntimeError, AssertionError):  # it holds tensors of the CPU, or does not take these dtypes
            continue
        with tg.autocast("float16"):
            found = case.ours(*[tg.tensor(a) for a in arrays]).dtype
        assert str(found) == expected, f"{case.name} of {start}"
        compared += 1
    assert compared > (100 if len(start) == 1 else 20)


LABELS = np.array([0, 2, 1])
FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any], list[Any]]] = {
    "cross_entropy": (F.cross_entropy, TF.cross_entropy, [(3, 4), LABELS]),
    "cross_entropy of probabilities": (F.cross_entropy, TF.cross_entropy, [(3, 4), (3, 4)]),
    "weighted cross_entropy": (
        lambda x, y, w: F.cross_entropy(x, y, w.astype("float32")),
        lambda x, y, w: TF.cross_entropy(x, y, w.float()),
        [(3, 4), LABELS, (4,)],
    ),
    "nll_loss": (F.nll_loss, TF.nll_loss, [(3, 4), LABELS]),
    "mse_loss": (F.mse_loss, TF.mse_loss, [(3, 4), (3, 4)]),
    "mse_loss without reduction": (
        lambda x, y: F.mse_loss(x, y, reduction="none"),
        lambda x, y: TF.mse_loss(x, y, reduction="none"),
        [(3, 4), (3, 4)],
    ),
    "softmax": (lambda x: F.softmax(x, 1), lambda x: TF.softmax(x, 1), [(3, 4)]),
    "softmax in float16": (
        lambda x: F.softmax(x, 1, dtype="float16"),
        lambda x: TF.softmax(x, 1, dtype=torch.float16),
        [(3, 4)],
    ),
    "where": (lambda x, y: tg.where(x > 0, x, y), lambda x, y: torch.where(x > 0, x, y), [(3, 4), (3, 4)]),
    "concatenate": (lambda x, y: tg.concatenate([x, y]), lambda x, y: torch.cat([x, y]), [(3, 4), (3, 4)]),
    "add": (lambda x, y: x + y, lambda x, y: x + y, [(3, 4), (3, 4)]),
    "matmul of vectors": (lambda x, y: x @ y, lambda x, y: x @ y, [(3,), (3,)]),
    "batches of matrices": (lambda x, y: x @ y, lambda x, y: x @ y, [(2, 3, 4), (2, 4, 5)]),
    "mean": (lambda x: x.mean(), lambda x: x.mean(), [(3, 4)]),
    "var": (lambda x: x.var(), lambda x: x.var(), [(3, 4)]),
    "max": (lambda x: x.max(), lambda x: x.max(), [(3, 4)]),
    "sum of integers": (lambda x: x.sum(), lambda x: x.sum(), [LABELS]),
    "batch_norm": (
        lambda x: F.batch_norm(x, None, None, training=True),
        lambda x: TF.batch_norm(x, None, None, training=True),
        [(3, 4)],
    ),
    "batch_norm with float32 parameters": (
        lambda x: F.batch_norm(x, None, None, tg.ones(4), tg.zeros(4), training=True),
        lambda x: TF.batch_norm(x, None, None, *(torch.ones(4, device="cuda") for _ in range(2)), training=True),
        [(3, 4)],
    ),
    "conv2d": (F.conv2d, TF.conv2d, [(1, 2, 4, 4), (3, 2, 3, 3), (3,)]),
    "conv_transpose2d": (F.conv_transpose2d, TF.conv_transpose2d, [(1, 2, 4, 4), (2, 3, 3, 3), (3,)]),
    "linear": (F.linear, TF.linear, [(3, 4), (5, 4), (5,)]),
    "linear without bias": (F.linear, TF.linear, [(3, 4), (5, 4)]),
    "prelu": (F.prelu, TF.prelu, [(3, 4), (4,)]),
}


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("start", [["float32"], ["float16"], ["float16", "float32"], ["float32", "float16"]])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_choose_the_dtypes_of_pytorch_on_a_gpu(name: str, start: list[str], dtype: str) -> None:
    ours, theirs, inputs = FUNCTIONS[name]
    rng = np.random.default_rng(0)
    arrays = in_dtypes([rng.uniform(0.1, 1.0, i) if isinstance(i, tuple) else i for i in inputs], start)
    expected = torch_dtype(theirs, arrays, dtype)
    with tg.autocast(dtype):
        found = ours(*[tg.tensor(a) for a in arrays])
    assert str(found.dtype) == expected


def small_network() -> tuple[nn.Module, Any]:
    ours = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5)
    )
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3, padding=1),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(36, 5),
    )
    theirs.load_state_dict({name: torch.tensor(p.numpy()) for name, p in ours.state_dict().items()})
    return ours, theirs


def test_loss_and_gradients_are_near_those_of_pytorch() -> None:
    """PyTorch's autocast on the CPU, for bfloat16, chooses the same dtypes for these layers."""
    ours, theirs = small_network()
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((16, 2, 6, 6)).astype("float32"), rng.integers(0, 5, 16)
    with tg.autocast("bfloat16"):
        loss = F.cross_entropy(ours(tg.tensor(images)), tg.tensor(labels))
    with torch.autocast("cpu", torch.bfloat16):
        expected = TF.cross_entropy(theirs(torch.tensor(images)).float(), torch.tensor(labels))
    loss.backward()
    expected.backward()
    assert loss.dtype == np.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-3)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert p.dtype == p.grad.dtype == np.float32
        if name != "0.bias":  # BatchNorm takes it away: what is left is rounding
            scale = q.grad.abs().max().item()
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), atol=0.02 * scale, err_msg=name)
    for name, b in ours.named_buffers():
        np.testing.assert_allclose(b.numpy(), theirs.get_buffer(name).numpy(), rtol=1e-2, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("order", ["convention", "swap"])
def test_fused_and_single_layers_agree(order: str) -> None:
    found = []
    for fused in (True, False):
        tg.manual_seed(0)
        block, images = nn.ConvBlock(2, 4, 3, order=order, activation="tanh", bias=False), tg.randn(4, 2, 6, 6)
        with tg.autocast("bfloat16"), nn.fusion(fused):
            y = block(images)
        assert y.dtype == BFLOAT16
        y.backward(tg.randn(*y.shape, dtype="bfloat16"))
        found.append([y, *(p.grad for p in block.parameters())])
        assert {str(b.dtype) for b in block.buffers() if is_floating(b.dtype)} == {"float32"}
    for a, b in zip(*found, strict=True):
        values, expected = a.numpy().astype("float64"), b.numpy().astype("float64")
        np.testing.assert_allclose(values, expected, rtol=0.05, atol=0.05 * np.abs(expected).max(initial=0.1))


# Regions


def half_of(x: tg.Tensor) -> np.dtype[Any]:
    return (x @ x).dtype


def test_regions_nest_and_end() -> None:
    x = tg.ones(2, 2)
    assert half_of(x) == np.float32
    with tg.autocast("float16"):
        assert half_of(x) == np.float16
        with tg.autocast("bfloat16"):
            assert half_of(x) == BFLOAT16
            with tg.autocast(enabled=False):
                assert half_of(x) == np.float32
                assert not is_autocast_enabled()
                with tg.autocast("float16"):
                    assert half_of(x) == np.float16
            assert half_of(x) == BFLOAT16
        assert half_of(x) == np.float16
    assert half_of(x) == np.float32
    with contextlib.suppress(ZeroDivisionError), tg.autocast("float16"):
        raise ZeroDivisionError
    assert not is_autocast_enabled()


def test_as_decorator() -> None:
    @tg.autocast("bfloat16")
    def inner(x: tg.Tensor, depth: int = 2) -> list[Any]:
        return [half_of(x), *(inner(x, depth - 1) if depth else [])]

    assert inner(tg.ones(2, 2)) == [BFLOAT16] * 3
    assert inner.__name__ == "inner"
    assert not is_autocast_enabled()
    with pytest.raises(DTypeError, match="@autocast"):
        tg.autocast("float16")(lambda: (yield))


def test_each_thread_has_its_own() -> None:
    found = []
    with tg.autocast("float16"):
        thread = threading.Thread(target=lambda: found.append(half_of(tg.ones(2, 2))))
        thread.start()
        thread.join()
    assert found == [np.float32]


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "int8", np.float32, "half a float", "bf16", None, 3, torch.float16]
)
def test_other_dtypes_are_refused(dtype: Any) -> None:
    said = f"in autocast: expected 'float16' or 'bfloat16', got {dtype!r}"
    with pytest.raises(DTypeError, match=f"^{re.escape(said)}$"):
        tg.autocast(dtype)


def test_a_device_is_refused_with_the_reason() -> None:
    calls: list[Callable[[], Any]] = [
        lambda: tg.autocast("cuda"),
        lambda: tg.autocast("cpu", dtype="bfloat16"),  # type: ignore[misc]
        lambda: tg.autocast("cuda", dtype="bfloat16", enabled=True),  # type: ignore[misc]
        lambda: tg.autocast(device_type="cuda", dtype="bfloat16"),  # type: ignore[call-arg]
    ]
    for call in calls:
        with pytest.raises(DTypeError, match=r"^in autocast: expected .+; leave out the device, as in autocast\("):
            call()
    assert not is_autocast_enabled()


def test_a_decorator_without_parentheses_is_refused() -> None:
    with pytest.raises(DTypeError, match=r"got <function .+>; write @tg.autocast\(\) with parentheses"):

        @tg.autocast
        def inner() -> None:
            pass


def test_wrong_flags_are_refused() -> None:
    with pytest.raises(DTypeError, match="enabled"):
        tg.autocast("float16", enabled="yes")  # type: ignore[arg-type]


def test_float64_and_integers_are_left_alone() -> None:
    with tg.autocast("float16"):
        assert half_of(tg.ones(2, 2, dtype="float64")) == np.float64
        assert tg.ones(2, dtype="int64").sum().dtype == np.int64
        with pytest.raises(DTypeError, match="float64, got float16"):
            F.linear(tg.ones(2, 3, dtype="float64"), tg.ones(2, 3))


def test_the_backward_pass_computes_in_the_dtypes_of_the_forward_pass() -> None:
    """Also where it is called inside, and for gradients of gradients."""
    x, w = tg.ones(4, 3), weight(2, 3)
    seen = []
    with tg.autocast("float16"):
        y = (x @ w.T).exp()
        y.register_hook(lambda grad: seen.append(grad.dtype))
        (first,) = tg.grad(y.sum(), [w], create_graph=True)
        (first * first).sum().backward()
    assert first.dtype == w.grad.dtype == np.float32
    assert seen
    assert set(seen) == {np.dtype("float32")}
    outside = weight(2, 3)
    with tg.autocast("float16"):
        y = (x @ outside.T).exp()
    (again,) = tg.grad(y.sum(), [outside], create_graph=True)
    (again * again).sum().backward()
    np.testing.assert_array_equal(outside.grad.numpy(), w.grad.numpy())


# One cast per parameter


def weight_of(y: tg.Tensor) -> np.ndarray:
    """Return the array that a linear layer was computed with."""
    array: np.ndarray = y._node.saved[1].array
    return array


def test_a_parameter_is_cast_once_in_a_region() -> None:
    w, x = weight(3, 3), tg.ones(2, 3)
    with tg.autocast("float16"):
        first = F.linear(x, w)
        with tg.autocast("float16"):
            second = F.linear(x, w)
        with tg.autocast("bfloat16"):
            other = F.linear(x, w)
        assert weight_of(first) is weight_of(second)
        assert weight_of(other).dtype == BFLOAT16
    with tg.autocast("float16"):
        assert weight_of(F.linear(x, w)) is not weight_of(first)
    assert weight_of(F.linear(x, w)) is w.data  # outside
    total = first.sum() + second.sum()
    total.backward()
    np.testing.assert_array_equal(w.grad.numpy(), np.full((3, 3), 4.0))


def test_losses_that_share_a_cast_go_backward_one_after_the_other() -> None:
    w, x = weight(3, 3), tg.ones(2, 3)
    with tg.autocast("float16"):
        first, second = F.linear(x, w).sum(), F.linear(x, w).sum()
    first.backward()
    second.backward()
    np.testing.assert_array_equal(w.grad.numpy(), np.full((3, 3), 4.0))


def test_a_changed_parameter_is_cast_again() -> None:
    w, x = weight(3, 3), tg.ones(2, 3)
    optimizer = optim.SGD([w], lr=0.5)
    with tg.autocast("bfloat16"):
        for _ in range(3):
            optimizer.zero_grad()
            y = F.linear(x, w)
            np.testing.assert_array_equal(y.numpy(), F.linear(x, tg.tensor(w.numpy())).numpy())
            y.sum().backward()  # its graph is freed: the next step needs another cast in any case
            optimizer.step()
        before = F.linear(x, w)
        with tg.no_grad():
            w.assign_(tg.zeros(3, 3))
        assert F.linear(x, w).numpy().any() is np.False_
        w.data = np.ones((3, 3), "float32")
        assert F.linear(x, w).numpy().all()
        assert before.numpy().any()


def test_a_cast_made_without_recording_does_not_stop_gradients() -> None:
    w, x = weight(3, 3), tg.ones(2, 3)
    with tg.autocast("float16"):
        with tg.no_grad():
            F.linear(x, w)
        y = F.linear(x, w)
        with tg.no_grad():
            assert not F.linear(x, w).requires_grad
    y.sum().backward()
    assert w.grad is not None


def test_a_second_backward_pass_in_one_region() -> None:
    w, x = weight(3, 3), tg.ones(2, 3)
    with tg.autocast("float16"):
        for _ in range(2):
            F.linear(x, w).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), np.full((3, 3), 4.0))


def test_what_is_computed_or_needs_no_gradient_is_not_kept() -> None:
    x = tg.ones(2, 3)
    frozen = tg.ones(3, 3)
    with tg.autocast("float16"):
        F.linear(x, frozen)
        frozen.data[...] = 2.0  # not noticed by anybody, as everywhere
        np.testing.assert_array_equal(F.linear(x, frozen).numpy(), np.full((2, 3), 6.0))


def test_a_trace_sees_every_cast() -> None:
    model, x = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2)), tg.ones(2, 3)
    names: list[str] = []
    with tg.autocast("float16"):
        model(x)
        with tg.no_grad(), trace(lambda result, _: names.append(result._node.op.name)):
            model(x)
    assert names.count("astype") == 5  # the images, two weights and two biases


@pytest.mark.parametrize("inside", [True, False])
def test_captured_steps_cast_the_weights_of_their_time(inside: bool, emulated_gpu: Any) -> None:
    """Also where the region is around the calls, and a cast from before the recording lies ready."""

    def train(captured: bool) -> tuple[list[np.ndarray], int]:
        w, x = tg.tensor(weight(3, 3), device="cuda", requires_grad=True), tg.ones(2, 3, device="cuda")
        optimizer = optim.SGD([w], lr=0.1)

        def step(x: tg.Tensor) -> tg.Tensor:
            optimizer.zero_grad()
            with tg.autocast("bfloat16") if inside else contextlib.nullcontext():
                y = F.linear(F.linear(x, w), w)
            y.sum().backward()
            optimizer.step()
            return y

        run: Any = tg.capture(step) if captured else step
        found = []
        with contextlib.nullcontext() if inside else tg.autocast("bfloat16"):
            F.linear(x, w)
            found += [run(x) for _ in range(7)]
        found += [run(x) for _ in range(5)]
        return [y.numpy().astype("float32") for y in (*found, w)], len(run.graphs) if captured else 0

    (expected, _), (found, graphs) = train(captured=False), train(captured=True)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert graphs == (1 if inside else 2)  # without the region it is another step
    assert len({a.tobytes() for a in found}) == len(found)


def test_a_module_trained_under_autocast_learns() -> None:
    """As well as in float32: the loss falls below a tenth."""
    rng = np.random.default_rng(0)
    images = tg.tensor(rng.standard_normal((64, 2, 6, 6)), dtype="float32")
    labels = tg.tensor((images.numpy().mean(axis=(2, 3)).argmax(axis=1)).astype("int64"))
    final = {}
    for dtype in (None, *HALVES):
        tg.manual_seed(0)
        model, _ = small_network()
        optimizer = optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
        for _ in range(40):
            optimizer.zero_grad()
            with tg.autocast(dtype or "float16", enabled=dtype is not None):
                loss = F.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
        final[dtype] = loss.item()
    assert max(final.values()) < 0.1, final
