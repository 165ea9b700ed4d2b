"""Pictures of the networks that a comparison trains."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .. import data, viz
from ..errors import unknown_choice
from .comparison import Comparison
from .config import RunConfig
from .training import build_model

#: Conditions beyond this many differ from those that are drawn in numbers, mostly.
MOST_GRAPHS = 3
FORMATS = ("svg", "png", "pdf", "dot")


def draw_graphs(comparison: Comparison) -> None:
    """Draw the network of every condition, up to `MOST_GRAPHS`, in every order into the folder's `graphs/`.

    Without an engine that makes pictures the DOT text is written instead, with a warning.
    """
    seed = comparison.config.seeds[0]
    for condition in comparison.conditions[:MOST_GRAPHS]:
        for order in comparison.orders:
            run = comparison.config.run(condition, order, seed)
            path = comparison.graph_path(condition, order)
            _draw(run, data.load(run.dataset, "train")).render(path.with_suffix(""), format="svg")


def draw_to_file(
    config: RunConfig, path: Path | None = None, *, depth: int | None = None, expand: Iterable[str] = ()
) -> str:
    """Draw a network into a file and return the path that was written.

    Args:
        config: model, width, data set (for the shape of an image), order and activation.
        path: where to; its suffix chooses the format. By default a SVG in the current folder.
        depth, expand: as in `viz.draw`.

    Raises:
        ArgumentError: the suffix is not that of a format, or an operation cannot be expanded.
    """
    path = path or Path(f"{config.model}-{config.activation}-{config.order}.svg")
    format = path.suffix.removeprefix(".")
    if format not in FORMATS:
        raise unknown_choice("graph", "the suffix of the file", format or "none", FORMATS)
    drawing = _draw(config, data.load(config.dataset, "test"), depth=depth, expand=expand)
    written: str = drawing.render(path.with_suffix(""), format=format)
    return written


def _draw(config: RunConfig, dataset: data.Dataset, **view: Any) -> viz.Drawing:
    # A whole batch: the network is drawn as it is trained, and BatchNorm in training needs more than one image.
    return viz.draw(build_model(config, dataset), (config.batch_size, *dataset.image_shape), **view)
