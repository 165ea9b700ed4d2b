"""One table of calls, ours beside PyTorch's, that many tests go through.

Each case names a call, a function of tensors for us and for PyTorch, and how its inputs are drawn. Values, gradients,
gradients of gradients, memory layouts, float16 and other devices are all tested on the same table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import functional as F

torch = pytest.importorskip("torch")
TF = torch.nn.functional

Arrays = list[np.ndarray]


@dataclass(frozen=True)
class Case:
    """A call to be compared.

    Attributes:
        name: for the test's id.
        ours, theirs: functions of one tensor per input, that return one tensor.
        inputs: draws the inputs, in float64 or integers, from a generator.
        half: whether it can be compared in float16 too.
    """

    name: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    inputs: Callable[[np.random.Generator], Arrays]
    half: bool = True

    def __repr__(self) -> str:
        return self.name

    def draw(self, seed: int = 0) -> Arrays:
        """Return the inputs."""
        return self.inputs(np.random.default_rng(seed))


def normal(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], Arrays]:
    """Draw arrays from the normal distribution; ties have no chance."""
    return lambda rng: [rng.standard_normal(shape) for shape in shapes]


def between(low: float, high: float, *shapes: tuple[int, ...]) -> Callable[[np.random.Generator], Arrays]:
    """Draw arrays uniform in an interval."""
    return lambda rng: [rng.uniform(low, high, shape) for shape in shapes]


def _both(name: str, arguments: dict[str, Any], inputs: Callable[[np.random.Generator], Arrays]) -> Case:
    """A function with the same name and arguments in both libraries."""
    text = ", ".join(f"{k}={v}" for k, v in arguments.items())
    return Case(
        f"{name}({text})",
        lambda *x: getattr(F, name)(*x, **arguments),
        lambda *x: getattr(TF, name)(*x, **arguments),
        inputs,
    )


def _conv(x: tuple[int, ...], weight: tuple[int, ...], bias: bool = True, **arguments: Any) -> Case:
    shapes = (x, weight, (weight[0],)) if bias else (x, weight)
    case = _both("conv2d", arguments, normal(*shapes))
    words = "" if bias else " without bias"
    return Case(f"{case.name} {x}*{weight}{words}", case.ours, case.theirs, case.inputs)


def _conv_transpose(x: tuple[int, ...], weight: tuple[int, ...], **arguments: Any) -> Case:
    channels = weight[1] * arguments.get("groups", 1)
    case = _both("conv_transpose2d", arguments, normal(x, weight, (channels,)))
    return Case(f"{case.name} {x}*{weight}", case.ours, case.theirs, case.inputs)


CONVOLUTIONS = [
    _conv((2, 3, 7, 6), (4, 3, 3, 3)),
    _conv((2, 3, 7, 6), (4, 3, 3, 3), bias=False),
    _conv((2, 3, 7, 6), (4, 3, 3, 2), stride=2, padding=1),
    _conv((2, 3, 9, 8), (4, 3, 3, 2), stride=(2, 3), padding=(0, 2), dilation=(1, 2)),
    _conv((2, 4, 6, 6), (6, 2, 3, 3), groups=2, padding=1),
    _conv((2, 4, 6, 6), (4, 1, 3, 3), groups=4, padding=1),
    _conv((2, 4, 7, 6), (12, 1, 3, 2), groups=4, stride=2, dilation=2, padding=2),
    _conv((2, 3, 5, 4), (5, 3, 1, 1)),
    _conv((2, 3, 5, 4), (5, 3, 1, 1), stride=2),
    _conv((2, 2, 3, 3), (3, 2, 5, 5), padding=2),
    _conv((2, 2, 3, 3), (3, 2, 5, 5), padding=1),
    _conv((2, 1, 6, 5), (3, 1, 3, 3), padding="same"),
    _conv((2, 2, 6, 5), (3, 2, 4, 2), padding="same"),
    _conv((2, 2, 9, 8), (3, 2, 3, 4), padding="same", dilation=2),
    _conv((2, 2, 6, 5), (3, 2, 3, 3), padding="valid"),
    _conv((2, 2, 4, 9), (3, 2, 1, 5), padding=(0, 2)),
    _conv((2, 2, 4, 4), (3, 2, 1, 1), padding=3, stride=2),
    _conv((1, 8, 16, 16), (6, 8, 3, 3), padding=1),
    _conv((2, 8, 14, 13), (6, 4, 3, 5), padding=(1, 2), groups=2),
    _conv((1, 8, 14, 14), (4, 8, 3, 3), dilation=2),
    _conv((0, 3, 5, 5), (4, 3, 3, 3)),
    _conv((0, 4, 5, 5), (4, 1, 3, 3), groups=4),
    _conv((0, 8, 16, 16), (6, 8, 3, 3), padding=1),
    _conv((3, 6, 5), (4, 3, 3, 3)),
    _conv((3, 6, 5), (3, 1, 2, 2), groups=3, bias=False),
]

TRANSPOSED = [
    _conv_transpose((2, 3, 5, 4), (3, 4, 3, 3)),
    _conv_transpose((2, 3, 5, 4), (3, 4, 3, 2), stride=2, padding=1, output_padding=1),
    _conv_transpose((2, 4, 5, 4), (4, 3, 3, 3), stride=(2, 3), groups=2, dilation=(2, 1), output_padding=(1, 2)),
    _conv_transpose((2, 4, 3, 3), (4, 1, 3, 3), groups=4, stride=2),
    _conv_transpose((2, 4, 3, 3), (4, 2, 2, 2), groups=4, padding=1),
    _conv_transpose((2, 3, 3, 3), (3, 2, 1, 1), stride=3, output_padding=2),
    _conv_transpose((3, 5, 4), (3, 2, 3, 3), padding=2),
    _conv_transpose((0, 3, 5, 4), (3, 2, 3, 3)),
]


def _pool(name: str, shape: tuple[int, ...] = (2, 3, 7, 6), **arguments: Any) -> Case:
    case = _both(name, arguments, normal(shape))
    return Case(f"{case.name} {shape}", case.ours, case.theirs, case.inputs)


POOLS = [
    _pool("max_pool2d", kernel_size=2),
    _pool("max_pool2d", kernel_size=3, stride=2, padding=1),
    _pool("max_pool2d", kernel_size=(3, 2), stride=(1, 2), padding=(1, 0), dilation=(2, 1)),
    _pool("max_pool2d", kernel_size=3, stride=2, ceil_mode=True),
    _pool("max_pool2d", kernel_size=2, stride=3, padding=1, ceil_mode=True),
    _pool("max_pool2d", kernel_size=3, stride=1),
    _pool("max_pool2d", kernel_size=1),
    _pool("max_pool2d", kernel_size=2, stride=4),
    _pool("max_pool2d", (3, 5, 5), kernel_size=2),
    _pool("max_pool2d", (0, 3, 5, 5), kernel_size=2),
    _pool("avg_pool2d", kernel_size=2),
    _pool("avg_pool2d", kernel_size=3, stride=2, padding=1),
    _pool("avg_pool2d", kernel_size=3, stride=2, padding=1, count_include_pad=False),
    _pool("avg_pool2d", kernel_size=(3, 2), stride=(2, 1), padding=(1, 0), ceil_mode=True),
    _pool("avg_pool2d", kernel_size=3, stride=2, padding=1, ceil_mode=True, count_include_pad=False),
    _pool("avg_pool2d", kernel_size=2, stride=3, padding=1, ceil_mode=True),
    _pool("avg_pool2d", kernel_size=3, stride=1, divisor_override=2),
    _pool("avg_pool2d", kernel_size=3, divisor_override=-4),
    _pool("avg_pool2d", (3, 5, 5), kernel_size=2),
    _pool("avg_pool2d", (0, 3, 5, 5), kernel_size=2),
    _pool("adaptive_avg_pool2d", output_size=1),
    _pool("adaptive_avg_pool2d", output_size=(3, 4)),
    _pool("adaptive_avg_pool2d", output_size=(None, 2)),
    _pool("adaptive_avg_pool2d", output_size=(9, 5)),
    _pool("adaptive_avg_pool2d", (3, 5, 5), output_size=2),
    _pool("adaptive_avg_pool2d", (0, 3, 5, 5), output_size=2),
]

# Where the definition is not in torch.nn.functional, or is computed there in float32 only, its formula stands here.
_PENALIZED = {"scale": 0.3}
ACTIVATION_CASES: list[tuple[str, dict[str, Any], Callable[..., Any]]] = [
    ("tanh", {}, torch.tanh),
    ("lecun_tanh", {}, lambda x: 1.7159 * torch.tanh(2.0 / 3.0 * x)),
    ("penalized_tanh", {}, lambda x: torch.where(x > 0, torch.tanh(x), 0.25 * torch.tanh(x))),
    ("penalized_tanh", _PENALIZED, lambda x: torch.where(x > 0, torch.tanh(x), 0.3 * torch.tanh(x))),
    ("shifted_tanh", {}, lambda x: torch.tanh(x + 1.0)),
    ("shifted_tanh", {"shift": -0.5}, lambda x: torch.tanh(x - 0.5)),
    ("softsign", {}, TF.softsign),
    ("sigmoid", {}, torch.sigmoid),
    ("hardtanh", {}, TF.hardtanh),
    ("hardtanh", {"min_val": -0.5, "max_val": 2.0}, lambda x: TF.hardtanh(x, -0.5, 2.0)),
    ("hardsigmoid", {}, lambda x: (x / 6.0 + 0.5).clamp(0.0, 1.0)),
    ("relu6", {}, TF.relu6),
    ("arctan", {}, torch.arctan),
    ("erf", {}, torch.erf),
    ("relu", {}, TF.relu),
    ("leaky_relu", {}, TF.leaky_relu),
    ("leaky_relu", {"negative_slope": 0.3}, lambda x: TF.leaky_relu(x, 0.3)),
    ("leaky_relu", {"negative_slope": -0.3}, lambda x: TF.leaky_relu(x, -0.3)),
    ("rrelu", {}, TF.rrelu),
    ("rrelu", {"lower": 0.2, "upper": 0.2, "training": True}, lambda x: TF.rrelu(x, 0.2, 0.2, True)),
    ("elu", {}, TF.elu),
    ("elu", {"alpha": 0.7}, lambda x: TF.elu(x, 0.7)),
    ("selu", {}, TF.selu),
    ("celu", {}, TF.celu),
    ("celu", {"alpha": 0.7}, lambda x: torch.where(x > 0, x, 0.7 * torch.expm1(x.clamp(max=0.0) / 0.7))),
    ("gelu", {}, TF.gelu),
    ("gelu", {"approximate": "tanh"}, lambda x: TF.gelu(x, approximate="tanh")),
    ("silu", {}, TF.silu),
    ("mish", {}, TF.mish),
    ("softplus", {}, TF.softplus),
    ("softplus", {"beta": 2.0, "threshold": 3.0}, lambda x: TF.softplus(x, 2.0, 3.0)),
    ("hardswish", {}, TF.hardswish),
    ("identity", {}, lambda x: x * 1.0),
]

ACTIVATIONS = [
    Case(
        f"{name}({', '.join(f'{k}={v}' for k, v in arguments.items())})",
        lambda x, name=name, arguments=arguments: getattr(F, name)(x, **arguments),
        theirs,
        lambda rng: [3.0 * rng.standard_normal((4, 3, 5))],
    )
    for name, arguments, theirs in ACTIVATION_CASES
] + [
    Case("prelu(one weight)", F.prelu, TF.prelu, normal((2, 3, 4), (1,))),
    Case("prelu(per channel)", F.prelu, TF.prelu, normal((2, 3, 4, 2), (3,))),
    Case("prelu(vector)", F.prelu, TF.prelu, normal((5,), (1,))),
]


def _statistics(rng: np.random.Generator, channels: int) -> Arrays:
    return [rng.standard_normal(channels), rng.uniform(0.5, 2.0, channels)]


def _batch_norm(shape: tuple[int, ...], affine: bool, training: bool, **arguments: Any) -> Case:
    mean, variance = _statistics(np.random.default_rng(5), shape[1])

    # The running averages are no inputs: each call gets fresh ones, because training changes them.
    def ours(x: Any, weight: Any = None, bias: Any = None) -> Any:
        running = [tg.tensor(a, dtype=x.dtype, device=x.device) for a in (mean, variance)]
        return F.batch_norm(x, *running, weight, bias, training, **arguments)

    def theirs(x: Any, weight: Any = None, bias: Any = None) -> Any:
        running = [torch.tensor(a, dtype=x.dtype) for a in (mean, variance)]
        return TF.batch_norm(x, *running, weight, bias, training, **arguments)

    shapes = [shape, (shape[1],), (shape[1],)] if affine else [shape]
    words = f"{'training' if training else 'evaluation'}, {'affine' if affine else 'plain'}"
    return Case(f"batch_norm({words}, {arguments}) {shape}", ours, theirs, normal(*shapes))


NORMALIZATIONS = [
    _batch_norm(shape, affine, training)
    for shape in ((5, 3), (3, 4, 3, 2), (3, 2, 5), (2, 2, 2, 3, 2))
    for affine in (True, False)
    for training in (True, False)
] + [
    _batch_norm((4, 3, 2, 2), True, True, eps=0.5, momentum=0.3),
    _batch_norm((4, 3, 2, 2), True, False, eps=0.5),
    _batch_norm((2, 1), True, True),
    _batch_norm((0, 3, 2, 2), True, False),
    _batch_norm((0, 3, 2), True, False),
    Case(
        "batch_norm(no running averages)",
        lambda x: F.batch_norm(x, None, None, training=True),
        lambda x: TF.batch_norm(x, None, None, training=True),
        normal((4, 3, 2, 2)),
    ),
    Case(
        "batch_norm(weight without bias)",
        lambda x, w: F.batch_norm(x, None, None, w, None, training=True),
        lambda x, w: TF.batch_norm(x, None, None, w, None, training=True),
        normal((4, 3, 2, 2), (3,)),
    ),
]


def _norm_act(
    shape: tuple[int, ...],
    order: str,
    activation: str,
    training: bool,
    affine: tuple[bool, bool] = (True, True),
    half: bool = True,
    eps: float = 1e-5,
    **parameters: Any,
) -> Case:
    """The pair as one call, beside PyTorch's two calls one after the other."""
    mean, variance = _statistics(np.random.default_rng(5), shape[1])
    function = next(f for name, given, f in ACTIVATION_CASES if (name, given) == (activation, parameters))

    def parts(rest: tuple[Any, ...]) -> tuple[Any, Any]:
        waiting = iter(rest)
        return next(waiting) if affine[0] else None, next(waiting) if affine[1] else None

    def ours(x: Any, *rest: Any) -> Any:
        running = [tg.tensor(a, dtype=x.dtype, device=x.device) for a in (mean, variance)]
        pair = {"order": order, "activation": activation, **parameters}
        return F.norm_act(x, *running, *parts(rest), training, eps=eps, **pair)

    def theirs(x: Any, *rest: Any) -> Any:
        running = [torch.tensor(a, dtype=x.dtype) for a in (mean, variance)]
        if order == "swap":
            return TF.batch_norm(function(x), *running, *parts(rest), training, eps=eps)
        return function(TF.batch_norm(x, *running, *parts(rest), training, eps=eps))

    words = f"{order}, {activation}, {parameters}, {'training' if training else 'evaluation'}, {affine}"
    shapes = [shape, *((shape[1],) for wanted in affine if wanted)]
    return Case(f"norm_act({words}) {shape}", ours, theirs, normal(*shapes), half)


