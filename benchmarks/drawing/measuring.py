"""Everything that is found out about one tool, each question in a process of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from ..protocol import Worker, WorkerError
from .chromium import Chromium
from .looking import OPENINGS, Opened, look, look_at_netron
from .networks import BLOCKS
from .tools import Tool, start

CALLS = 6
LIMIT = 120.0
FEWER = 50
"""How many blocks shorter the chain becomes for a tool that recurses too deeply."""


@dataclass
class Drawn:
    """One network drawn by one tool.

    Args:
        first: seconds of the first call in a process, the tool's imports included.
        seconds: of the fastest call, the first one left out if there were several.
        size: bytes of the file.
        kind: what the file is: "svg", "html", "onnx".
        digests: SHA-256 of what the calls wrote, each different one once.
        blocks: of the chain.
        error: why there is no file.
        opened: what the browser made of it.
    """

    first: float | None = None
    seconds: float | None = None
    size: int | None = None
    kind: str = ""
    digests: list[str] = field(default_factory=list)
    blocks: int = 0
    error: str = ""
    opened: Opened | None = None


@dataclass
class Findings:
    """What was found out about a tool.

    Args:
        versions: of the packages that draw.
        drawings: by network; of the small one also "again" in a second process, and without `dot`.
        changed: what of a network was different after it was drawn; None if that could not be found out.
    """

    versions: dict[str, str] = field(default_factory=dict)
    drawings: dict[str, Drawn] = field(default_factory=dict)
    changed: list[str] | None = None

    @property
    def same_bytes(self) -> bool | None:
        """Whether all calls in one process and one in another wrote the same; None if there were none."""
        digests = {digest for name in ("smallcnn", "again") for digest in self.drawings[name].digests}
        return len(digests) == 1 if digests else None


class Measurement:
    """Asks one tool everything.

    Args:
        tool: whom.
        python: the interpreter that runs it.
        folder: takes what it writes.
        browser: looks at it, where there is one.
        tell: is told what is being done.
    """

    def __init__(
        self, tool: Tool, python: Path, folder: Path, browser: Chromium | None, tell: Callable[[str], None]
    ) -> None:
        self.tool, self.python, self.folder, self.browser, self.tell = tool, python, folder, browser, tell
        self.nowhere = folder / "nowhere"
        self.nowhere.mkdir(parents=True)

    def run(self) -> Findings:
        """Return what was found out.

        Raises:
            WorkerError: the tool does not even start.
        """
        self.tell(f"{self.tool.name}: starting")
        with closing(self._worker()) as worker:
            findings = Findings(worker.ask({"do": "about"}, LIMIT)["versions"])
        drawings = findings.drawings
        drawings["smallcnn"] = self._draw("smallcnn", CALLS, OPENINGS)
        drawings["vgg16"] = self._draw("vgg16", CALLS, OPENINGS)
        drawings["chain"] = self._draw("chain", 1, OPENINGS)
        drawings["hostile"] = self._draw("hostile", 1, 1)
        drawings["again"] = self._draw("smallcnn", 1)
        drawings["no dot"] = self._draw("smallcnn", 1, dot=False)
        for package in self.tool.stand_ins:
            drawings[f"no dot, no {package}"] = self._draw("smallcnn", 1, dot=False, without=[package])
        findings.changed = self._changed()
        return findings

    def _draw(
        self, network: str, calls: int, openings: int = 0, dot: bool = True, without: Sequence[str] = ()
    ) -> Drawn:
        self.tell(f"{self.tool.name}: drawing {network}" + ("" if dot else " without " + ", ".join(["dot", *without])))
        request = {"do": "draw", "network": network, "calls": calls, "stem": self._stem(network), "without": without}
        try:
            with closing(self._worker(None if dot else str(self.nowhere))) as worker:
                answer, blocks = self._chain(worker, request) if network == "chain" else (worker.ask(request, LIMIT), 0)
        except WorkerError as error:
            return Drawn(error=_first_line(str(error)))
        file, seconds = Path(answer["file"]), answer["seconds"]
        fastest = min(seconds[1:] or seconds)
        drawn = Drawn(seconds[0], fastest, answer["size"], file.suffix[1:], answer["digests"], blocks)
        if self.browser is not None and openings:
            drawn.opened = self._open(self.browser, file, openings)
        return drawn

    def _chain(self, worker: Worker, request: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """Draw a chain after a short one, which takes the tool's imports upon itself."""
        worker.ask({**request, "blocks": 1}, LIMIT)
        for blocks in range(BLOCKS, 0, -FEWER):
            try:
                return worker.ask({**request, "blocks": blocks}, LIMIT), blocks
            except WorkerError as error:
                if not str(error).startswith("RecursionError"):
                    raise
        raise WorkerError("RecursionError at any length")

    def _open(self, browser: Chromium, file: Path, openings: int) -> Opened:
        self.tell(f"{self.tool.name}: opening {file.name}")
        if file.suffix != ".onnx":
            return look(browser, file.as_uri(), self.tool.node, openings)
        with closing(self._worker()) as worker:
            address = worker.ask({"do": "serve", "file": str(file)}, LIMIT)["address"]
            return look_at_netron(browser, address, self.tool.node, openings)

    def _changed(self) -> list[str] | None:
        self.tell(f"{self.tool.name}: looking for what is different afterwards")
        try:
            with closing(self._worker()) as worker:
                changed: list[str] = worker.ask({"do": "state", "stem": self._stem("state")}, LIMIT)["changed"]
                return changed
        except WorkerError:
            return None

    def _stem(self, name: str) -> str:
        return str(self.folder / f"{self.tool.name}-{name}")

    def _worker(self, path: str | None = None) -> Worker:
        return start(self.tool, self.python, self.folder / "log", path)


def _first_line(text: str) -> str:
    """Return an error's first line without colours, and without names of temporary files, which differ every time."""
    line = re.sub(r"\x1b\[[0-9;]*m", "", text).partition("\n")[0]
    return re.sub(rf"{re.escape(gettempdir())}/[\w/]+", "TEMPORARY", line)
