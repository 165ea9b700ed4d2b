"""Every operation with the GPU's kernels, on an emulated GPU, against the reference on the CPU."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import stand_in
from cases import EVERYTHING, Case
from compare import assert_close, cast

import tinygrad_bn as tg
from tinygrad_bn.backend import get_device
from tinygrad_bn.kernels import Kernels


@pytest.fixture(autouse=True, scope="module")
def _gpu() -> Iterator[None]:
    with stand_in.emulated_gpu():
        yield


@pytest.fixture(autouse=True)
def _reference_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = get_device("cpu")
    monkeypatch.setattr(cpu, "kernels", Kernels(cpu))


def run(case: Case, arrays: list[np.ndarray], where: str, create_graph: bool) -> list[tg.Tensor]:
    """Return the value, the gradients, and with `create_graph` gradients of gradients."""
    inputs = [tg.tensor(a, device=where, requires_grad=a.dtype.kind == "f") for a in arrays]
    varied = [x for x in inputs if x.requires_grad]
    output = case.ours(*inputs)
    start = np.asarray(np.random.default_rng(1).standard_normal(output.shape)).astype(output.dtype)
    found = tg.grad(output, varied, start, create_graph=create_graph, allow_unused=True)
    results = [output, *(g for g in found if g is not None)]
    if create_graph:
        differentiable = [(g * g).sum() for g in found if g is not None and g.requires_grad]
        if differentiable:
            results += [g for g in tg.grad(differentiable, varied, allow_unused=True) if g is not None]
    return results


CASES = [
    (case, dtype, create_graph)
    for case in EVERYTHING
    for dtype, create_graph in [("float32", True), ("float32", False), ("float16", False)]
    if case.half or dtype != "float16"
]


@pytest.mark.parametrize(("case", "dtype", "create_graph"), CASES, ids=repr)
def test_the_same_results_as_on_the_cpu(case: Case, dtype: str, create_graph: bool) -> None:
    arrays = cast(case.draw(), dtype)
    expected = run(case, arrays, "cpu", create_graph)
    found = run(case, arrays, "cuda", create_graph)
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        assert str(a.device) == "cuda:0"
        assert_close(a.numpy(), b.numpy(), f"result {i}")
