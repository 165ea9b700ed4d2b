"""The folder of one run: the truth about it, from which everything else is derived.

config.json             what was asked
env.json                where and with what it ran
metrics.jsonl           one line per epoch, written as the epoch ends
probes.npz              what the probes saw on the test set
checkpoint.safetensors  the trained model (when safetensors is installed)
result.json             the outcome; written last and atomically: its presence means that the run is done
error.json              instead of a result: why the run failed
"""

from __future__ import annotations

import importlib.util
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from ..errors import DataError, explain
from ..files import atomic_writer
from ..interop import save_model
from ..nn import Module
from .config import RunConfig

FILES = (
    "result.json",
    "error.json",
    "config.json",
    "env.json",
    "metrics.jsonl",
    "probes.npz",
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

    def begin(self) -> None:
        """Make the folder ready for a new attempt: what a broken attempt left is removed, its result mark first."""
        self.path.mkdir(parents=True, exist_ok=True)
        half_written = self.path.glob(".*.tmp")  # of a process that was killed while it wrote
        for path in (*(self.path / name for name in FILES), *half_written):
            path.unlink(missing_ok=True)
        write_json(self.path / "config.json", self.config.to_dict())

    def add_metrics(self, metrics: Mapping[str, float]) -> None:
        """Append one epoch's numbers as a line."""
        with open(self.path / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(finite(dict(metrics)), allow_nan=False) + "\n")

    def metrics(self) -> list[dict[str, float]]:
        """The whole lines written so far; a line cut off by a crash or still being written is left out."""
        try:
            text = (self.path / "metrics.jsonl").read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def write_environment(self, environment: Mapping[str, Any]) -> None:
        """Record where and with what the run was made."""
        write_json(self.path / "env.json", environment)

    def write_probes(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Write what the probes saw, one array per name."""
        with atomic_writer(self.path / "probes.npz") as file:
            np.savez_compressed(file, **cast(Any, arrays))

    def write_checkpoint(self, model: Module) -> None:
        """Write the trained model, when the package safetensors is installed (the extra `lab` brings it)."""
        if importlib.util.find_spec("safetensors") is not None:
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
        try:
            with open(self.path / "probes.npz", "rb") as file, np.load(file, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            expected = f"probe arrays in {self.path / 'probes.npz'}"
            raise DataError(explain("RunFolder.probes", expected, str(error))) from error


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


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8."""
    with atomic_writer(path) as file:
        file.write(text.encode("utf-8"))


def finite(content: Any) -> Any:
    """The same JSON content with numbers that JSON cannot hold (nan, inf) replaced by None."""
    if isinstance(content, dict):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    if isinstance(content, float) and not np.isfinite(content):
        return None
    return content
