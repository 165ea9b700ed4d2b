"""The folder of one run: the truth about it, from which everything else is derived.

config.json             what was asked
env.json                where and with what it ran
attempts.jsonl          one line per attempt: the epochs that it found done, and where and with what it went on
metrics.jsonl           one line per epoch, written as the epoch ends
state.safetensors       while the run is under way: all that the next epoch depends on
probes.npz              what the probes saw in the last evaluation
steps.npz               what the step probes saw, if they were asked for
graph.jsonl.gz          what happened at every node of the graph, one line per moment, if that was asked for
landscape.jsonl         one line per look at the loss landscape, if that was asked for
checkpoint.safetensors  the trained model
events/                 the metrics for TensorBoard, if they were asked for
result.json             the outcome; written last and atomically: its presence means that the run is done
error.json              instead of a result: why the run failed
lock                    empty; locked by the process that trains the run
"""

from __future__ import annotations

import contextlib
import gzip
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

import numpy as np

from ..errors import DataError, explain
from ..files import atomic_writer, write_file
from ..interop import save_model
from ..nn import Module
from . import locks
from .config import RunConfig
from .statefile import read_state, write_state

#: What an attempt writes, the mark that the run is done first.
FILES = (
    "result.json",
    "error.json",
    "config.json",
    "env.json",
    "metrics.jsonl",
    "probes.npz",
    "steps.npz",
    "landscape.jsonl",
    "graph.jsonl.gz",
    "checkpoint.safetensors",
)


