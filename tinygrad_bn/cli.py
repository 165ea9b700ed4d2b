"""The command line: `tinygrad-bn compare | report | graph | data | info`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from .errors import TinygradBNError

DESCRIPTION = "Does BatchNorm belong before or after the activation? Train both, and read the answer on one page."
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0: done. 1: some run failed. 2: wrong usage, or something that the command needs is missing.
    130: interrupted by Ctrl-C.
    """
    parser = _build_parser()
    parsed = parser.parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = parsed.command
    try:
        return command(parsed)
    except TinygradBNError as error:
        return _fail(f"tinygrad-bn {parsed.name}: {error}")
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; that is no error of ours.
        sys.stderr.close()
        return 0
    except OSError as error:
        return _fail(f"tinygrad-bn {parsed.name}: {error.strerror or error}: {error.filename}")
    except KeyboardInterrupt:
        print(f"\ninterrupted; {parsed.when_interrupted}", file=sys.stderr)
        return INTERRUPTED


def _compare(arguments: argparse.Namespace) -> int:
    from .lab import progress
    from .lab.config import CompareConfig
    from .lab.main_job import compare
    from .lab.options import config_from

    config = config_from(CompareConfig, arguments)
    comparison = compare(config, out=arguments.out, jobs=arguments.jobs, progress=progress.choose)
    print(f"\n{comparison}\n\npage: {comparison.root / 'report.html'}")
    return 1 if comparison.unfinished else 0


def _report(arguments: argparse.Namespace) -> int:
    from .lab.comparison import Comparison
    from .lab.report import write_report

    comparison = Comparison(arguments.folder)
    path = write_report(comparison)
    print(f"{comparison}\n\npage: {path}")
    return 1 if comparison.unfinished else 0


def _graph(arguments: argparse.Namespace) -> int:
    from .lab.config import RunConfig
    from .lab.graphs import draw_to_file

    config = RunConfig(
        model=arguments.model,
        order=arguments.order,
        activation=arguments.activation,
        dataset=arguments.dataset,
        width=arguments.width,
    )
    print(draw_to_file(config, arguments.out, depth=arguments.depth, expand=arguments.expand))
    return 0


def _data(arguments: argparse.Namespace) -> int:
    from .lab.inventory import describe_datasets

    print(describe_datasets())
    return 0


def _info(arguments: argparse.Namespace) -> int:
    from .lab.inventory import describe_installation

    print(describe_installation())
    return 0


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, as all errors of this command are."""

    def error(self, message: str) -> NoReturn:
        raise SystemExit(_fail(f"{self.prog}: {message}; see {self.prog} --help"))


def _fail(line: str) -> int:
    print(line.replace("\n", " "), file=sys.stderr)
    return 2


def _build_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="tinygrad-bn", description=DESCRIPTION)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_compare(commands)

    report = _add(commands, "report", _report, "build the page of a comparison again from its folder")
    report.add_argument("folder", type=Path, metavar="RUN_FOLDER", help="folder that compare has written")

    _add_graph(commands)
    _add(commands, "data", _data, "list the data sets: where they are and how large")
    _add(commands, "info", _info, "show versions, devices, kernels and which extras are installed")
    return parser


def _add_compare(commands: argparse._SubParsersAction[_Parser]) -> None:
    from .lab.config import CompareConfig
    from .lab.options import add_options

    compare = _add(
        commands,
        "compare",
        _compare,
        "train a network in several orders of BatchNorm and activation, and compare",
        "Without options: SmallCNN on fashion_mini, Convention against Swap order, for tanh, softsign and relu with "
        "6 paired seeds. Finished runs are kept: the same command again goes on where it was stopped.",
    )
    add_options(compare.add_argument_group("what to compare"), CompareConfig)
    where = compare.add_argument_group("where and how")
    where.add_argument(
        "--out", type=Path, metavar="FOLDER", help="folder for runs and page (default: runs/compare-<hash>)"
    )
    where.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="processes at a time; 0 trains in this one (default: one per core)",
    )
    compare.set_defaults(when_interrupted="finished runs are kept: run the same command again to go on")


def _add_graph(commands: argparse._SubParsersAction[_Parser]) -> None:
    from .lab import choices
    from .lab.config import RunConfig
    from .lab.options import add_options, parse_words

    graph = _add(commands, "graph", _graph, "draw the graph of a network")
    graph.add_argument("model", metavar="MODEL", help=f"network: {', '.join(choices.models())}")
    add_options(graph, RunConfig, only=("order", "activation", "dataset", "width"))
    graph.add_argument("--depth", type=int, metavar="N", help="levels of modules that are opened (default: all)")
    graph.add_argument(
        "--expand",
        type=parse_words,
        default=(),
        metavar="A,B,...",
        help="operations shown as what they consist of, such as batch_norm",
    )
    graph.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="FILE",
        help="file to write, .svg, .png, .pdf or .dot (default: MODEL-ACTIVATION-ORDER.svg)",
    )


def _add(
    commands: argparse._SubParsersAction[_Parser],
    name: str,
    command: Callable[[argparse.Namespace], int],
    help: str,
    description: str | None = None,
) -> _Parser:
    parser = commands.add_parser(name, help=help, description=description or f"{help[0].upper()}{help[1:]}.")
    parser.set_defaults(command=command, name=name, when_interrupted="nothing was left half-written")
    return parser
