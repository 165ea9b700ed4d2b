"""The options of `tinygrad-bn graph`, and what is asked for by them."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import ArgumentError, explain
from ..viz.painting import COLOUR_BY
from ..viz.style import THEMES
from ..viz.view import DIRECTIONS, PARAMETERS
from . import choices
from .config import RunConfig
from .graphs import DRAWN_IMAGES, FORMATS, GraphRequest, draw_comparison, draw_to_file
from .options import add_options, parse_words

FIELDS = ("order", "activation", "dataset", "width")

LOOKS = (
    *("depth", "expand", "backward", "values", "costs", "no_roll"),
    *("colour_by", "theme", "direction", "parameters"),
)
"""What says how a picture looks."""

ON_A_DIFF = ("activation", "dataset", "width", "diff", "images", "evaluation", "no_checks", "depth", "expand", "theme")
"""What has an effect on a diff."""


def add_graph_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        help=f"network: {', '.join(choices.models())}; or the folder of a comparison, whose trainings a page replays",
    )
    network = parser.add_argument_group("which network")
    add_options(network, RunConfig, only=FIELDS)
    network.add_argument("--diff", nargs=2, metavar=("A", "B"), help="two orders: show what differs between them")
    network.add_argument(
        "--orders", type=parse_words, default=(), metavar="A,B,...", help="several orders, side by side in one drawing"
    )
    network.add_argument(
        "--images",
        type=int,
        default=DRAWN_IMAGES,
        metavar="N",
        help=f"images of the data set in the batch (default: {DRAWN_IMAGES})",
    )
    network.add_argument("--evaluation", action="store_true", help="draw it in evaluation mode")
    network.add_argument(
        "--no-checks",
        action="store_true",
        help="a page without measured times and checked derivatives: sooner made, and the same bytes every time",
    )
    look = parser.add_argument_group("how a picture looks")
    look.add_argument("--depth", type=int, metavar="N", help="levels of modules that are opened (default: all)")
    look.add_argument(
        "--expand",
        type=parse_words,
        default=(),
        metavar="A,B,...",
        help="operations shown as what they consist of, such as batch_norm",
    )
    look.add_argument("--backward", action="store_true", help="the backward pass beside the forward pass")
    look.add_argument("--values", action="store_true", help="the numbers of small tensors and of their gradients")
    look.add_argument("--costs", action="store_true", help="FLOPs, parameters and memory of each operation")
    look.add_argument("--no-roll", action="store_true", help="every one of several modules that are alike")
    look.add_argument("--colour-by", choices=COLOUR_BY, default="role", metavar="WHAT", help=", ".join(COLOUR_BY))
    look.add_argument("--theme", choices=THEMES, default="light", metavar="NAME", help=" or ".join(THEMES))
    look.add_argument("--direction", choices=DIRECTIONS, default="TB", metavar="WAY", help=", ".join(DIRECTIONS))
    look.add_argument("--parameters", choices=PARAMETERS, default="inside", metavar="WHERE", help=", ".join(PARAMETERS))
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="FILE",
        help=f"file to write, .{', .'.join(FORMATS)} (default: MODEL-ACTIVATION-ORDER.svg; a page for --diff)",
    )


def draw_as_asked(arguments: argparse.Namespace) -> str:
    """Draw what the parsed options ask for and return the path that was written.

    Raises:
        ArgumentError: something cannot be drawn as asked, or an option would have no effect.
    """
    given = _given(arguments)
    if Path(arguments.model).is_dir():
        _refuse(given, "beside the folder of a comparison")
        return draw_comparison(Path(arguments.model), arguments.out)
    if arguments.diff:
        _refuse(given - set(ON_A_DIFF), "with --diff")
    out: Path | None = arguments.out
    is_page = (arguments.diff and out is None) or (out is not None and out.suffix in (".html", ".json"))
    if is_page:
        _refuse(given & set(LOOKS) - {"expand"}, "for a page, which has switches of its own, or its document")
    else:
        _refuse(given & {"no_checks"}, "for a picture, which shows none")
    request = GraphRequest(
        RunConfig(model=arguments.model, **{name: getattr(arguments, name) for name in FIELDS}),
        diff=None if arguments.diff is None else tuple(arguments.diff),
        orders=arguments.orders,
        images=arguments.images,
        evaluation=arguments.evaluation,
        checks=not arguments.no_checks,
        view={
            "depth": arguments.depth,
            "expand": arguments.expand,
            "backward": arguments.backward,
            "show_values": arguments.values,
            "show_costs": arguments.costs,
            "roll": not arguments.no_roll,
            "colour_by": arguments.colour_by,
            "theme": arguments.theme,
            "direction": arguments.direction,
            "parameters": arguments.parameters,
        },
    )
    return draw_to_file(request, out)


def _given(arguments: argparse.Namespace) -> set[str]:
    """Return the names of the options whose values are not their defaults."""
    parser = argparse.ArgumentParser()
    add_graph_options(parser)
    defaults = vars(parser.parse_args([""]))
    return {name for name, default in defaults.items() if getattr(arguments, name) != default} - {"model", "out"}


def _refuse(names: set[str], where: str) -> None:
    """Refuse options that were given and would have no effect."""
    if names:
        flags = ", ".join(sorted(f"--{name.replace('_', '-')}" for name in names))
        raise ArgumentError(explain("graph", f"no options without effect {where}", flags))
