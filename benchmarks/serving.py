"""The worker's half of the conversation: requests and answers are lines of JSON on standard input and output."""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from . import arrays, resident, workloads


def _nothing() -> None:
    pass


@dataclass
class Prepared:
    """A workload that is ready to run.

    Args:
        step: what is timed.
        results: numbers to compare with the other frameworks': ten losses of training, or fingerprints of arrays.
        outputs: the arrays that an operation computes, by name; only where they are asked for.
        finish: waits until the work is done, where a step returns before that.
        count: how often a step does what is timed.
    """

    step: Callable[[], object]
    results: Callable[[], list[float]]
    outputs: Callable[[], dict[str, Any]] | None = None
    finish: Callable[[], object] = _nothing
    count: int = 1


class Framework(Protocol):
    """What a worker knows about its framework."""

    def about(self) -> dict[str, Any]:
        """Return versions and settings."""

    def prepare(self, workload: workloads.Workload, values: dict[str, Any]) -> Prepared:
        """Build a workload from its arrays."""


def sample(prepared: Prepared, samples: int, inner: int) -> list[float]:
    """Return so many measurements, in seconds for what is timed, each the mean of `inner` steps."""
    step, finish = prepared.step, prepared.finish
    step()  # the first step after a pause finds cold caches and sleeping threads
    finish()
    measured = []
    for _ in range(samples):
        start = time.perf_counter()
        for _ in range(inner):
            step()
        finish()
        measured.append((time.perf_counter() - start) / (inner * prepared.count))
    return measured


class Server:
    """Answers requests, one after the other.

    Args:
        framework: what computes.
        find: returns the workload of a name.
    """

    def __init__(self, framework: Framework, find: Callable[[str], workloads.Workload] = workloads.find) -> None:
        self.framework = framework
        self._find = find
        self.prepared: Prepared | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to one request."""
        kind = request["do"]
        if kind == "about":
            return {**self.framework.about(), "python": sys.version.split()[0], "blas": _loaded_blas()}
        if kind == "prepare":
            self.prepared = None  # first let go of the last workload's memory
            gc.collect()
            self.prepared = self._prepare(request)
            return {"results": self.prepared.results()}
        if kind == "memory":
            return {"bytes": self._memory(request)}
        if kind == "outputs":
            prepared = self._prepare(request)
            assert prepared.outputs is not None
            arrays.save_arrays(Path(request["save"]), prepared.outputs())
            return {}
        assert kind == "time"
        assert self.prepared is not None
        return {"seconds": sample(self.prepared, request["samples"], request["inner"])}

    def _prepare(self, request: dict[str, Any]) -> Prepared:
        values = arrays.load_arrays(Path(request["arrays"]))
        if "dtype" in request:
            values = {name: v.astype(request["dtype"]) if v.dtype.kind == "f" else v for name, v in values.items()}
        return self.framework.prepare(self._find(request["workload"]), values)

    def _memory(self, request: dict[str, Any]) -> int:
        """Return the most memory that steps took, in bytes, over what was resident before the model was made."""
        tiny = self._prepare(request["tiny"])  # loads the framework's code, which is not the model's memory
        tiny.step()
        del tiny
        gc.collect()
        before = resident.current()
        prepared = self._prepare(request)
        gc.collect()
        resident.reset_peak()
        for _ in range(request["steps"]):
            prepared.step()
        return resident.peak() - before


def serve(framework: Framework, find: Callable[[str], workloads.Workload] = workloads.find) -> None:
    """Run a framework's workloads, found by name, on request until standard input ends."""
    serve_answers(Server(framework, find).answer)


def serve_answers(answer_to: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer requests until standard input ends; an exception becomes an answer, too."""
    answers = _claim_standard_output()
    for line in sys.stdin:
        try:
            answer = answer_to(json.loads(line))
        except Exception as error:  # noqa: BLE001 - the driver reports it beside the results of the others
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _loaded_blas() -> list[str]:
    """Return the linear algebra libraries in this process, each with what it says of its version and processor."""
    try:
        import threadpoolctl
    except ImportError:
        return []
    found = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    return [f"{pool['internal_api']} {pool['version']} for {pool.get('architecture', 'any')}" for pool in found]


def _claim_standard_output() -> IO[str]:
    """Return a stream for answers, and send what anybody else prints to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers
