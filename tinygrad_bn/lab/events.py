"""Event files for TensorBoard, written by the package tensorboardX."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..errors import missing_dependency


class EventFiles:
    """The numbers of one run, epoch by epoch, for TensorBoard; a context manager.

    What lies in the folder is replaced: each epoch stands there once, however often the run was taken up.

    Args:
        folder: where the files go.
        metrics: the epochs that the run has behind it.

    Raises:
        MissingDependencyError: the package tensorboardX is not installed.
    """

    def __init__(self, folder: Path, metrics: Sequence[Mapping[str, float]]) -> None:
        writer = _writer_class()
        shutil.rmtree(folder, ignore_errors=True)
        self._writer = writer(str(folder))
        for line in metrics:
            self.add(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def add(self, metrics: Mapping[str, float]) -> None:
        """Write one epoch's numbers; TensorBoard may read them at once."""
        for name, value in metrics.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, int(metrics["epoch"]))
        self._writer.flush()


def check_tensorboard() -> None:
    """Raise if event files cannot be written.

    Raises:
        MissingDependencyError: the package tensorboardX is not installed.
    """
    _writer_class()


def _writer_class() -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise missing_dependency("EventFiles", "tensorboardX", "tensorboard") from error
    return SummaryWriter
