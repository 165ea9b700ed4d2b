"""Products of matrices in each precision."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinygrad_bn as tg

from ..place import Place, error_of, set_precision
from . import Found, Item

ERROR = {"float32": 1e-6, "tf32": 1e-3, "bfloat16": 5e-3, "float16": 1e-3}

_SHAPES = ((128, 3136, 128), (131072, 64, 128), (4096, 4096, 4096))
"""Rows, length of the sums, columns."""


def products(place: Place) -> Found:
    """Multiply, and compare with float64 and with PyTorch's time."""
    random = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    wrong = []
    for m, k, n in _SHAPES[:1] if place.small else _SHAPES:
        host = random.normal(size=(m, k)).astype("float32"), random.normal(size=(k, n)).astype("float32")
        for precision, allowed in ERROR.items():
            set_precision(precision)
            dtype = precision if precision.endswith("float16") else "float32"
            a, b = (place.tensor(array, dtype) for array in host)
            x, y = (place.torch_tensor(array, dtype) for array in host)
            some = slice(0, min(m, 512))  # of the rows: enough to tell an error
            exact = a.numpy()[some].astype("float64") @ b.numpy().astype("float64")
            error = error_of((a @ b).numpy()[some], exact)
            ours = place.replayed_seconds([lambda a=a, b=b: a @ b])  # type: ignore[misc]
            theirs = place.torch_replayed_seconds([lambda x=x, y=y: x @ y])  # type: ignore[misc]
            operations = 2.0 * m * k * n
            rows.append(
                {
                    "shape": f"{m} x {k} x {n}",
                    "precision": precision,
                    "error": error,
                    "ours": ours,
                    "theirs": theirs,
                    "operations_per_second": operations / ours,
                }
            )
            if not error <= allowed:
                wrong.append(f"{m} x {k} x {n} in {precision} is off by {error:.0e}")
    fastest = {row["precision"]: row["operations_per_second"] for row in rows}
    line = ", ".join(f"{name} {rate / 1e12:.1f} TFLOP/s" for name, rate in fastest.items())
    set_precision("float32")
    tg.set_float32_matmul_precision("highest")
    return Found("; ".join(wrong) or line, {"rows": rows}, not wrong)


ITEMS = (Item("products", "products of matrices", products, 20.0),)
