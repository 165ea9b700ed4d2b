"""The options of `tinygrad-bn graph`, and what is asked for by them."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..viz.painting import COLOUR_BY
from ..viz.style import THEMES
from ..viz.view import DIRECTIONS, PARAMETERS
from . import choices
from .config import RunConfig
from .graphs import DRAWN_IMAGES, FORMATS, GraphRequest, draw_comparison, draw_to_file
from .options import add_options, parse_words

FIELDS = ("order", "activation", "dataset", "width")


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
        "--images",
        type=int,
        default=DRAWN_IMAGES,
        metavar="N",
        help=f"images of the data set in the batch (default: {DRAWN_IMAGES})",
    )
    network.add_argument("--evaluation", action="store_true", help="draw it in evaluation mode")
    look = parser.add_argument_group("what is shown")
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
        ArgumentError: something cannot be drawn as asked.
    """
    if Path(arguments.model).is_dir():
        return draw_comparison(Path(arguments.model), arguments.out)
    request = GraphRequest(
        RunConfig(model=arguments.model, **{name: getattr(arguments, name) for name in FIELDS}),
        diff=None if arguments.diff is None else tuple(arguments.diff),
        images=arguments.images,
        evaluation=arguments.evaluation,
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
    return draw_to_file(request, arguments.out)
