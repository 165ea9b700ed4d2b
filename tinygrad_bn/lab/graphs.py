"""Drawings of the networks that a comparison trains, and of any other, with what happens inside."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import data, viz
from ..backend import manual_seed
from ..errors import ArgumentError, explain, unknown_choice
from ..files import write_file
from ..nn import Module
from ..tensor import Tensor
from ..viz.comparing.compare import compare
from ..viz.document import DOCUMENTS, document_bytes, graph_document, page_document
from ..viz.drawing import NETRON
from ..viz.painting import QUANTITIES
from .comparison import Comparison
from .config import Condition, RunConfig
from .probes.graph import IMAGES
from .seed_frames import with_seeds
from .training import build_model

#: Conditions beyond this many differ from those that are drawn in numbers, mostly.
MOST_GRAPHS = 3
PICTURES = ("svg", "png", "pdf", "dot", NETRON)
FORMATS = (*PICTURES, *DOCUMENTS)

#: Images in the batch that a drawing of a single network is made with.
DRAWN_IMAGES = 16


@dataclass(frozen=True)
class GraphRequest:
    """What `tinygrad-bn graph` is asked for.

    Attributes:
        config: model, width, data set, order and activation.
        diff: two orders that are held against each other instead of drawing the config's.
        orders: several orders, side by side, instead of the config's.
        images: in the batch that goes through the network.
        evaluation: draw the network in evaluation mode.
        checks: a page also tells each operation's time, and checks its derivative.
        view: arguments of `viz.draw`; of a diff, "depth", "theme" and "expand" count.
    """

    config: RunConfig
    diff: tuple[str, str] | None = None
    orders: tuple[str, ...] = ()
    images: int = DRAWN_IMAGES
    evaluation: bool = False
    checks: bool = True
    view: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What a file of it is called."""
        order = "-against-".join(self.diff) if self.diff else "-".join(self.orders or (self.config.order,))
        return f"{self.config.model}-{self.config.activation}-{order}"


def draw_graphs(comparison: Comparison) -> None:
    """Draw the network of every condition, up to `MOST_GRAPHS`, in every order into the folder's `graphs/`.

    Without an engine that makes pictures an interactive page is written instead of each, with a warning.
    """
    seed = comparison.config.seeds[0]
    for condition in comparison.conditions[:MOST_GRAPHS]:
        for order in comparison.orders:
            run = comparison.config.run(condition, order, seed)
            path = comparison.graph_path(condition, order)
            dataset = data.load(run.dataset, "train")
            # A whole batch: the network is drawn as it is trained.
            drawing = viz.draw(build_model(run, dataset), (run.batch_size, *dataset.image_shape))
            drawing.render(path.with_suffix(""), format="svg")


def draw_to_file(request: GraphRequest, path: Path | None = None) -> str:
    """Draw a network, or what differs between two orders of it, into a file and return the path that was written.

    A page and a JSON document hold the backward pass and what was measured on images of the data set, too.

    Args:
        request: what to draw.
        path: where to; its suffix chooses the format. By default a SVG in the current folder, of a diff a page.

    Raises:
        ArgumentError: the suffix is not that of a format, or something cannot be drawn as asked.
    """
    if request.images < 1:
        raise ArgumentError(explain("graph", "images of at least 1", str(request.images)))
    path = path or Path(f"{request.name}.{'html' if request.diff else 'svg'}")
    format = _format_of(path)
    drawing = _diff(request, format) if request.diff else _drawing(request, format)
    written: str = drawing.render(path, format=format)
    return written


def draw_comparison(folder: Path, path: Path | None = None) -> str:
    """Write the interactive page (or its JSON) of the networks that a comparison has trained, over the epochs.

    Raises:
        ArgumentError: the suffix is neither .html nor .json.
        DataError: the folder holds no comparison, or none of its runs has recorded its graph.
    """
    path = path or folder / "graphs.html"
    format = _format_of(path)
    if format not in DOCUMENTS:
        raise unknown_choice("graph", "the suffix of a trained network's file", format, DOCUMENTS)
    comparison = Comparison(folder)
    document = comparison_document(comparison)
    if document is None:
        remedy = "train with --graph-frames, or wait for the first run to end"
        raise ArgumentError(explain("graph", f"recorded graphs in {folder}", "none", remedy))
    write_file(path, document_bytes(document, format))
    return str(path)


