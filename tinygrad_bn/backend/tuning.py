"""Whether GPUs choose the algorithm of a convolution by rule or by the clock."""

from __future__ import annotations

from ..checks import as_bool

_benchmark = False


def get_cudnn_benchmark() -> bool:
    """Return whether convolutions on a GPU are timed to choose their algorithm; see `set_cudnn_benchmark`."""
    return _benchmark


def set_cudnn_benchmark(benchmark: bool) -> None:
    """Choose whether algorithms for a convolution on a GPU, up to ten, are timed when its shape is first met.

    Without (the default) cuDNN's heuristics choose, and the same shapes give the same bits in every run. With it each
    shape's first step takes longer, later ones may be faster, and another run may choose other algorithms, whose
    results differ in the last bits; within a run results repeat either way. A shape that is first met in a captured
    step is left to the heuristics.

    Raises:
        DTypeError: it is neither True nor False.
    """
    global _benchmark
    _benchmark = as_bool("set_cudnn_benchmark", "benchmark", benchmark)