# Rounded to float16, a value of hardtanh's input crosses its limit, where the slope jumps.
NORM_ACTS = [
    _norm_act((4, 3, 2, 3), order, activation, training, half=activation != "hardtanh", **parameters)
    for activation, parameters in (
        ("relu", {}),
        ("tanh", {}),
        ("leaky_relu", {"negative_slope": 0.3}),
        ("hardtanh", {"min_val": -0.5, "max_val": 2.0}),
        ("gelu", {"approximate": "tanh"}),
        ("softplus", {"beta": 2.0, "threshold": 3.0}),
        ("identity", {}),
    )
    for order in ("convention", "swap")
    for training in (True, False)
] + [
    _norm_act((5, 3), "convention", "selu", True, (True, False)),
    _norm_act((5, 3), "swap", "selu", True),
    _norm_act((5, 3, 2), "convention", "silu", False, (False, False)),
    _norm_act((3, 2, 2, 2, 2), "swap", "silu", True, (False, False), eps=0.5),
    _norm_act((0, 3, 2, 2), "convention", "relu", False),
    _norm_act((0, 3, 2), "swap", "tanh", False),
]


def _cross_entropy(
    shape: tuple[int, ...],
    weighted: bool = False,
    ignored: int | None = None,
    name: str = "cross_entropy",
    **arguments: Any,
) -> Case:
    classes = shape[1] if len(shape) > 1 else shape[0]
    rng = np.random.default_rng(3)
    target = np.asarray(rng.integers(0, classes, (*shape[:1], *shape[2:]) if len(shape) > 1 else ()))
    if ignored is not None:
        target[np.asarray(rng.random(target.shape) < 0.4)] = ignored
        arguments["ignore_index"] = ignored
    weights = rng.uniform(0.2, 2.0, classes) if weighted else None

    def ours(x: Any) -> Any:
        w = None if weights is None else tg.tensor(weights, dtype=x.dtype, device=x.device)
        return getattr(F, name)(x, tg.tensor(target, device=x.device), w, **arguments)

    def theirs(x: Any) -> Any:
        w = None if weights is None else torch.tensor(weights, dtype=x.dtype)
        return getattr(TF, name)(x, torch.tensor(target), w, **arguments)

    words = f"{arguments}, {'weighted' if weighted else 'plain'}"
    return Case(f"{name}({words}) {shape}", ours, theirs, normal(shape))


