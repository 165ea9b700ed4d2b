"""What several trainings of one network have in common at each node of its graph: means over seeds, with intervals.

Channels cannot be averaged over seeds, because the first channel of one network has nothing to do with that of another:
the strips of channels are those of one network, and the statistics of whole layers are those of all.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..viz.document import number
from .statistics import scipy_stats

Frames = list[dict[str, Any]]

_CONFIDENCE = 0.95

_OF_VALUE = ("mean", "variance", "skewness", "saturation", "zeros")


def with_seeds(by_seed: Sequence[Frames]) -> Frames:
    """Return the first training's frames, each node with the means and intervals over all trainings.

    The interval is Student's: mean ± t s / √n, with n the number of trainings in which the statistic has a value. A
    moment that not all trainings have reached (one that diverged stops) gets those that have.

    Args:
        by_seed: the frames of each training, all of the same network.
    """
    first, *others = by_seed
    if not others:
        return first
    by_name = [{frame["name"]: frame["nodes"] for frame in frames} for frames in by_seed]
    return [
        {
            "name": frame["name"],
            "nodes": {
                key: {**node, "seeds": _intervals([n[frame["name"]][key] for n in by_name if frame["name"] in n])}
                for key, node in frame["nodes"].items()
            },
        }
        for frame in first
    ]


def _intervals(nodes: Sequence[Mapping[str, Any]]) -> dict[str, list[float | None]]:
    found = {}
    for name in (*_OF_VALUE, "gradient"):
        values = [value for node in nodes if (value := _statistic(node, name)) is not None]
        if len(values) > 1:
            mean = float(np.mean(values))
            half = float(_quantile(len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
            found[name] = [number(mean), number(mean - half), number(mean + half)]
    return found


def _statistic(node: Mapping[str, Any], name: str) -> float | None:
    facts = node["gradient"] if name == "gradient" else node["value"]
    value: float | None = None if facts is None else facts["norm" if name == "gradient" else name]
    return value


@functools.cache
def _quantile(degrees: int) -> float:
    """The quantile of Student's distribution that leaves half of what the interval may miss on each side."""
    return float(scipy_stats("with_seeds").t.ppf(0.5 + _CONFIDENCE / 2, degrees))
