"""Checking derivatives against finite differences.

The directional derivative along a random direction u is compared with a central difference,

    (f(x + h u) - f(x - h u)) / 2h   against   <grad f(x), u>,

in float64 and through a random projection of the output (the method of Chainer's `gradient_check`). A second step size
tells kinks from mistakes: where the function is smooth the two differences agree, across a kink they do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .autograd import enable_grad, grad
from .errors import ArgumentError, DTypeError, TinygradBNError, explain
from .tensor import Tensor


class GradientCheckError(TinygradBNError, AssertionError):
    """A derivative differs from the finite difference, or the function has a kink at the point of the check."""


@dataclass(frozen=True)
class GradientReport:
    """What a check found.

    Attributes:
        directions: how many random directions were tried.
        largest_error: the largest difference between the two derivatives, relative to their size plus 1.
        kinks: how many directions crossed a kink and were tried again with another direction.
    """

    directions: int
    largest_error: float
    kinks: int


def check_grad(
    function: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    *,
    directions: int = 3,
    step: float = 1e-5,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> GradientReport:
    """Compare a function's gradient with central differences along random directions.

    Args:
        function: called with the inputs; returns one floating-point tensor. It must return the same for the same
            inputs (seed whatever is random inside).
        inputs: float64 tensors; those that require grad are varied.
        directions: how many random directions to try.
        step: the length h of the difference.
        tolerance: the largest error allowed, relative to the size of the derivative plus 1.
        seed: of the directions and of the projection of the output.

    Returns:
        The largest error found, and how many kinks were met.

    Raises:
        GradientCheckError: a derivative is wrong, or every direction crosses a kink.
        DTypeError: an input is not float64.

    >>> import tinygrad_bn as tg
    >>> x = tg.tensor([0.5, -1.0], dtype="float64", requires_grad=True)
    >>> check_grad(lambda x: (x * x).exp(), [x]).kinks
    0
    """
    points = _points("check_grad", inputs)
    random = np.random.default_rng(seed)
    with enable_grad():
        output = function(*inputs)
    if not isinstance(output, Tensor):
        raise DTypeError(explain("check_grad", "a function that returns a Tensor", type(output).__name__))
    if not output.requires_grad:
        raise GradientCheckError(explain("check_grad", "an output that depends on the inputs", f"{output!r}"))
    projection = random.standard_normal(output.shape)
    varied = [t for t in inputs if t.requires_grad]
    found = grad(output, varied, projection.astype(output.dtype), allow_unused=True)
    slopes = [
        np.zeros(t.shape) if g is None else np.asarray(g, dtype="float64") for t, g in zip(varied, found, strict=True)
    ]

    def value(offsets: Sequence[np.ndarray]) -> float:
        moved = iter(offsets)
        arguments = [
            t.wrap(t.device.from_host(p + next(moved))).requires_grad_() if t.requires_grad else t
            for t, p in zip(inputs, points, strict=True)
        ]
        with enable_grad():  # the function may itself take gradients
            return float((np.asarray(function(*arguments), dtype="float64") * projection).sum())

    largest, kinks, tried = 0.0, 0, 0
    while tried < directions:
        vectors = [random.standard_normal(t.shape) for t in varied]
        length = np.sqrt(sum(float((v * v).sum()) for v in vectors)) or 1.0
        vectors = [v / length for v in vectors]
        coarse, fine = (
            (value([h * v for v in vectors]) - value([-h * v for v in vectors])) / (2 * h) for h in (step, step / 4)
        )
        exact = sum(float((s * v).sum()) for s, v in zip(slopes, vectors, strict=True))
        scale = 1.0 + max(abs(exact), abs(fine))
        error = min(abs(coarse - exact), abs(fine - exact)) / scale
        if not error <= tolerance:
            on_kink = _is_kink(value, vectors, step, tolerance * scale)
            if (on_kink or abs(coarse - fine) / scale > tolerance) and kinks < 5 * directions:
                kinks += 1
                continue
            raise GradientCheckError(
                explain(
                    "check_grad",
                    f"the derivative {fine:.10g} of the finite difference",
                    f"{exact:.10g} (relative error {error:.3g})",
                    "every direction crossed a kink: move the inputs away from it"
                    if kinks >= 5 * directions
                    else f"after {kinks} kinks"
                    if kinks
                    else None,
                )
            )
        largest = max(largest, error)
        tried += 1
    return GradientReport(directions, largest, kinks)


def _is_kink(
    value: Callable[[Sequence[np.ndarray]], float], vectors: Sequence[np.ndarray], step: float, tolerance: float
) -> bool:
    """Whether the slopes to both sides differ, and do so no less nearby: of a smooth function they draw together."""
    here = value([0.0 * v for v in vectors])
    coarse, fine = (
        abs(value([h * v for v in vectors]) + value([-h * v for v in vectors]) - 2.0 * here) / h
        for h in (step, step / 4)
    )
    return fine > 0.5 * coarse and fine > tolerance


def check_gradgrad(
    function: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    *,
    directions: int = 3,
    step: float = 1e-5,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> GradientReport:
    """Check the gradients of a function's gradients: `check_grad` of its backward pass.

    The gradient with respect to the inputs, for a random gradient of the output that is itself varied, is recorded
    with `create_graph` and differentiated again. Arguments, result and errors as in `check_grad`.
    """
    _points("check_gradgrad", inputs)
    random = np.random.default_rng(seed + 1)
    with enable_grad():
        sample = function(*inputs)
    start = Tensor(random.standard_normal(sample.shape), device=sample.device, requires_grad=True)

    def slope(*arguments: Tensor) -> Tensor:
        *points, outer = arguments
        varied = [p for p in points if p.requires_grad]
        found = grad(function(*points), varied, outer, create_graph=True, allow_unused=True)
        total: Tensor | None = None
        for number, gradient in enumerate(found):
            if gradient is not None:
                weights = np.random.default_rng((seed, number)).standard_normal(gradient.shape)
                part = (gradient * gradient.wrap(gradient.device.from_host(weights))).sum()
                total = part if total is None else total + part
        if total is None:
            raise GradientCheckError(explain("check_gradgrad", "a gradient to differentiate", "none"))
        return total

    return check_grad(slope, [*inputs, start], directions=directions, step=step, tolerance=tolerance, seed=seed)


def _points(where: str, inputs: Sequence[Tensor]) -> list[np.ndarray]:
    for number, tensor in enumerate(inputs):
        if not isinstance(tensor, Tensor):
            raise DTypeError(explain(where, f"input {number} to be a Tensor", type(tensor).__name__))
        if tensor.requires_grad and tensor.dtype != np.float64:
            raise DTypeError(explain(where, f"input {number} of dtype float64", str(tensor.dtype), "use astype"))
    if not any(tensor.requires_grad for tensor in inputs):
        raise ArgumentError(explain(where, "at least one input that requires grad", "none"))
    return [np.array(tensor) for tensor in inputs]