def _soft_cross_entropy(shape: tuple[int, ...], weighted: bool = False, **arguments: Any) -> Case:
    classes = shape[1] if len(shape) > 1 else shape[0]
    weights = np.random.default_rng(3).uniform(0.2, 2.0, classes) if weighted else None

    def ours(x: Any, target: Any) -> Any:
        w = None if weights is None else tg.tensor(weights, dtype=x.dtype, device=x.device)
        return F.cross_entropy(x, target, w, **arguments)

    def theirs(x: Any, target: Any) -> Any:
        w = None if weights is None else torch.tensor(weights, dtype=x.dtype)
        return TF.cross_entropy(x, target, w, **arguments)

    def inputs(rng: np.random.Generator) -> Arrays:
        raw = rng.uniform(0.1, 1.0, shape)
        return [rng.standard_normal(shape), raw / raw.sum(axis=min(1, len(shape) - 1), keepdims=True)]

    return Case(f"cross_entropy(probabilities, {arguments}, {weighted}) {shape}", ours, theirs, inputs)


LOSSES = (
    [
        _cross_entropy((5, 4), weighted, ignored, reduction=reduction, label_smoothing=smoothing)
        for weighted in (False, True)
        for ignored in (None, -100, 2)
        for reduction in ("mean", "sum", "none")
        for smoothing in (0.0, 0.3)
    ]
    + [
        _cross_entropy(shape, True, 1, reduction=reduction, label_smoothing=0.1)
        for shape in ((3, 4, 2), (2, 3, 2, 4), (4,))
        for reduction in ("mean", "none")
    ]
    + [
        _soft_cross_entropy(shape, weighted, reduction=reduction, label_smoothing=smoothing)
        for shape in ((5, 4), (3, 4, 2), (4,))
        for weighted in (False, True)
        for reduction in ("mean", "sum", "none")
        for smoothing in (0.0, 0.3)
    ]
    + [
        _cross_entropy(shape, weighted, 1, name="nll_loss", reduction=reduction)
        for shape in ((5, 4), (2, 3, 2, 2), (4,))
        for weighted in (False, True)
        for reduction in ("mean", "sum", "none")
    ]
    + [
        Case(
            f"mse_loss({reduction})",
            lambda x, y, r=reduction: F.mse_loss(x, y, reduction=r),
            lambda x, y, r=reduction: TF.mse_loss(x, y, reduction=r),
            normal((3, 4), (3, 4)),
        )
        for reduction in ("mean", "sum", "none")
    ]
    + [
        Case(
            f"{name}(dim={dim}) {shape}",
            lambda x, n=name, d=dim: getattr(F, n)(x, d),
            lambda x, n=name, d=dim: getattr(TF, n)(x, d),
            normal(shape),
        )
        for name in ("softmax", "log_softmax")
        for shape, dim in (((5,), 0), ((3, 4), 1), ((3, 4), 0), ((2, 3, 4), -2), ((0, 3), 1))
    ]
)


