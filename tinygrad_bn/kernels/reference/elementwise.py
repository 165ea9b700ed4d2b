"""Elementwise arithmetic, functions and comparisons. Memory order is whatever the inputs have."""

from __future__ import annotations

from typing import Any

from .precision import bfloat16_in_float32, in_float32
from .special import erf


class ElementwiseKernels:
    """One method per elementwise operation; operands broadcast."""

    xp: Any

    @bfloat16_in_float32
    def add(self, a: Any, b: Any) -> Any:
        return self.xp.add(a, b)

    @bfloat16_in_float32
    def subtract(self, a: Any, b: Any) -> Any:
        return self.xp.subtract(a, b)

    @bfloat16_in_float32
    def multiply(self, a: Any, b: Any) -> Any:
        return self.xp.multiply(a, b)

    @bfloat16_in_float32
    def divide(self, a: Any, b: Any) -> Any:
        return self.xp.true_divide(a, b)

    @bfloat16_in_float32
    def floor_divide(self, a: Any, b: Any) -> Any:
        return self.xp.floor_divide(a, b)

    @bfloat16_in_float32
    def remainder(self, a: Any, b: Any) -> Any:
        return self.xp.remainder(a, b)

    @bfloat16_in_float32
    def power(self, a: Any, b: Any) -> Any:
        return self.xp.power(a, b)

    @bfloat16_in_float32
    def maximum(self, a: Any, b: Any) -> Any:
        return self.xp.maximum(a, b)

    @bfloat16_in_float32
    def minimum(self, a: Any, b: Any) -> Any:
        return self.xp.minimum(a, b)

    @bfloat16_in_float32
    def arctan2(self, a: Any, b: Any) -> Any:
        return self.xp.arctan2(a, b)

    @bfloat16_in_float32
    def unary(self, name: str, x: Any) -> Any:
        """Apply the array module's function of that name (exp, sqrt, sin, floor, ...)."""
        return getattr(self.xp, name)(x)

    @bfloat16_in_float32
    def rsqrt(self, x: Any) -> Any:
        return 1.0 / self.xp.sqrt(x)

    @in_float32
    def erf(self, x: Any) -> Any:
        return erf(self.xp, x)

    @bfloat16_in_float32
    def clip(self, x: Any, low: float | None, high: float | None) -> Any:
        return self.xp.clip(x, low, high)

    @bfloat16_in_float32
    def where(self, condition: Any, a: Any, b: Any) -> Any:
        return self.xp.where(condition, a, b)

    @bfloat16_in_float32
    def compare(self, name: str, a: Any, b: Any) -> Any:
        """Apply the array module's comparison or logical function of that name."""
        return getattr(self.xp, name)(a, b)

    def astype(self, x: Any, dtype: Any) -> Any:
        return x.astype(dtype)

    def copy(self, x: Any) -> Any:
        return x.copy(order="K")  # the memory order of x

    @in_float32
    def matmul(self, a: Any, b: Any) -> Any:
        """Multiply matrices (..., M, K) @ (..., K, N)."""
        return self.xp.matmul(a, b)
