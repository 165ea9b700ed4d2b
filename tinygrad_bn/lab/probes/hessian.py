"""The curvature of the loss: products with its Hessian, and the Hessian's largest eigenvalue.

A product H v is the gradient of <g, v>, g being the loss's gradient (Pearlmutter 1994, "Fast Exact Multiplication by
the Hessian"): no matrix is ever made. At a kink (ReLU at 0, a tie in max-pooling) it is the product of the piece that
the engine's gradient belongs to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ... import nn
from ...autograd import grad
from ...backend import Generator
from ...checks import as_index, as_number
from ...creation import zeros_like
from ...errors import ShapeError, explain, unknown_choice
from ...tensor import Tensor
from .objective import Array, LossFunction, Objective, gradient_of

SORT_KEYS: dict[str, Callable[[Any], Any]] = {"magnitude": np.abs, "value": np.positive}
"""What the top eigenvalue is the largest in."""


@dataclass(frozen=True)
class HessianEigenvalue:
    """The Hessian's top eigenvalue, and how well it is known.

    Attributes:
        value: the eigenvalue; negative where the curvature found is downwards.
        residual: ||H v - value v|| / |value| for the eigenvector v found, ||v|| = 1. Some eigenvalue of H lies within
            residual * |value| of the value.
        iterations: products with the Hessian that were made.
        converged: whether the residual is at most the tolerance that was asked for.
    """

    value: float
    residual: float
    iterations: int
    converged: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes for a JSON file."""
        return asdict(self)


def hessian_vector_product(
    model: nn.Module,
    loss_function: LossFunction,
    images: Tensor,
    labels: Tensor,
    vector: Mapping[str, Any],
) -> dict[str, Array]:
    """Return the Hessian of a batch's loss, with respect to the model's trained parameters, times a vector.

    BatchNorm uses the batch's statistics, as in training, and the derivatives go through them. The model is afterwards
    bit for bit as before.

    Args:
        model, loss_function, images, labels: as in `landscape`.
        vector: an array for each parameter that requires a gradient, by its name and in its shape.

    Returns:
        The product, in the same form and in the parameters' dtypes, as arrays of the model's device.

    Raises:
        ArgumentError, DTypeError, ShapeError: the vector or another argument does not fit.

    >>> import tinygrad_bn as tg
    >>> model, images, targets = nn.Linear(1, 1, bias=False), tg.tensor([[3.0]]), tg.tensor([[0.0]])
    >>> hessian_vector_product(model, tg.functional.mse_loss, images, targets, {"weight": [[1.0]]})["weight"].item()
    18.0
    """
    objective = Objective("hessian_vector_product", model, loss_function, images, labels)
    if set(vector) != set(objective.names):
        expected = f"one array for each of {', '.join(objective.names)}"
        raise ShapeError(explain("hessian_vector_product", expected, f"arrays for {', '.join(map(str, vector))}"))
    parts = []
    for name, parameter in zip(objective.names, objective.parameters, strict=True):
        part = Tensor(vector[name], dtype=parameter.dtype, device=parameter.device)
        if part.shape != parameter.shape:
            expected = f"an array of shape {parameter.shape} for {name}"
            raise ShapeError(explain("hessian_vector_product", expected, str(part.shape)))
        parts.append(part)
    with objective.at([parameter.data for parameter in objective.parameters]) as (loss, leaves):
        product = _Hessian(loss, leaves).times(parts)
    return {name: part.data for name, part in zip(objective.names, product, strict=True)}