def _pad(shape: tuple[int, ...], pad: tuple[int, ...], mode: str, value: float | None = None) -> Case:
    return Case(
        f"pad({pad}, {mode}, {value}) {shape}",
        lambda x: F.pad(x, pad, mode, value),
        lambda x: TF.pad(x, pad, mode, value),
        normal(shape),
    )


PADS = [
    _pad((2, 3, 4, 5), (1, 2), "constant"),
    _pad((2, 3, 4, 5), (1, 2, 0, 3, 1, 0), "constant", 2.5),
    _pad((2, 3, 4, 5), (-1, 2, 1, -2), "constant", -1.0),
    _pad((2, 3, 4, 5), (-2, -2, 0, 0), "constant"),
    _pad((2, 3, 4, 5), (1, 2, 3, 2), "reflect"),
    _pad((2, 3, 4, 5), (4, -1, 0, 1), "reflect"),
    _pad((2, 3, 4, 5), (-1, 3, 1, 1), "reflect"),
    _pad((2, 3, 4, 5), (1, 2, 6, 2), "replicate"),
    _pad((2, 3, 4, 5), (7, -2, -1, 3), "replicate"),
    _pad((2, 3, 4, 5), (1, 2, 3, 4), "circular"),
    _pad((2, 3, 4, 5), (2, -1, -1, 2), "circular"),
    _pad((2, 3, 5), (2, 1), "reflect"),
    _pad((3, 5), (2, 1), "replicate"),
    _pad((2, 3, 5), (2, 5), "circular"),
    _pad((5,), (1, 1), "constant", 1.0),
]

