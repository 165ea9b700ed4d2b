"""The command line: `tinygrad-bn compare | experiment | report | graph | data | info`."""

from __future__ import annotations

import argparse
import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from .errors import TinygradBNError

DESCRIPTION = "Does BatchNorm belong before or after the activation? Train both, and read the answer on one page."
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0: done. 1: some run failed. 2: wrong usage, or something that the command needs is missing.
    130: interrupted by Ctrl-C.
    """
    parser = _build_parser()
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:  # argparse alone would point to the help of all commands, not to that of this one
        command_line = f"tinygrad-bn {parsed.name}"
        return _fail(f"{command_line}: unrecognized arguments: {' '.join(unknown)}; see {command_line} --help")
    command: Callable[[argparse.Namespace], int] = parsed.command
    try:
        with _warnings_as_lines(f"tinygrad-bn {parsed.name}"):
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
    comparison = compare(config, out=arguments.out, progress=progress.choose, **_trainers(arguments))
    print(f"\n{comparison}\n\npage: {comparison.root / 'report.html'}")
    return 1 if comparison.unfinished else 0


def _experiment(arguments: argparse.Namespace) -> int:
    from .lab import progress
    from .lab.config import CompareConfig
    from .lab.experiments import describe_experiments, run_experiment
    from .lab.options import given

    if arguments.experiment is None:
        print(describe_experiments())
        return 0
    record = run_experiment(
        arguments.experiment,
        arguments.size,
        overrides=given(CompareConfig, arguments),
        out=arguments.out,
        progress=progress.choose,
        say=lambda line: print(line, flush=True),
        **_trainers(arguments),
    )
    print(f"\n{record}\n\npage: {record.root / 'report.html'}")
    return 1 if record.unfinished else 0


def _report(arguments: argparse.Namespace) -> int:
    from .lab.report.folders import report_contrast, report_folders

    if arguments.compare and arguments.folders:
        return _fail("tinygrad-bn report: expected folders, or --compare A B, got both; see tinygrad-bn report --help")
    if arguments.compare:
        text, path, unfinished = report_contrast(arguments.compare[0], arguments.compare[1], arguments.out)
    elif arguments.folders:
        text, path, unfinished = report_folders(arguments.folders, arguments.out)
    else:
        return _fail("tinygrad-bn report: expected a folder, or --compare A B; see tinygrad-bn report --help")
    print(f"{text}\n\npage: {path}")
    return 1 if unfinished else 0


def _trainers(arguments: argparse.Namespace) -> dict[str, Any]:
    return {"jobs": arguments.jobs, "cluster": arguments.cluster, "tensorboard": arguments.tensorboard}


def _graph(arguments: argparse.Namespace) -> int:
    from .lab.graph_options import draw_as_asked

    print(draw_as_asked(arguments))
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


@contextlib.contextmanager
def _warnings_as_lines(where: str) -> Iterator[None]:
    """Show warnings as errors are shown, without the line of code that warned."""
    usual = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"{where}: {message}\n"
    try:
        yield
    finally:
        warnings.formatwarning = usual


def _fail(line: str) -> int:
    print(line.replace("\n", " "), file=sys.stderr)
    return 2


def _build_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="tinygrad-bn", description=DESCRIPTION)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_compare(commands)

    _add_experiment(commands)
    _add_report(commands)
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
        "6 paired seeds. What is trained is kept: the same command again goes on where it was stopped.",
    )
    add_options(compare.add_argument_group("what to compare"), CompareConfig)
    _add_trainers(compare, "runs/compare-<hash>")


def _add_experiment(commands: argparse._SubParsersAction[_Parser]) -> None:
    from .lab.config import CompareConfig
    from .lab.experiments import MODULES, SIZES
    from .lab.options import add_options

    experiment = _add(
        commands,
        "experiment",
        _experiment,
        "run a named experiment and write its page; without a name, list them",
        f"The experiments: {', '.join(MODULES)}. Each has a small size that ends in minutes on two cores, and the size "
        "of its paper, for a GPU. Options about training replace the experiment's own in all its trainings.",
    )
    experiment.add_argument("experiment", nargs="?", metavar="NAME", help="which one")
    experiment.add_argument("--size", default=SIZES[0], metavar="SIZE", help=f"{' or '.join(SIZES)} (default: small)")
    group = experiment.add_argument_group("instead of the experiment's own settings")
    add_options(group, CompareConfig, only=EXPERIMENT_OPTIONS, defaults=False)
    _add_trainers(experiment, "runs/<name>-<size>")


def _add_report(commands: argparse._SubParsersAction[_Parser]) -> None:
    report = _add(
        commands,
        "report",
        _report,
        "build a page again from folders, or hold two comparisons against each other",
        "With one folder the page is written there. With several, they become the parts of one page.",
    )
    report.add_argument(
        "folders", nargs="*", type=Path, metavar="RUNS", help="folders that compare or experiment has written"
    )
    report.add_argument(
        "--compare",
        nargs=2,
        type=Path,
        metavar=("A", "B"),
        help="hold two comparisons against each other: what changed, and what that did to each order",
    )
    report.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="FILE",
        help="the page (default: report.html in the folder, or in the current one when there are several)",
    )


#: What can be set for all trainings of an experiment.
EXPERIMENT_OPTIONS = ("dataset", "epochs", "width", "seeds", "activations", "step_probes", "landscape", "device")


def _add_trainers(parser: argparse.ArgumentParser, folder: str) -> None:
    where = parser.add_argument_group("where and how")
    where.add_argument("--out", type=Path, metavar="FOLDER", help=f"folder for runs and page (default: {folder})")
    where.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="processes at a time; 0 trains in this one (default: one per core, or per GPU with --device cuda)",
    )
    where.add_argument(
        "--cluster",
        metavar="WHERE",
        help="train on a Dask cluster: local, or the scheduler's address, such as tcp://host:8786",
    )
    where.add_argument("--tensorboard", action="store_true", help="also write event files for TensorBoard")
    parser.set_defaults(
        when_interrupted="what is trained is kept: run the same command again to go on from the last epochs"
    )


def _add_graph(commands: argparse._SubParsersAction[_Parser]) -> None:
    from .lab.graph_options import add_graph_options

    graph = _add(
        commands,
        "graph",
        _graph,
        "draw the graph of a network, what differs between two orders of it, or what a training did inside it",
        "The suffix of the file chooses the format. A page (.html) can be zoomed, searched and opened, and shows the "
        "backward pass and what was measured on a batch of images; a picture shows what the options ask for.",
    )
    add_graph_options(graph)


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
