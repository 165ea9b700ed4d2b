"""A gradient has memory of its own: nothing else may show it, and nothing may change it later."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import EVERYTHING, Case
from compare import assert_close, cast, leaves, torch
from memory import on_host, shares_memory

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn.autograd import Node
from tinygrad_bn.backend import BufferPool, device_of


def assert_apart(arrays: dict[str, Any], others: dict[str, Any] | None = None) -> None:
    """No two of the arrays share memory, nor does one of them with one of the others."""
    pairs = [*itertools.combinations(arrays.items(), 2), *itertools.product(arrays.items(), (others or {}).items())]
    for (name, a), (other_name, b) in pairs:
        assert not shares_memory(a, b), f"{name} and {other_name}"


def gradients(**tensors: tg.Tensor) -> dict[str, Any]:
    for name, tensor in tensors.items():
        assert tensor.grad is not None, name
        assert getattr(tensor.grad.data.flags, "writeable", True), name  # a GPU's arrays always are
        assert not tensor.grad.requires_grad
    return {f"{name}.grad": tensor.grad.data for name, tensor in tensors.items() if tensor.grad is not None}


def kept_in_the_graph(output: tg.Tensor) -> dict[str, Any]:
    """Return all arrays that the nodes below a tensor hold: saved inputs and outputs, statistics, masks."""
    arrays: dict[str, Any] = {"output": output.data}
    nodes, stack = set(), [output._node]
    while stack:
        node = stack.pop()
        if not isinstance(node, Node) or node in nodes:
            continue
        nodes.add(node)
        stack.extend(node.edges)
        kept = node.op.kept if isinstance(node.op.kept, tuple) else (node.op.kept,)
        held = [s.array for s in (*node.saved, node.output) if hasattr(s, "array")]
        for number, array in enumerate((*held, *kept)):
            if device_of(array) is not None:
                arrays[f"{node.op.name} {node.index} {number}"] = array
    return arrays


@pytest.mark.parametrize("case", [c for c in EVERYTHING if c.draw()[0].dtype.kind == "f"], ids=repr)
def test_every_operation(case: Case) -> None:
    inputs = leaves(cast(case.draw(), "float32"))
    output = case.ours(*inputs)
    start = np.asarray(np.random.default_rng(1).standard_normal(output.shape)).astype(output.dtype)
    others = {"start": start, **kept_in_the_graph(output)}
    others |= {f"input {number}": x.data for number, x in enumerate(inputs)}
    before = {name: on_host(array).copy() for name, array in others.items()}
    output.backward(start, retain_graph=True)
    first = gradients(**{f"input {n}": x for n, x in enumerate(inputs) if x.grad is not None})
    assert first
    assert_apart(first, others)
    held = {name: on_host(array).copy() for name, array in first.items()}
    output.backward(start, retain_graph=True)
    second = gradients(**{f"input {n}": x for n, x in enumerate(inputs) if x.grad is not None})
    assert_apart(second, first | others)
    for name, array in second.items():
        np.testing.assert_array_equal(on_host(first[name]), held[name], err_msg=f"{name} of the first pass has changed")
        np.testing.assert_array_equal(on_host(array), 2.0 * held[name], err_msg=f"{name} of the second pass differs")
    for name, array in others.items():
        np.testing.assert_array_equal(on_host(array), before[name], err_msg=f"{name} has changed")


# -- at sizes for which the kernels take memory from the pool ---------------------------------------------------


def _conv(out_channels: int, channels: int, kernel: int, side: int = 16, **arguments: Any) -> Callable[[], Any]:
    def make() -> tuple[Any, dict[str, tg.Tensor]]:
        groups = arguments.get("groups", 1)
        tensors = {
            "x": tg.randn(8, channels, side, side),
            "weight": tg.randn(out_channels, channels // groups, kernel, kernel),
            "bias": tg.randn(out_channels),
        }
        return F.conv2d, tensors | arguments

    return make


def _norm(function: str, **arguments: Any) -> Callable[[], Any]:
    def make() -> tuple[Any, dict[str, Any]]:
        statistics = {"running_mean": tg.zeros(32), "running_var": tg.ones(32)}
        tensors = {"x": tg.randn(8, 32, 16, 16), "weight": tg.randn(32), "bias": tg.randn(32)}
        return getattr(F, function), tensors | statistics | arguments

    return make


LARGE = {
    "conv 3x3": _conv(32, 32, 3, padding=1),
    "conv 3x3, many channels": _conv(260, 260, 3, side=4, padding=1),
    "conv 3x3, few channels": _conv(64, 3, 3, padding=1),
    "conv 3x3, stride 2": _conv(64, 64, 3, stride=2),
    "conv 5x5": _conv(32, 32, 5, padding=2),
    "conv 5x5, small images": _conv(64, 64, 5, side=4, padding=2),
    "conv 1x1": _conv(128, 128, 1),
    "conv 1x1 to few channels": _conv(4, 2100, 1, side=4),
    "conv, groups": _conv(64, 64, 3, padding=1, groups=2),
    "conv, depthwise": _conv(64, 64, 3, padding=1, groups=64),
    "linear": lambda: (F.linear, {"x": tg.randn(64, 300), "weight": tg.randn(200, 300), "bias": tg.randn(200)}),
    "linear, one row": lambda: (F.linear, {"x": tg.randn(1, 900), "weight": tg.randn(900, 900), "bias": tg.randn(900)}),
    "batch norm, training": _norm("batch_norm", training=True),
    "batch norm, evaluation": _norm("batch_norm", training=False),
    "norm act, training": _norm("norm_act", training=True, order="convention", activation="relu"),
    "norm act, evaluation": _norm("norm_act", training=False, order="convention", activation="tanh"),
    "act norm, training": _norm("norm_act", training=True, order="swap", activation="relu"),
    "act norm, evaluation": _norm("norm_act", training=False, order="swap", activation="tanh"),
    "norm act, identity": _norm("norm_act", training=False, order="swap", activation="identity"),
}


def _made(make: Callable[[], Any]) -> tuple[Callable[[], tg.Tensor], dict[str, tg.Tensor]]:
    """Return a call without arguments, and the leaves among its inputs."""
    function, arguments = make()
    x, others = arguments["x"], {name: value for name, value in arguments.items() if name != "x"}
    inputs = {name: arguments[name].requires_grad_() for name in ("x", "weight", "bias")}
    return lambda: function(x, **others), inputs


@pytest.mark.parametrize("what", LARGE)
def test_large_gradients_stay_as_they_are(what: str) -> None:
    """The user keeps the gradients of several passes; later ones must not be written into the same memory."""
    call, inputs = _made(LARGE[what])
    kept: dict[str, Any] = {}
    copies: dict[str, Any] = {}
    for step in range(4):
        if step == 2:  # until then each pass adds to the gradients of the one before
            for tensor in inputs.values():
                tensor.grad = None
        output = call()
        start = tg.randn(*output.shape)
        others = {"start": start.data, **kept_in_the_graph(output), **{n: t.data for n, t in inputs.items()}}
        if step % 2:
            output.backward(start, retain_graph=True)
            assert_apart(gradients(**inputs), others)
        output.backward(start)
        found = {f"{name} of step {step}": array for name, array in gradients(**inputs).items()}
        assert_apart(found, others)
        kept |= found
        copies |= {name: on_host(array).copy() for name, array in found.items()}
    assert_apart(kept)
    for name, array in kept.items():
        np.testing.assert_array_equal(on_host(array), copies[name], err_msg=name)


@pytest.mark.cpu_only("about the pool of host memory")
@pytest.mark.parametrize("what", LARGE)
def test_gradients_hold_no_more_memory_than_they_need(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are kept for long, so they must not be the beginning of some larger block that happened to be free."""
    monkeypatch.setattr(tg.get_device("cpu"), "memory", BufferPool())
    tg.get_device("cpu").memory.empty((1 << 24,), "uint8")  # which is free again at once
    call, inputs = _made(LARGE[what])
    call().sum().backward()
    for name, array in gradients(**inputs).items():
        block = array
        while isinstance(block.base, np.ndarray):
            block = block.base
        assert block.nbytes <= max(1.04 * array.nbytes + 64, 1 << 15), name


