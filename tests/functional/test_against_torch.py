"""Values and gradients of every function, against PyTorch on the CPU."""

from __future__ import annotations

import pytest
from cases import FUNCTIONAL, Case
from compare import compare_with_torch


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", FUNCTIONAL, ids=repr)
def test_value_and_gradients(case: Case, dtype: str) -> None:
    compare_with_torch(case.ours, case.theirs, case.draw(), dtype)
