"""Every operation, its gradient and its gradient's gradient can be captured, with the GPU's own kernels.

Or it cannot, and then it says so on the CPU, too.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from cases import EVERYTHING, Case
from compare import cast

import tinygrad_bn as tg
from tinygrad_bn.errors import CaptureError

# CuPy hands products without elements to cuBLAS, too, which it does not record.
CASES = [case for case in EVERYTHING if all(array.size for array in case.draw())]


@pytest.fixture(autouse=True)
def _constants_of_the_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let cases make tensors of NumPy arrays, labels and indices, which are always the same here."""
    monkeypatch.setattr("tinygrad_bn.creation.refuse_host_array", lambda data: None)


def derivatives(case: Case, inputs: tuple[tg.Tensor, ...]) -> list[tg.Tensor]:
    """Return the result, its gradients by the kernels, and those of gradients by the expansions."""
    varied = [x.requires_grad_() for x in inputs if x.dtype.kind == "f"]
    output = case.ours(*inputs)
    results = [output, *tg.grad(output.sum(), varied, retain_graph=True, allow_unused=True)]
    found = tg.grad(output.sum(), varied, create_graph=True, allow_unused=True)
    differentiable = [(g * g).sum() for g in found if g is not None and g.requires_grad]
    if differentiable:
        results += tg.grad(differentiable, varied, allow_unused=True)
    return [result for result in results if result is not None]


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_a_captured_operation_is_the_plain_one(gpu_with_its_kernels: ModuleType, case: Case) -> None:
    arrays = cast(case.draw(), "float32")
    others = [np.ascontiguousarray(a[::-1]) if a.ndim and a.dtype.kind == "f" else a for a in arrays]
    captured = tg.capture(lambda *inputs: derivatives(case, inputs), warmup=1)
    try:
        captured(*(tg.tensor(a, device="cpu") for a in arrays))
    except CaptureError:
        assert repr(case).startswith(("x[", "pad(")), "only indices with arrays may be refused"
        with pytest.raises(CaptureError, match=r"cases\.py|test_every_operation\.py"):
            captured(*(tg.tensor(a, device="cuda") for a in arrays))
        return
    for given in (arrays, others, arrays):
        tg.manual_seed(0)
        expected = derivatives(case, tuple(tg.tensor(a, device="cuda") for a in given))
        tg.manual_seed(0)
        found = captured(*(tg.tensor(a, device="cuda") for a in given))
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert [info.replays for info in captured.graphs] == [1]