def comparison_document(comparison: Comparison) -> dict[str, Any] | None:
    """What the interactive page shows of a comparison: its first conditions in every order, moment by moment.

    Channels are those of the first seed that has ended; statistics of layers are means over all seeds.
    """
    graphs, first_pair = [], []
    for condition in comparison.conditions[:MOST_GRAPHS]:
        for order in comparison.orders:
            recorded = [frames for record in comparison.of(condition, order) if (frames := record.folder.graph())]
            if not recorded:
                continue
            name = f"{condition.label}, {order}" if len(comparison.conditions) > 1 else order
            record = _structure(comparison, condition, order)
            graphs.append(graph_document(record, name, with_seeds(recorded)))
            if condition == comparison.conditions[0]:
                first_pair.append((name, record))
    if not graphs:
        return None
    change = None
    if len(first_pair) > 1:
        (first, before), (second, after) = first_pair[:2]
        change = compare(before, after, (first, second)).document()["diff"]
    return page_document(f"{comparison.config.model} on {comparison.config.dataset}", graphs, change)


def _structure(comparison: Comparison, condition: Condition, order: str) -> viz.GraphRecord:
    """The graph of a trained network, with its backward pass, as `GraphProbe` sees it."""
    run = comparison.config.run(condition, order, comparison.config.seeds[0])
    images, labels = _batch(run, IMAGES)
    model = build_model(run, data.load(run.dataset, "train"))
    return viz.record_model(model, images, target=labels, backward=True)


def _drawing(request: GraphRequest, format: str) -> viz.Drawing:
    orders = request.orders or (request.config.order,)
    subjects = {order: _subject(request, replace(request.config, order=order)) for order in orders}
    view = dict(request.view)
    if format in DOCUMENTS:
        view |= {"backward": True, "observe": True, "checks": request.checks}
        _say(f"measuring {request.config.model} on {request.images} images")
    quantity = QUANTITIES.get(view.get("colour_by", "role"))
    if view.get("show_values") or (quantity is not None and quantity.measured):
        view |= {"observe": True, "checks": view["colour_by"] == "time"}
    if view.get("backward") or view.get("observe"):
        view["target"] = subjects[orders[0]].labels
    images = subjects[orders[0]].images
    if not request.orders:
        return viz.draw(subjects[orders[0]].model, images, **view)
    view |= {"name": request.config.model, "show_shapes": "inside"}  # so that both fit on one screen
    return viz.draw({order: subject.model for order, subject in subjects.items()}, images, **view)


def _diff(request: GraphRequest, format: str) -> viz.Drawing:
    assert request.diff is not None
    first, second = (_subject(request, replace(request.config, order=order)) for order in request.diff)
    settings = {name: request.view[name] for name in ("depth", "expand", "theme")}
    if format in DOCUMENTS:
        _say(f"measuring {request.config.model} in both orders on {request.images} images")
        settings |= {"backward": True, "observe": True, "checks": request.checks, "target": first.labels}
    return viz.diff(first.model, second.model, first.images, names=request.diff, **settings)


@dataclass(frozen=True)
class _Subject:
    """A network, and the batch that it is drawn with."""

    model: Module
    images: Tensor
    labels: Tensor


def _subject(request: GraphRequest, config: RunConfig) -> _Subject:
    images, labels = _batch(config, request.images)
    manual_seed(config.seed)  # the same command draws the same numbers, and both orders the same weights
    model = build_model(config, data.load(config.dataset, "test"))
    return _Subject(model.train(not request.evaluation), images, labels)


def _batch(config: RunConfig, count: int) -> tuple[Tensor, Tensor]:
    """The first images of the test set, as a network sees them, and their labels."""
    dataset = data.load(config.dataset, "test")
    loader = data.DataLoader(dataset, count, transform=data.Normalize(dataset.mean, dataset.std))
    images, labels = next(iter(loader))
    return images, labels


def _format_of(path: Path) -> str:
    if path.name.endswith(f".{NETRON}"):
        return NETRON
    format = path.suffix.removeprefix(".")
    if format not in FORMATS:
        raise unknown_choice("graph", "the suffix of the file", format or "none", FORMATS)
    return format


def _say(line: str) -> None:
    if sys.stderr.isatty():
        print(f"{line} ...", file=sys.stderr)
