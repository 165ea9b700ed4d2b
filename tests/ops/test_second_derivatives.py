"""Gradients of gradients of every differentiable operation, against PyTorch's double backward."""

from __future__ import annotations

import pytest
from cases import EVERYTHING, Case
from compare import compare_with_torch


@pytest.mark.parametrize("case", EVERYTHING, ids=repr)
def test_gradients_of_gradients(case: Case) -> None:
    compare_with_torch(case.ours, case.theirs, case.draw(), "float64", second=True)