LINEARS = [
    Case(f"linear({', '.join(map(str, shapes))})", F.linear, TF.linear, normal(*shapes))
    for shapes in (
        ((4, 3), (5, 3), (5,)),
        ((4, 3), (5, 3)),
        ((3,), (5, 3), (5,)),
        ((2, 4, 3), (5, 3), (5,)),
        ((0, 3), (5, 3), (5,)),
        ((2, 0, 3), (5, 3), (5,)),
        ((2, 0), (5, 0), (5,)),
        ((2, 3), (0, 3), (0,)),
    )
]

FUNCTIONAL = [*CONVOLUTIONS, *TRANSPOSED, *POOLS, *ACTIVATIONS, *NORMALIZATIONS, *NORM_ACTS, *LOSSES, *PADS, *LINEARS]


def _unary(name: str, theirs: Any = None, low: float = -2.0, high: float = 2.0) -> Case:
    return Case(
        f"tensor.{name}",
        lambda x: getattr(x, name)(),
        theirs or getattr(torch, name),
        between(low, high, (3, 4)),
    )


def _reduction(name: str, theirs: Any, **arguments: Any) -> Case:
    return Case(f"tensor.{name}({arguments})", lambda x: getattr(x, name)(**arguments), theirs, normal((2, 3, 4)))


