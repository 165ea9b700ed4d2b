"""Draw the same networks with tinygrad_bn and with other tools, and measure what is made; see docs/graphs.md."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import graphviz

from ..environments import ROOT, PeerMissingError
from ..machine import OtherLoad, describe_machine
from ..progress import Progress
from ..protocol import WorkerError
from .chromium import Chromium, ChromiumError, chromium, installed
from .measuring import Measurement
from .report import Report
from .tools import TOOLS, Tool, interpreter

DEFAULT_OUTPUT = ROOT / "benchmarks" / "results" / "scratch" / "graphs"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drawing", description=__doc__)
    names = [tool.name for tool in TOOLS]
    parser.add_argument("tools", metavar="TOOL", nargs="*", help=f"of {', '.join(names)} (default: all)")
    parser.add_argument("--output", type=Path, metavar="FOLDER", default=DEFAULT_OUTPUT, help="takes the results")
    return parser


def main() -> int:
    """Measure, and write and print the results."""
    parser = build_parser()
    options = parser.parse_args()
    unknown = sorted({*options.tools} - {tool.name for tool in TOOLS})
    if unknown:
        parser.error(f"unknown tool {unknown[0]!r}; known are {', '.join(tool.name for tool in TOOLS)}")
    chosen = [tool for tool in TOOLS if not options.tools or tool.name in options.tools]
    report, progress, others = Report(describe_machine(1)), Progress(), OtherLoad()
    try:
        report.machine["graphviz"] = ".".join(map(str, graphviz.version()))
    except graphviz.ExecutableNotFound:
        report.missing["dot"] = "no program dot: install Graphviz"
    with tempfile.TemporaryDirectory(prefix="tinygrad_bn-graphs-") as folder:
        try:
            for tool in chosen:
                _measure(report, tool, Path(folder) / tool.name, progress)
        except KeyboardInterrupt:
            progress.line("interrupted; what was measured so far follows")
        finally:
            report.machine["cores that other processes used"] = others.cores(progress.elapsed())
            report.write(options.output)
    print(f"\n{report.as_markdown()}\nwritten to {os.path.relpath(options.output)}")
    return 0


def _measure(report: Report, tool: Tool, folder: Path, progress: Progress) -> None:
    try:
        python = interpreter(tool, progress.line)
        with _browser(report, folder / "profile") as browser:
            findings = Measurement(tool, python, folder, browser, progress.line).run()
    except (PeerMissingError, WorkerError, ChromiumError) as error:
        report.missing[tool.name] = f"{tool.name}: {error}"
        progress.line(report.missing[tool.name])
    else:
        report.tools[tool.name] = findings


@contextlib.contextmanager
def _browser(report: Report, profile: Path) -> Iterator[Chromium | None]:
    """Start a browser, or go on without one where there is none."""
    if installed() is None:
        report.missing["chromium"] = "no Chromium: how files open was not measured"
        yield None
        return
    with chromium(profile) as browser:
        browser.view(1600, 1000)
        report.machine["browser"] = browser.call("Browser.getVersion")["product"]
        yield browser


if __name__ == "__main__":
    sys.exit(main())