# -- who else gets the same array --------------------------------------------------------------------------------


def test_one_array_that_goes_to_several_leaves() -> None:
    for create_graph in (False, True):
        a, b, c = (tg.randn(100, 100, requires_grad=True) for _ in range(3))
        start = tg.randn(100, 100)
        (a + (b + c)).backward(start, create_graph=create_graph)
        assert_apart({"a": a.grad.data, "b": b.grad.data, "c": c.grad.data}, {"start": start.data})
        np.testing.assert_array_equal(a.grad, start)


@pytest.mark.parametrize("turned", [False, True])
def test_a_new_gradient_and_one_that_others_get_too(turned: bool) -> None:
    """x gets the sum of what flows through the convolution and of the array that y gets as well."""
    x, y = (tg.randn(4, 8, 9, 9, requires_grad=True) for _ in range(2))
    weight = tg.randn(8, 8, 3, 3, requires_grad=True)
    through = F.conv2d(x, weight, padding=1)
    start = tg.randn(*x.shape)
    (x + y + through if turned else through + (x + y)).backward(start)
    assert_apart(gradients(x=x, y=y, weight=weight), {"start": start.data})
    np.testing.assert_array_equal(y.grad, start)
    (expected,) = tg.grad(F.conv2d(x, weight, padding=1), x, start)
    np.testing.assert_allclose(x.grad, expected + start, rtol=1e-5, atol=1e-5)


def test_one_parameter_in_several_places() -> None:
    values, images = np.random.default_rng(0).standard_normal((8, 8, 3, 3)), tg.randn(2, 8, 12, 12, dtype="float64")
    weight = tg.tensor(values, requires_grad=True)
    scale = tg.full((8,), 0.5, dtype="float64", requires_grad=True)  # weight and bias of the same normalisation
    reference, reference_scale = (torch.tensor(t.numpy(), requires_grad=True) for t in (weight, scale))
    for passes in (1, 2):
        y = F.conv2d(F.conv2d(images, weight, padding=1), weight, padding=1)
        y = F.norm_act(y, None, None, scale, scale, training=True, activation="tanh")
        (y * weight.sum()).sum().backward()
        shown = torch.tensor(images.numpy())
        for _ in range(2):
            shown = torch.nn.functional.conv2d(shown, reference, padding=1)
        shown = torch.nn.functional.batch_norm(shown, None, None, reference_scale, reference_scale, training=True)
        (torch.tanh(shown) * reference.sum()).sum().backward()
        assert_close(weight.grad, reference.grad, f"pass {passes}")
        assert_close(scale.grad, reference_scale.grad, f"pass {passes}")
        assert_apart(gradients(weight=weight, scale=scale), {"weight": weight.data, "scale": scale.data})


def test_the_same_leaf_as_input_and_as_weight() -> None:
    w = tg.randn(4, 4, 3, 3, dtype="float64", requires_grad=True)
    reference = torch.tensor(w.numpy(), requires_grad=True)
    F.conv2d(w, w, padding=1).sum().backward()
    torch.nn.functional.conv2d(reference, reference, padding=1).sum().backward()
    assert_close(w.grad, reference.grad)
    assert not shares_memory(w.grad, w)


# -- hooks ---------------------------------------------------------------------------------------------------------


def _loss(weight: tg.Tensor, bias: tg.Tensor) -> tg.Tensor:
    return F.conv2d(tg.ones(2, 8, 6, 6), weight, bias).sum()


def test_what_a_hook_keeps_is_not_the_gradient() -> None:
    weight, bias = tg.randn(8, 8, 3, 3, requires_grad=True), tg.randn(8, requires_grad=True)
    seen: list[tg.Tensor] = []
    weight.register_hook(seen.append)
    _loss(weight, bias).backward()
    assert_apart(gradients(weight=weight, bias=bias), {"seen": seen[0].data})
    weight.grad.data[...] = 7.0
    assert not (seen[0] == 7.0).any().item()


