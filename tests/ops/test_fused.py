"""Fused operations: the kernels against the expansion that defines them, in value and gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compare import assert_close
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bn as tg
from tinygrad_bn import ops
from tinygrad_bn.autograd import FusedOp, Op, apply
from tinygrad_bn.kernels.reference.activations import FORMULAS

Drawn = tuple[Callable[[], FusedOp], list[np.ndarray | None]]
PARAMETERS: dict[str, dict[str, Any]] = {
    "penalized_tanh": {"scale": 0.3},
    "shifted_tanh": {"shift": 0.7},
    "hardtanh": {"min_val": -0.5, "max_val": 1.5},
    "leaky_relu": {"negative_slope": 0.2},
    "elu": {"alpha": 1.3},
    "celu": {"alpha": 0.6},
    "gelu": {"approximate": "none"},
    "softplus": {"beta": 1.5, "threshold": 2.0},
}


@st.composite
def batch_norms(draw: st.DrawFn, evaluation: bool) -> Drawn:
    shape = (draw(st.integers(4, 6)), draw(st.integers(1, 4)), *draw(st.sampled_from([(), (2, 3), (1, 1), (4, 1)])))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    eps = draw(st.sampled_from([1e-5, 0.1, 2.0]))
    channel = (shape[1],)
    parameters = [rng.standard_normal(channel) if draw(st.booleans()) else None for _ in range(2)]
    x = 2.0 + 3.0 * rng.standard_normal(shape)
    if evaluation:
        return lambda: ops.BatchNormEval(eps), [
            x,
            rng.standard_normal(channel),
            rng.uniform(0.1, 2.0, channel),
            *parameters,
        ]
    return lambda: ops.BatchNorm(eps), [x, *parameters]


@st.composite
def norm_acts(draw: st.DrawFn, evaluation: bool) -> Drawn:
    make, arrays = draw(batch_norms(evaluation))
    order, name = draw(st.sampled_from(["convention", "swap"])), draw(st.sampled_from(sorted(FORMULAS)))
    kind = ops.NormActEval if evaluation else ops.NormAct
    return lambda: kind(make().eps, order, name, PARAMETERS.get(name, {})), arrays


@st.composite
def linears(draw: st.DrawFn) -> Drawn:
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    inside, outside = draw(st.integers(0, 4)), draw(st.integers(0, 4))
    shape = (*draw(st.sampled_from([(), (3,), (2, 3), (0,), (2, 0, 1)])), inside)
    bias = rng.standard_normal(outside) if draw(st.booleans()) else None
    return ops.Linear, [rng.standard_normal(shape), rng.standard_normal((outside, inside)), bias]


@st.composite
def along_an_axis(draw: st.DrawFn, make: Callable[[int], FusedOp]) -> Drawn:
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    axis = draw(st.integers(0, len(shape) - 1))
    return lambda: make(axis), [draw(st.sampled_from([1.0, 30.0])) * rng.standard_normal(shape)]


@st.composite
def sums_of_exponentials(draw: st.DrawFn) -> Drawn:
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=0, max_size=4)))
    axes = tuple(sorted(draw(st.sets(st.sampled_from(range(len(shape))))))) if shape else ()
    keepdims = draw(st.booleans())
    return lambda: ops.LogSumExp(axes, keepdims), [10.0 * rng.standard_normal(shape)]


@st.composite
def cross_entropies(draw: st.DrawFn) -> Drawn:
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 4)), *draw(st.sampled_from([(), (3,), (2, 2)])))
    target = rng.random(shape) * (rng.random(shape) < 0.6)  # some zeros, which count nothing
    return ops.CrossEntropy, [5.0 * rng.standard_normal(shape), target]


@st.composite
def class_cross_entropies(draw: st.DrawFn) -> Drawn:
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    batch, classes, rest = draw(st.integers(1, 4)), draw(st.integers(1, 12)), draw(st.sampled_from([(), (3,), (2, 2)]))
    ignored, reduction = draw(st.sampled_from([0, -100])), draw(st.sampled_from(["none", "sum", "mean"]))
    target = rng.integers(0, classes, (batch, *rest))
    return lambda: ops.ClassCrossEntropy(ignored, reduction), [
        5.0 * rng.standard_normal((batch, classes, *rest)),
        target,
    ]


@st.composite
def adaptive_pools(draw: st.DrawFn) -> Drawn:
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    size = draw(st.tuples(st.integers(1, 8), st.integers(1, 8)))
    return lambda: ops.AdaptiveAvgPool2d(size), [
        rng.standard_normal((2, 3, *draw(st.tuples(st.integers(1, 8), st.integers(1, 8)))))
    ]


@st.composite
def parametric_relus(draw: st.DrawFn) -> Drawn:
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    shape, weight = draw(
        st.sampled_from([((3, 4), (1, 4)), ((2, 3, 2, 2), (1, 3, 1, 1)), ((4,), (1,)), ((2, 3), (2, 3))])
    )
    return ops.ParametricReLU, [rng.standard_normal(shape), rng.standard_normal(weight)]


@st.composite
def activations(draw: st.DrawFn) -> Drawn:
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    name = draw(st.sampled_from(sorted(FORMULAS)))
    shape = tuple(draw(st.lists(st.integers(0, 4), min_size=0, max_size=3)))
    return lambda: ops.Activation(name, PARAMETERS.get(name, {})), [
        draw(st.sampled_from([1.0, 20.0])) * rng.standard_normal(shape)
    ]


STRATEGIES = {
    ops.BatchNorm: batch_norms(evaluation=False),
    ops.BatchNormEval: batch_norms(evaluation=True),
    ops.NormAct: norm_acts(evaluation=False),
    ops.NormActEval: norm_acts(evaluation=True),
    ops.Linear: linears(),
    ops.Softmax: along_an_axis(ops.Softmax),
    ops.LogSoftmax: along_an_axis(ops.LogSoftmax),
    ops.LogSumExp: sums_of_exponentials(),
    ops.CrossEntropy: cross_entropies(),
    ops.ClassCrossEntropy: class_cross_entropies(),
    ops.AdaptiveAvgPool2d: adaptive_pools(),
    ops.ParametricReLU: parametric_relus(),
    ops.Activation: activations(),
}


def _every(kind: type[Op]) -> set[type[Op]]:
    below = set(kind.__subclasses__())
    return below.union(*(_every(k) for k in below))


def test_every_fused_operation_is_tested() -> None:
    ours = {kind for kind in _every(FusedOp) if kind.__module__.startswith("tinygrad_bn.")}
    ours = {kind for kind in ours if not kind.__name__.startswith("_")}
    assert ours == set(STRATEGIES)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", STRATEGIES, ids=lambda kind: kind.__name__)
@given(st.data())
def test_kernels_compute_what_the_expansion_says(kind: type[FusedOp], dtype: str, data: st.DataObject) -> None:
    make, arrays = data.draw(STRATEGIES[kind])
    constants = {ops.BatchNormEval: (1, 2), ops.NormActEval: (1, 2), ops.ClassCrossEntropy: (1,)}.get(kind, ())

    def inputs() -> list[Any]:
        return [
            None
            if a is None
            else tg.tensor(a, dtype=dtype if a.dtype.kind == "f" else None, requires_grad=i not in constants)
            for i, a in enumerate(arrays)
        ]

    fused_in, expanded_in = inputs(), inputs()
    fused, expanded = apply(make(), *fused_in), make().expand(*expanded_in)
    assert_close(fused, expanded, "value")
    start = np.asarray(np.random.default_rng(1).standard_normal(fused.shape)).astype(dtype)
    fused.backward(start)
    expanded.backward(start)
    for number, (a, b) in enumerate(zip(fused_in, expanded_in, strict=True)):
        if a is not None and number not in constants:
            assert_close(a.grad, b.grad, f"gradient of input {number}")


@pytest.mark.parametrize("name", sorted(FORMULAS))
def test_activations_at_their_kinks(name: str) -> None:
    """Kernel, expansion and slope from the output agree about the slope at a kink."""
    points = np.array([-3.0, -1.0, -0.5, 0.0, -0.0, 0.5, 1.0, 1.5, 3.0, 6.0])
    x, y = (tg.tensor(points, requires_grad=True) for _ in range(2))

    def make() -> FusedOp:
        return ops.Activation(name, PARAMETERS.get(name, {}))

    (slope,) = tg.grad(apply(make(), x).sum(), x)
    (expanded,) = tg.grad(make().expand(y).sum(), y)
    (recorded,) = tg.grad(apply(make(), x).sum(), x, create_graph=True)
    np.testing.assert_allclose(slope.numpy(), expanded.numpy(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(slope.numpy(), recorded.numpy(), rtol=1e-12, atol=1e-14)


def test_an_expansion_has_primitive_operations_only() -> None:
    """What a drawing shows in the opened box must not be a box again."""
    x, weight, bias = (tg.randn(*s, requires_grad=True) for s in ((4, 3, 2, 2), (3,), (3,)))
    stack, seen = [ops.BatchNorm(1e-5).expand(x, weight, bias)._node], []
    while stack:
        node = stack.pop()
        seen.append(node.op)
        stack.extend(edge for edge in node.edges if hasattr(edge, "op"))
    assert not any(isinstance(op, FusedOp) for op in seen)
    assert {"mean", "sub", "mul", "add", "rsqrt"} <= {op.name for op in seen}


@pytest.mark.parametrize("order", ["convention", "swap"])
@pytest.mark.parametrize("evaluation", [False, True])
def test_a_pair_opens_into_its_two_halves_and_keeps_its_input_alone(order: str, evaluation: bool) -> None:
    tensors = [tg.randn(*s, requires_grad=i not in (1, 2)) for i, s in enumerate([(4, 3, 2, 2), *[(3,)] * 4])]
    kind = ops.NormActEval if evaluation else ops.NormAct
    inputs = tensors if evaluation else [tensors[0], *tensors[3:]]
    node = apply(kind(1e-5, order, "tanh", {}), *inputs)._node
    assert node.saved_bytes == 4 * (4 * 3 * 2 * 2 + 4 * 3)  # x, and four numbers per channel
    last = kind(1e-5, order, "tanh", {}).expand(*inputs)._node
    names = [last.edges[0].op.name, last.op.name]
    norm = "batch_norm_eval" if evaluation else "batch_norm"
    assert names == (["tanh", norm] if order == "swap" else [norm, "tanh"])


def test_operations_count_their_work() -> None:
    assert ops.MatMul().flops([(2, 3), (3, 4)], (2, 4)) == 2 * 2 * 3 * 4
    assert ops.Linear().flops([(5, 3), (4, 3), (4,)], (5, 4)) == 2 * 5 * 3 * 4
    assert ops.Add().flops([(2, 3), (3,)], (2, 3)) == 6
    assert ops.Reshape((6,)).flops([(2, 3)], (6,)) == 0
    assert ops.Sum((0,), False).flops([(2, 3)], (3,)) == 6
    pair = ops.NormAct(1e-5, "swap", "relu", {})
    assert pair.flops([(2, 3), (3,), (3,)], (2, 3)) == 6 * (7 + 1)


def test_an_operation_that_forgets_its_expansion_says_so() -> None:
    class Forgetful(FusedOp):
        name = "forgetful"

        def forward(self, kernels: Any, x: Any) -> Any:
            return x * 2.0

        def backward_arrays(self, kernels: Any, grad: Any, inputs: Any, output: Any) -> Any:
            return (grad * 2.0,)

        def retained_inputs(self) -> Any:
            return (0,)

    x = tg.ones(2, requires_grad=True)
    assert tg.grad(apply(Forgetful(), x).sum(), x)[0].tolist() == [2.0, 2.0]
    with pytest.raises(TypeError, match="Forgetful must define expand"):
        tg.grad(apply(Forgetful(), x).sum(), x, create_graph=True)