INDEX = np.array([[0, 2], [2, 1]])
MASK = np.random.default_rng(7).random((3, 4)) < 0.5
CHOICE = np.random.default_rng(8).random((3, 4)) < 0.5

ELEMENTWISE = [
    *(_unary(n) for n in ("exp", "expm1", "sin", "cos", "tanh", "sinh", "cosh", "arctan", "arcsinh", "erf", "abs")),
    *(_unary(n, low=0.2) for n in ("log", "log1p", "sqrt", "rsqrt")),
    *(_unary(n, low=-0.9, high=0.9) for n in ("arcsin", "arccos", "arctanh", "tan")),
    _unary("arccosh", low=1.2),
    Case("-x", lambda x: -x, lambda x: -x, normal((3, 4))),
    Case("clip", lambda x: x.clip(-0.5, 0.7), lambda x: x.clip(-0.5, 0.7), normal((3, 4))),
    Case("clip(low)", lambda x: x.clip(-0.5), lambda x: x.clip(-0.5), normal((3, 4))),
    Case("clip(high)", lambda x: x.clip(high=0.7), lambda x: x.clip(max=0.7), normal((3, 4))),
    Case("x + y", lambda x, y: x + y, lambda x, y: x + y, normal((3, 1, 4), (2, 1))),
    Case("x - y", lambda x, y: x - y, lambda x, y: x - y, normal((3, 4), ())),
    Case("x * y", lambda x, y: x * y, lambda x, y: x * y, normal((3, 1), (1, 4))),
    Case("x * x", lambda x: x * x, lambda x: x * x, normal((3, 4))),
    Case("x / y", lambda x, y: x / y, lambda x, y: x / y, between(0.5, 2.0, (3, 1, 4), (2, 1))),
    Case("x ** y", lambda x, y: x**y, lambda x, y: x**y, between(0.5, 2.0, (3, 1), (4,))),
    Case("x ** 3", lambda x: x**3, lambda x: x**3, normal((3, 4))),
    Case("x ** 0", lambda x: x**0, lambda x: x**0, normal((3, 4))),
    Case("x ** 1", lambda x: x**1, lambda x: x**1, normal((3, 4))),
    Case("x ** -1.5", lambda x: x**-1.5, lambda x: x**-1.5, between(0.5, 2.0, (3, 4))),
    Case("2.5 ** x", lambda x: 2.5**x, lambda x: 2.5**x, normal((3, 4))),
    Case("2.0 - x", lambda x: 2.0 - x, lambda x: 2.0 - x, normal((3, 4))),
    Case("2.0 / x", lambda x: 2.0 / x, lambda x: 2.0 / x, between(0.5, 2.0, (3, 4))),
    Case("x % 0.7", lambda x: x % 0.7, lambda x: x % 0.7, normal((3, 4))),
    Case("x % y", lambda x, y: x % y, lambda x, y: x % y, between(0.5, 2.0, (3, 4), (4,))),
    Case("maximum", lambda x, y: tg.maximum(x, y), torch.maximum, normal((3, 4), (3, 4))),
    Case("minimum", lambda x, y: tg.minimum(x, y), torch.minimum, normal((3, 1), (4,))),
    Case("arctan2", lambda x, y: x.arctan2(y), torch.arctan2, normal((3, 4), (4,))),
    Case(
        "where",
        lambda x, y: tg.where(tg.tensor(CHOICE, device=x.device), x, y),
        lambda x, y: torch.where(torch.tensor(CHOICE), x, y),
        normal((3, 4), (4,)),
    ),
    Case(
        "where(number)",
        lambda x: tg.where(tg.tensor(CHOICE, device=x.device), 2.0, x),
        lambda x: torch.where(torch.tensor(CHOICE), 2.0, x),
        normal((3, 4)),
    ),
]