def top_hessian_eigenvalue(
    model: nn.Module,
    loss_function: LossFunction,
    images: Tensor,
    labels: Tensor,
    iterations: int = 50,
    tolerance: float = 1e-3,
    seed: int = 0,
    largest: str = "magnitude",
) -> HessianEigenvalue:
    """Find the top eigenvalue of the Hessian of a batch's loss by the Lanczos method.

    Lanczos with full reorthogonalisation (Golub & Van Loan, "Matrix Computations", section 10.3): after k products it
    has the best approximation in the space that k steps of power iteration go through, and so needs fewer of them,
    notably where two eigenvalues are close in size, or of opposite sign. Its price is memory: k vectors of float64, as
    long as all parameters together. It stops when its estimate of the residual is within the tolerance; the residual
    that it returns is measured with one more product.

    BatchNorm uses the batch's statistics, as in training. The model is afterwards bit for bit as before.

    Args:
        model, loss_function, images, labels: as in `landscape`.
        iterations: the largest number of Lanczos steps, each one product with the Hessian.
        tolerance: of the relative residual.
        seed: of the random vector to start from.
        largest: "magnitude", for the eigenvalue farthest from 0; or "value", for the largest one, which is what the
            literature calls sharpness. At random weights the first may well be negative.

    Raises:
        ArgumentError, DTypeError, ShapeError: an argument does not fit.
    """
    where = "top_hessian_eigenvalue"
    iterations = as_index(where, "iterations", iterations, 1)
    tolerance = as_number(where, "tolerance", tolerance, above=0.0)
    generator = Generator(as_index(where, "seed", seed, 0))
    if largest not in SORT_KEYS:
        raise unknown_choice(where, "largest", largest, SORT_KEYS)
    objective = Objective(where, model, loss_function, images, labels)
    with objective.at([parameter.data for parameter in objective.parameters]) as (loss, leaves):
        hessian = _Hessian(loss, leaves)
        start = loss.device.from_host(generator.normal((hessian.size,)))
        return _lanczos(hessian, start, min(iterations, hessian.size), tolerance, SORT_KEYS[largest])


class _Hessian:
    """Products with the Hessian of a loss; its graph is recorded once and used for each of them."""

    def __init__(self, loss: Tensor, leaves: Sequence[Tensor]) -> None:
        self._leaves = leaves
        self._gradient = gradient_of(loss, leaves, create_graph=True)
        self._ends = np.cumsum([leaf.size for leaf in leaves])
        self.size = int(self._ends[-1])
        self.xp = loss.device.use()

    def times(self, parts: Sequence[Tensor]) -> list[Tensor]:
        # The gradient of a loss that is linear in a parameter is a constant.
        pairs = [(own, part) for own, part in zip(self._gradient, parts, strict=True) if own.requires_grad]
        if not pairs:
            return [zeros_like(leaf) for leaf in self._leaves]
        outputs, vectors = zip(*pairs, strict=True)
        found = grad(outputs, self._leaves, vectors, retain_graph=True, allow_unused=True)
        return [zeros_like(leaf) if part is None else part for leaf, part in zip(self._leaves, found, strict=True)]

    def times_flat(self, vector: Array) -> Array:
        """Multiply a vector of float64 that holds all parameters one after the other."""
        pieces = self.xp.split(vector, self._ends[:-1].tolist())
        parts = [
            leaf.wrap(piece.reshape(leaf.shape).astype(leaf.dtype))
            for leaf, piece in zip(self._leaves, pieces, strict=True)
        ]
        return self.xp.concatenate([part.data.ravel().astype(np.float64) for part in self.times(parts)])


def _lanczos(
    hessian: _Hessian, start: Array, iterations: int, tolerance: float, key: Callable[[Any], Any]
) -> HessianEigenvalue:
    xp = hessian.xp
    basis = xp.empty((iterations, hessian.size))
    tridiagonal = np.zeros((iterations, iterations))
    vector = start / xp.linalg.norm(start)
    for step in range(iterations):
        basis[step] = vector
        known = basis[: step + 1]
        following = hessian.times_flat(vector)
        tridiagonal[step, step] = float(vector @ following)
        for _ in range(2):  # once leaves what rounding put back; twice is enough (Kahan, in Parlett 1980)
            following -= (known @ following) @ known
        length = float(xp.linalg.norm(following))
        if not (math.isfinite(length) and math.isfinite(tridiagonal[step, step])):
            return HessianEigenvalue(math.nan, math.nan, step + 1, False)
        values, vectors = np.linalg.eigh(tridiagonal[: step + 1, : step + 1])
        top = int(np.argmax(key(values)))
        # The residual of a Ritz pair (Golub & Van Loan, section 10.1).
        if length * abs(vectors[-1, top]) <= tolerance * abs(values[top]) or step + 1 == iterations:
            break
        tridiagonal[step, step + 1] = tridiagonal[step + 1, step] = length
        vector = following / length
    found = xp.asarray(vectors[:, top]) @ known
    product = hessian.times_flat(found)
    value = float(found @ product / (found @ found))
    error = float(xp.linalg.norm(product - value * found) / xp.linalg.norm(found))
    residual = error / abs(value) if value else (0.0 if error == 0.0 else math.inf)
    return HessianEigenvalue(value, residual, step + 2, residual <= tolerance)