def test_what_a_hook_that_removes_itself_keeps_is_not_the_gradient() -> None:
    weight, bias = tg.randn(8, 8, 3, 3, requires_grad=True), tg.randn(8, requires_grad=True)
    seen: list[tg.Tensor] = []

    def once(gradient: tg.Tensor) -> None:
        seen.append(gradient)
        handle.remove()

    for call in (lambda: _loss(weight, bias).backward(), lambda: seen.extend(tg.grad(_loss(weight, bias), weight))):
        seen.clear()
        handle = weight.register_hook(once)
        call()
        if weight.grad is not None:
            seen.append(weight.grad)
            weight.grad = None
        first, second = seen
        np.testing.assert_array_equal(first, second)
        assert not shares_memory(first, second)


def test_a_tensor_that_hooks_of_two_leaves_return() -> None:
    a, b = (tg.randn(64, 64, requires_grad=True) for _ in range(2))
    given = tg.randn(64, 64)
    for leaf in (a, b):
        leaf.register_hook(lambda gradient: given)
    F.linear(a, b).sum().backward()
    assert_apart(gradients(a=a, b=b), {"given": given.data})
    np.testing.assert_array_equal(a.grad, given)


def test_what_hooks_of_computed_tensors_and_retained_gradients_hold() -> None:
    x, weight = tg.randn(4, 8, 9, 9, requires_grad=True), tg.randn(8, 8, 3, 3, requires_grad=True)
    bias = tg.randn(4, 8, 9, 9, requires_grad=True)
    seen: list[tg.Tensor] = []
    y = F.conv2d(x, weight, padding=1)
    z = y + bias
    for tensor in (y, z):
        tensor.register_hook(seen.append)
        tensor.retain_grad()
    z.backward(tg.randn(*z.shape))
    held = {f"hook {number}": gradient.data for number, gradient in enumerate(seen)}
    assert_apart(gradients(x=x, weight=weight, bias=bias, y=y, z=z), held)


# -- tg.grad, and gradients of gradients -------------------------------------------------------------------------


def test_what_grad_returns() -> None:
    x, weight = tg.randn(4, 8, 9, 9, requires_grad=True), tg.randn(8, 8, 3, 3, requires_grad=True)
    y = F.conv2d(x, weight, padding=1)
    start = tg.randn(*y.shape)
    inputs = [x, weight, x, weight, y, y]
    found = {str(number): g.data for number, g in enumerate(tg.grad(y, inputs, start, retain_graph=True))}
    found |= {f"again {number}": g.data for number, g in enumerate(tg.grad(y, [x, weight], start))}
    assert all(getattr(array.flags, "writeable", True) for array in found.values())
    assert_apart(found, {"start": start.data, "x": x.data, "weight": weight.data})
    for one, other in (("0", "2"), ("1", "3"), ("4", "5"), ("0", "again 0"), ("1", "again 1")):
        np.testing.assert_array_equal(on_host(found[one]), on_host(found[other]))
    (own,) = tg.grad(x, x, tg.from_array(x.data))
    assert not shares_memory(own, x)


def test_gradients_with_a_graph_of_their_own() -> None:
    x, weight = tg.randn(4, 8, 9, 9, requires_grad=True), tg.randn(8, 8, 3, 3, requires_grad=True)
    bias = tg.randn(8, requires_grad=True)
    leaf = {"x": x, "weight": weight, "bias": bias}
    y = F.norm_act(F.conv2d(x, weight, bias, padding=1), None, None, training=True, activation="tanh")
    start = tg.randn(*y.shape)
    y.backward(start, create_graph=True)
    first = {name: tensor.grad for name, tensor in leaf.items()}
    assert_apart({name: g.data for name, g in first.items()}, {"start": start.data} | kept_in_the_graph(y))
    copies = {name: g.numpy().copy() for name, g in first.items()}
    assert all(g.requires_grad for g in first.values())
    penalty = (first["x"] * first["x"]).sum() + (first["weight"] * first["weight"]).sum()
    penalty.backward()  # adds to the same leaves
    for name, tensor in leaf.items():
        np.testing.assert_array_equal(first[name].numpy(), copies[name], err_msg=name)
        assert tensor.grad is not first[name]
        assert not shares_memory(tensor.grad, first[name])
