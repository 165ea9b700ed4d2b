"""The worker's half: draws a network, tells what that has changed in it, and serves a file to the browser."""

from __future__ import annotations

import hashlib
import sys
import time
import warnings
from pathlib import Path
from typing import Any, Protocol

from ..serving import serve_answers


class Adapter(Protocol):
    """How a tool is called."""

    def versions(self) -> dict[str, str]:
        """Return the versions of the packages that draw."""

    def network(self, name: str, blocks: int) -> tuple[Any, Any]:
        """Return a network (of the chain so many blocks) in training mode, and its input."""

    def state(self, model: Any) -> dict[str, Any]:
        """Return what a drawing should leave alone, by kind, as values that can be compared."""

    def draw(self, model: Any, input: Any, stem: Path) -> Path:
        """Write what a reader opens, named after the stem, and return its path."""


class Server:
    """Answers requests, one after the other."""

    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to one request."""
        match request["do"]:
            case "about":
                return {"versions": self.adapter.versions()}
            case "draw":
                return self._draw(request)
            case "state":
                return {"changed": self._changed(Path(request["stem"]))}
            case "serve":
                return {"address": _served(request["file"])}
            case other:
                raise ValueError(f"unknown request {other!r}")

    def _draw(self, request: dict[str, Any]) -> dict[str, Any]:
        for package in request.get("without", ()):
            sys.modules[package] = None  # type: ignore[assignment]  # whoever imports it is told that it is not there
        seconds, digests, path = [], set(), Path()
        for _ in range(request["calls"]):
            model, input = self.adapter.network(request["network"], request.get("blocks", 0))
            start = time.perf_counter()
            path = self.adapter.draw(model, input, Path(request["stem"]))
            seconds.append(time.perf_counter() - start)
            digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
        return {"file": str(path), "size": path.stat().st_size, "seconds": seconds, "digests": sorted(digests)}

    def _changed(self, stem: Path) -> list[str]:
        model, input = self.adapter.network("watched", 0)
        before = self.adapter.state(model)
        self.adapter.draw(model, input, stem)
        after = self.adapter.state(model)
        return [kind for kind in before if before[kind] != after[kind]]


def _served(file: str) -> str:
    import netron

    _, port = netron.serve(file, address=("127.0.0.1", 0))
    return f"http://localhost:{port}"  # not by number: there Netron's cookie, that cookies were accepted, is not kept


def serve(adapter: Adapter) -> None:
    """Answer requests until standard input ends."""
    warnings.simplefilter("ignore")
    serve_answers(Server(adapter).answer)
