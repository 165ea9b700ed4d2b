"""How precisely GPUs multiply float32 matrices: one setting for convolutions and products of matrices."""

from __future__ import annotations

from ..errors import unknown_choice
from .capturing import depends_on

PRECISIONS = ("highest", "high", "medium")

_precision = "highest"


def get_float32_matmul_precision() -> str:
    """Return how precisely float32 matrices are multiplied on a GPU; see `set_float32_matmul_precision`."""
    return _precision


def set_float32_matmul_precision(precision: str) -> None:
    """Choose how precisely GPUs multiply float32 matrices, in convolutions and in products of matrices.

    Args:
        precision: "highest", in float32 throughout, so that a GPU computes what the CPU does up to rounding (the
            default); "high" or "medium", with factors rounded to TF32, which has float32's range and 10 bits after the
            point, on tensor cores: several times faster. The CPU always computes in float32.

    Raises:
        ArgumentError: another word.
    """
    global _precision
    if precision not in PRECISIONS:
        raise unknown_choice("set_float32_matmul_precision", "the precision", precision, PRECISIONS)
    _precision = precision


depends_on(get_float32_matmul_precision)
