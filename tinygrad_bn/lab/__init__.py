"""The laboratory: train a network in several orders of BatchNorm and activation, and say honestly what came out.

>>> from tinygrad_bn import lab
>>> config = lab.CompareConfig(activations=("tanh",), seeds=(0, 1, 2))
>>> len(config.runs())
6

`lab.compare(config)` trains these runs and writes their page; `lab.train(run)` trains one of them.
"""

from __future__ import annotations

from .comparison import Comparison, RunRecord
from .config import CompareConfig, RunConfig
from .main_job import compare
from .probes import LayerProbe, ModelProbe, layers_of
from .statistics import PairedComparison, compare_pairs
from .training import Trained, train

__all__ = [
    "CompareConfig",
    "Comparison",
    "LayerProbe",
    "ModelProbe",
    "PairedComparison",
    "RunConfig",
    "RunRecord",
    "Trained",
    "compare",
    "compare_pairs",
    "layers_of",
    "train",
]
