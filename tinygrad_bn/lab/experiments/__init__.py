"""Named experiments: each answers one question with measurements and trainings, small or at a paper's size."""

from __future__ import annotations

from .experiment import SIZES, Experiment, Measurement, Training
from .record import ExperimentRecord, run_experiment
from .registry import MODULES, describe_experiments, get_experiment

__all__ = [
    "MODULES",
    "SIZES",
    "Experiment",
    "ExperimentRecord",
    "Measurement",
    "Training",
    "describe_experiments",
    "get_experiment",
    "run_experiment",
]
