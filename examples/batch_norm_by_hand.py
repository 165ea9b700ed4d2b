"""Batch normalisation by hand, in NumPy, against the operation of this package.

The forward pass keeps what the backward pass needs in a cache, as tutorials do. One thing tutorials often get wrong:
mean and standard deviation are *statistics*, computed from the batch; only gamma and beta are trained. The gradient
still flows through both statistics: those are the two means that the backward pass below subtracts.
"""

from __future__ import annotations

import sys

import numpy as np

import tinygrad_bn as tg
from tinygrad_bn import functional as F

Cache = tuple[np.ndarray, np.ndarray, np.ndarray]


def batch_norm(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float = 1e-5) -> tuple[np.ndarray, Cache]:
    """Normalise each column of x (N, D), then scale and shift it."""
    mean = x.mean(axis=0)
    std = np.sqrt(x.var(axis=0) + eps)  # biased variance; eps inside the root, once
    normalized = (x - mean) / std
    return gamma * normalized + beta, (normalized, std, gamma)


def batch_norm_backward(grad: np.ndarray, cache: Cache) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of x, gamma and beta (Ioffe & Szegedy 2015, section 3)."""
    normalized, std, gamma = cache
    grad_beta = grad.sum(axis=0)
    grad_gamma = (grad * normalized).sum(axis=0)
    # The first mean is what flows through the batch's mean, the second what flows through its variance.
    grad_x = gamma / std * (grad - grad.mean(axis=0) - normalized * (grad * normalized).mean(axis=0))
    return grad_x, grad_gamma, grad_beta


def main() -> int:
    """Compare output and gradients; return 0 if they agree."""
    random = np.random.default_rng(0)
    x, grad = random.normal(3.0, 2.0, (32, 5)), random.normal(size=(32, 5))
    gamma, beta = random.normal(1.0, 0.1, 5), random.normal(0.0, 0.1, 5)

    output, cache = batch_norm(x, gamma, beta)
    by_hand = (output, *batch_norm_backward(grad, cache))

    tensors = [tg.tensor(value, requires_grad=True) for value in (x, gamma, beta)]
    result = F.batch_norm(tensors[0], None, None, tensors[1], tensors[2], training=True)
    result.backward(grad)
    by_operation = (result.numpy(), *(t.grad.numpy() for t in tensors))

    print(f"a column before:  mean {x[:, 0].mean():6.3f}, standard deviation {x[:, 0].std():5.3f}")
    print(f"a column after:   mean {output[:, 0].mean():6.3f}, standard deviation {output[:, 0].std():5.3f}")
    print(f"gamma and beta:        {beta[0]:6.3f}                     {gamma[0]:5.3f}\n")
    print(f"{'':24}largest difference (expected below 1e-12)")
    agree = True
    for name, a, b in zip(("output", "grad of x", "grad of gamma", "grad of beta"), by_hand, by_operation, strict=True):
        difference = float(np.abs(a - b).max())
        agree &= difference < 1e-12
        print(f"{name:24}{difference:.1e}")
    print("\nThey agree." if agree else "\nThey DISAGREE.")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