MATMULS = [
    Case(f"{a} @ {b}", lambda x, y: x @ y, lambda x, y: x @ y, normal(a, b))
    for a, b in (
        ((3,), (3,)),
        ((2, 3), (3,)),
        ((3,), (3, 4)),
        ((2, 3), (3, 4)),
        ((5, 2, 3), (3,)),
        ((3,), (5, 3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((5, 1, 2, 3), (6, 3, 4)),
        ((0, 3), (3, 4)),
        ((2, 0), (0, 4)),
    )
]

REDUCTIONS = [
    _reduction("sum", lambda x: x.sum()),
    _reduction("sum", lambda x: x.sum(1), axis=1),
    _reduction("sum", lambda x: x.sum((0, 2), keepdim=True), axis=(0, -1), keepdims=True),
    _reduction("mean", lambda x: x.mean()),
    _reduction("mean", lambda x: x.mean((0, 1)), axis=(0, 1)),
    _reduction("var", lambda x: x.var(unbiased=False)),
    _reduction("var", lambda x: x.var((0, 2), correction=1, keepdim=True), axis=(2, 0), ddof=1, keepdims=True),
    _reduction("std", lambda x: x.std(1, correction=0), axis=1),
    _reduction("std", lambda x: x.std(correction=2), ddof=2),
    _reduction("max", lambda x: x.amax()),
    _reduction("max", lambda x: x.amax((0, 2)), axis=(0, 2)),
    _reduction("min", lambda x: x.amin(1, keepdim=True), axis=-2, keepdims=True),
    _reduction("logsumexp", lambda x: x.logsumexp((0, 1, 2))),
    _reduction("logsumexp", lambda x: x.logsumexp((0, 2), keepdim=True), axis=(0, 2), keepdims=True),
]

SHAPES = [
    Case("reshape", lambda x: x.reshape(4, -1), lambda x: x.reshape(4, -1), normal((2, 3, 4))),
    Case("transpose", lambda x: x.transpose(2, 0, 1), lambda x: x.permute(2, 0, 1), normal((2, 3, 4))),
    Case("T", lambda x: x.T, lambda x: x.permute(2, 1, 0), normal((2, 3, 4))),
    Case("swapaxes", lambda x: x.swapaxes(0, -1), lambda x: x.swapaxes(0, -1), normal((2, 3, 4))),
    Case("flatten", lambda x: x.flatten(1), lambda x: x.flatten(1), normal((2, 3, 4))),
    Case("squeeze", lambda x: x.squeeze(), lambda x: x.squeeze(), normal((2, 1, 4, 1))),
    Case("unsqueeze", lambda x: x.unsqueeze(-1), lambda x: x.unsqueeze(-1), normal((2, 3))),
    Case("expand", lambda x: x.expand(5, -1, 3), lambda x: x.expand(5, -1, 3), normal((2, 1))),
    Case("broadcast_to", lambda x: x.broadcast_to(2, 3, 4), lambda x: x.broadcast_to(2, 3, 4), normal((3, 1))),
    Case(
        "tensor.pad",
        lambda x: x.pad(((1, 0), (2, 3)), 1.5),
        lambda x: TF.pad(x, (2, 3, 1, 0), value=1.5),
        normal((2, 3)),
    ),
    Case("split", lambda x: x.split([1, 3], axis=1)[1], lambda x: x.tensor_split([1, 3], dim=1)[1], normal((2, 5))),
    Case("copy", lambda x: x.copy(), lambda x: x.clone(), normal((2, 3))),
    Case("alias", lambda x: x.alias(), lambda x: x.view_as(x), normal((2, 3))),
    Case(
        "concatenate",
        lambda x, y: tg.concatenate([x, y, x], axis=-1),
        lambda x, y: torch.cat([x, y, x], dim=-1),
        normal((2, 3), (2, 1)),
    ),
    Case(
        "stack", lambda x, y: tg.stack([x, y], axis=1), lambda x, y: torch.stack([x, y], dim=1), normal((2, 3), (2, 3))
    ),
]


def _index(name: str, key: Any) -> Case:
    """The same index for both; arrays become tensors of each library."""

    def converted(make: Callable[[np.ndarray], Any]) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        made = tuple(make(part) if isinstance(part, np.ndarray) else part for part in parts)
        return made if isinstance(key, tuple) else made[0]

    return Case(
        f"x[{name}]",
        lambda x: x[converted(lambda a: tg.tensor(a, device=x.device))],
        lambda x: x[converted(torch.tensor)],
        normal((3, 4)),
    )


INDEXING = [
    _index("1", 1),
    _index("-1, 2", (-1, 2)),
    _index("1:3", slice(1, 3)),
    _index("::2, 1:", (slice(None, None, 2), slice(1, None))),
    _index("..., 0", (Ellipsis, 0)),
    _index("None, 1", (None, 1)),
    _index("integers with repeats", INDEX),
    _index(":, integers with repeats", (slice(None), INDEX)),
    _index("two lists", ([0, 2, 0], [1, 3, 1])),
    _index("integers, slice", (np.array([2, 2, 0]), slice(1, 3))),
    _index("mask", MASK),
    _index("mask of rows", np.array([True, False, True])),
    _index(":, mask of columns", (slice(None), np.array([True, False, True, True]))),
    _index("nothing", np.zeros(0, dtype="int64")),
    _index("0-d tensor", np.array(2)),
    _index("negative integers", np.array([-1, 0, -1])),
    _index("None, integers, ...", (None, np.array([1, 1]), Ellipsis)),
]

# Not in torch: steps backwards.
BACKWARDS = Case("x[::-1, ::-2]", lambda x: x[::-1, ::-2], lambda x: x.flip(0, 1)[:, ::2], normal((3, 4)))

TENSOR = [*ELEMENTWISE, *MATMULS, *REDUCTIONS, *SHAPES, *INDEXING, BACKWARDS]

EVERYTHING = [*FUNCTIONAL, *TENSOR]
