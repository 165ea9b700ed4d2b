"""What was found out: as Markdown to read, as JSON to compute with."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tinygrad_bn.files import atomic_writer

from ..tables import markdown
from .measuring import Drawn, Findings
from .networks import BLOCKS, OPERATIONS

TIMES = ("tool", "file", "SmallCNN: made, ms", "kB", "opens, ms", "VGG16: made, ms", "kB", "opens, ms")
CHAIN = (f"{OPERATIONS * BLOCKS} operations: made, s", "opens, s")
CONDUCT = ("tool", "same bytes", "changed in the model", "without dot", "hostile names", "asks the network for")


@dataclass
class Report:
    """What has been found out so far.

    Args:
        machine: processor, cores, versions, date.
        tools: findings by tool.
        missing: what could not be had, and why.
    """

    machine: dict[str, Any]
    tools: dict[str, Findings] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values; times in seconds, sizes in bytes."""
        tools = {name: asdict(findings) for name, findings in self.tools.items()}
        return {"machine": self.machine, "tools": tools, "missing": self.missing}

    def as_markdown(self) -> str:
        """Return the tables."""
        about = [f"* {name}: {value}" for name, value in self.machine.items()]
        for name, findings in self.tools.items():
            about.append(f"* {name}: " + ", ".join(f"{package} {v}" for package, v in findings.versions.items()))
        parts = ["# Drawings of networks", "\n".join(about)]
        times = [[name, *_times(findings)] for name, findings in self.tools.items()]
        parts += ["## Times and sizes", markdown([*TIMES, *CHAIN], times)]
        conduct = [[name, *_conduct(findings)] for name, findings in self.tools.items()]
        parts += ["## Conduct", markdown(CONDUCT, conduct)]
        problems = [*self.missing.values(), *self._errors()]
        if problems:
            parts += ["## Errors", "\n".join(f"* {problem}" for problem in problems)]
        return "\n\n".join(parts) + "\n"

    def write(self, folder: Path) -> None:
        """Write results.json and results.md into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_writer(folder / "results.json") as file:
            file.write((json.dumps(self.as_json(), indent=1) + "\n").encode())
        with atomic_writer(folder / "results.md") as file:
            file.write(self.as_markdown().encode())

    def _errors(self) -> list[str]:
        return [
            f"{name}, {what}: {drawn.error}"
            for name, findings in self.tools.items()
            for what, drawn in findings.drawings.items()
            if drawn.error
        ]


def _times(findings: Findings) -> list[str]:
    small, large, chain = (findings.drawings[name] for name in ("smallcnn", "vgg16", "chain"))
    made = _number(chain.seconds, 1, 1)
    if chain.blocks not in (0, BLOCKS):
        made += f" ({OPERATIONS * chain.blocks} operations)"
    both = [cell for d in (small, large) for cell in (_number(d.seconds, 1e3), _number(d.size, 1e-3), _opens(d, 1e3))]
    return [small.kind or "-", *both, made, _opens(chain, 1, 1)]


def _conduct(findings: Findings) -> list[str]:
    drawings = findings.drawings
    same = {None: "-", True: "yes", False: "no"}[findings.same_bytes]
    changed = "-" if findings.changed is None else ", ".join(findings.changed) or "nothing"
    without = [
        f"{what.removeprefix('no dot, ')}: {drawn.kind or 'error'}"
        for what, drawn in drawings.items()
        if what.startswith("no dot")
    ]
    hosts = sorted({host for drawn in drawings.values() if drawn.opened for host in drawn.opened.hosts})
    return [
        same,
        changed,
        "; ".join(without).removeprefix("no dot: "),
        _hostile(drawings["hostile"]),
        ", ".join(hosts) or "nothing",
    ]


def _hostile(drawn: Drawn) -> str:
    if drawn.error:
        return "error"
    if drawn.opened is None:
        return "-"
    drawing = "drawn" if drawn.opened.seconds is not None else "nothing drawn"
    if drawn.opened.dialogs or drawn.opened.images:
        return f"run, {drawing}"
    return f"shown, {drawing}" if drawn.opened.text else f"not shown, {drawing}"


def _opens(drawn: Drawn, unit: float, digits: int = 0) -> str:
    if drawn.opened is None:
        return "-"
    return "never" if drawn.opened.seconds is None else _number(drawn.opened.seconds, unit, digits)


def _number(value: float | None, unit: float, digits: int = 0) -> str:
    return "-" if value is None else f"{value * unit:,.{digits}f}".replace(",", " ")