class RunFolder:
    """The folder `<root>/runs/<fingerprint>` of one run.

    Args:
        root: folder of the comparison that the run belongs to.
        config: the run; its fingerprint names the folder.
    """

    def __init__(self, root: Path, config: RunConfig) -> None:
        self.config = config
        self.path = root / "runs" / config.fingerprint

    @property
    def is_done(self) -> bool:
        """Whether the run has ended with a result."""
        return (self.path / "result.json").is_file()

    @property
    def is_being_trained(self) -> bool:
        """Whether a process holds the folder's lock."""
        return locks.is_held(self.path / "lock")

    def locked(self) -> AbstractContextManager[None]:
        """Keep other processes from training this run inside the `with` block; waits while another one does."""
        return locks.held(self.path / "lock")

    def begin(self, metrics: Sequence[Mapping[str, float]] = ()) -> None:
        """Make the folder ready for a new attempt: what another one left is removed, its result mark first.

        Args:
            metrics: of the epochs that the attempt goes on from. Without any, the state is removed as well.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        half_written = self.path.glob(".*.tmp")  # of a process that was killed while it wrote
        for path in (*(self.path / name for name in FILES), *half_written):
            path.unlink(missing_ok=True)
        if not metrics:
            self.forget_state()
        write_json(self.path / "config.json", self.config.to_dict())
        if metrics:
            write_lines(self.path / "metrics.jsonl", metrics)

    def state(self) -> dict[str, Any] | None:
        """What `write_state` has written, or None when there is nothing of the kind, or only something damaged."""
        try:
            return read_state(self.path / "state.safetensors")
        except DataError:
            return None

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Write all that the next epoch depends on; see `statefile.write_state`."""
        write_state(self.path / "state.safetensors", state)

    def forget_state(self) -> None:
        """Remove the state: the run is done, or begins from the start."""
        (self.path / "state.safetensors").unlink(missing_ok=True)

    def add_metrics(self, metrics: Mapping[str, float]) -> None:
        """Append one epoch's numbers as a line."""
        self._append("metrics.jsonl", metrics)

    def metrics(self) -> list[dict[str, float]]:
        """The whole lines written so far; a line cut off by a crash or still being written is left out."""
        return self._lines("metrics.jsonl")

    def write_environment(self, environment: Mapping[str, Any], from_epoch: int = 0) -> None:
        """Record where and with what the run is made, and how many epochs another attempt has left to go on from."""
        write_json(self.path / "env.json", environment)
        self._append("attempts.jsonl", {"from_epoch": from_epoch, **environment})

    def attempts(self) -> list[dict[str, Any]]:
        """One entry per attempt: `from_epoch`, and where and with what it went on."""
        return self._lines("attempts.jsonl")

    def write_probes(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Write what the probes saw, one array per name."""
        self._write_arrays("probes.npz", arrays)

    def write_steps(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Write what the step probes saw, one array per name."""
        self._write_arrays("steps.npz", arrays)

    def write_landscape(self, measurements: Sequence[Mapping[str, Any]]) -> None:
        """Write the looks at the loss landscape, one line each."""
        write_lines(self.path / "landscape.jsonl", measurements)

    def write_graph(self, frames: Sequence[np.ndarray[Any, Any]]) -> None:
        """Write the looks at the graph, one compressed piece each."""
        write_file(self.path / "graph.jsonl.gz", b"".join(frame.tobytes() for frame in frames))

    def write_checkpoint(self, model: Module) -> None:
        """Write the trained model."""
        save_model(model, self.path / "checkpoint.safetensors")

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write the result: from here on the run is done."""
        write_json(self.path / "result.json", result)

    def write_error(self, error: Mapping[str, str]) -> None:
        """Record why the run failed."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / "error.json", error)

    def result(self) -> dict[str, Any]:
        """The outcome of a run that is done."""
        return read_json(self.path / "result.json")

    def environment(self) -> dict[str, Any]:
        """Where and with what a run that is done was made."""
        return read_json(self.path / "env.json")

    def error(self) -> dict[str, Any] | None:
        """Why the last attempt failed, or None when it did not."""
        path = self.path / "error.json"
        return read_json(path) if path.is_file() else None

    def probes(self) -> dict[str, np.ndarray[Any, Any]]:
        """What the probes saw, one array per name."""
        return self._arrays("probes.npz")

    def steps(self) -> dict[str, np.ndarray[Any, Any]]:
        """What the step probes saw, one array per name; nothing when they were not asked for."""
        return self._arrays("steps.npz") if (self.path / "steps.npz").exists() else {}

    def landscape(self) -> list[dict[str, Any]]:
        """The looks at the loss landscape; none when they were not asked for."""
        return self._lines("landscape.jsonl")

    def graph(self) -> list[dict[str, Any]]:
        """The looks at the graph; none when they were not asked for."""
        path = self.path / "graph.jsonl.gz"
        try:
            lines = gzip.decompress(path.read_bytes()).splitlines() if path.exists() else []
            return [json.loads(line) for line in lines]
        except (OSError, EOFError, ValueError, zlib.error) as error:
            expected, remedy = f"looks at the graph in {path}", "delete that folder and run the same command"
            raise DataError(explain("RunFolder", expected, str(error), remedy)) from error

    def _append(self, name: str, content: Mapping[str, Any]) -> None:
        with open(self.path / name, "a", encoding="utf-8") as file:
            file.write(_line(content))

    def _lines(self, name: str) -> list[dict[str, Any]]:
        """The objects of a file of lines; a line that is none, as a damaged disk leaves it, counts as not there."""
        try:
            text = (self.path / name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        found = []
        for line in text.split("\n")[:-1]:
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return [content for content in found if isinstance(content, dict)]

    def _write_arrays(self, name: str, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        with atomic_writer(self.path / name) as file:
            np.savez_compressed(file, **cast(Any, arrays))

    def _arrays(self, name: str) -> dict[str, np.ndarray[Any, Any]]:
        try:
            with open(self.path / name, "rb") as file, np.load(file, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            expected, remedy = f"probe arrays in {self.path / name}", "delete that folder and run the same command"
            raise DataError(explain("RunFolder", expected, str(error), remedy)) from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        DataError: the file is missing, or is not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(explain("read_json", f"a JSON object in {path}", str(error))) from error
    if not isinstance(content, dict):
        raise DataError(explain("read_json", f"a JSON object in {path}", type(content).__name__))
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object atomically; numbers that JSON cannot hold become null."""
    text = json.dumps(finite(dict(content)), indent=2, allow_nan=False) + "\n"
    write_text(path, text)


def write_lines(path: Path, contents: Sequence[Mapping[str, Any]]) -> None:
    """Write JSON objects atomically, one per line."""
    write_text(path, "".join(map(_line, contents)))


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8."""
    write_file(path, text.encode("utf-8"))


def finite(content: Any) -> Any:
    """The same JSON content with numbers that JSON cannot hold (nan, inf) replaced by None."""
    if isinstance(content, dict):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    if isinstance(content, float) and not np.isfinite(content):
        return None
    return content


def _line(content: Mapping[str, Any]) -> str:
    return json.dumps(finite(dict(content)), allow_nan=False) + "\n"
