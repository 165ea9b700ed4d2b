"""The switch between rule and clock."""

from __future__ import annotations

from typing import Any

import pytest

import tinygrad_bn as tg
from tinygrad_bn.backend.tuning import get_cudnn_benchmark
from tinygrad_bn.errors import DTypeError


@pytest.mark.parametrize("value", ["no", "", None, 1, 0.0])
def test_only_true_and_false_are_taken(value: Any) -> None:
    for now in (True, False):
        tg.set_cudnn_benchmark(now)
        with pytest.raises(DTypeError, match=r"^in set_cudnn_benchmark: expected benchmark to be True or False, got "):
            tg.set_cudnn_benchmark(value)
        assert get_cudnn_benchmark() is now
