"""The GPU's kernels as a whole keep the contract: they are called as the reference is, and do not hide one another."""

from __future__ import annotations

import inspect

from tinygrad_bn.kernels import Kernels
from tinygrad_bn.kernels.cuda import CudaKernels


def test_every_override_has_the_references_signature() -> None:
    """Also of private methods: one that has a name of the reference's by accident would be called in its place."""
    overridden = [
        name
        for name, method in inspect.getmembers(Kernels, inspect.isfunction)
        if getattr(CudaKernels, name) is not method and name != "__init__"
    ]
    assert {"norm_act", "activation", "max_pool2d", "class_cross_entropy", "adam_all", "sum"} <= set(overridden)
    for name in overridden:
        ours, reference = (inspect.signature(getattr(kind, name)) for kind in (CudaKernels, Kernels))
        assert list(ours.parameters) == list(reference.parameters), name


def test_no_two_overrides_have_a_name_in_common() -> None:
    seen: dict[str, str] = {}
    for kind in CudaKernels.__mro__:
        if kind.__module__.startswith("tinygrad_bn.kernels.cuda."):
            for name, value in vars(kind).items():
                if inspect.isfunction(value) and name != "__init__":
                    assert seen.setdefault(name, kind.__name__) == kind.__name__, name
