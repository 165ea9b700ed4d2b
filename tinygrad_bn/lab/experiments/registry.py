"""The experiments by name. Each is imported when it is asked for."""

from __future__ import annotations

import importlib

from ...errors import unknown_choice
from ..tables import columns
from .experiment import Experiment

#: Name on the command line -> module of this package.
MODULES = {
    "seed-000-sequence": "seed_000_sequence",
    "seed-001-four-places": "seed_001_four_places",
    "seed-002-bn-then-relu": "seed_002_bn_then_relu",
    "seed-003-bounded": "seed_003_bounded",
    "seed-004-basics": "seed_004_basics",
    "six-orders": "six_orders",
    "bn-or-not": "bn_or_not",
}


def get_experiment(name: str) -> Experiment:
    """Return an experiment by its name.

    Raises:
        ArgumentError: there is none; the message lists them.
    """
    if name not in MODULES:
        raise unknown_choice("experiment", "the experiment's name", name, MODULES)
    experiment: Experiment = importlib.import_module(f".{MODULES[name]}", __package__).EXPERIMENT
    return experiment


def describe_experiments() -> str:
    """A table of all experiments: name and question."""
    return columns([(name, get_experiment(name).title) for name in MODULES])
