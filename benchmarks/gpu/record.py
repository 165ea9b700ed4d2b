"""What was found, in a file that is written anew with each finding: a run that is ended tells what it had got to."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tinygrad_bn.files import atomic_writer

STATUSES = ("pass", "fail", "skip")


@dataclass
class Record:
    """One thing that was found out, or why it was not.

    Args:
        part: "run", "discovery", "tests" or "bench".
        name, title: of the item, for the command line and for the tables.
        status: one of STATUSES.
        line: what was found, in one line.
        seconds: how long it took.
        data: numbers, JSON values.
        trace: where it failed.
    """

    part: str
    name: str
    title: str
    status: str
    line: str
    seconds: float = 0.0
    data: dict[str, Any] = field(default_factory=dict)
    trace: str = ""


class Records:
    """All records of a file, the latest of each item; a file that is there is continued.

    Args:
        path: of the file: JSON, a list of records.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._latest: dict[tuple[str, str], Record] = {}
        if path.exists():
            for content in json.loads(path.read_text(encoding="utf-8")):
                self._keep(Record(**content))

    def add(self, record: Record) -> None:
        """Write a record down, for good."""
        self._keep(record)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_writer(self.path) as file:
            file.write((json.dumps([asdict(kept) for kept in self._latest.values()], indent=1) + "\n").encode())

    def of(self, part: str) -> list[Record]:
        """Return the records of a part, in the order in which their items were first met."""
        return [record for record in self._latest.values() if record.part == part]

    @property
    def all(self) -> list[Record]:
        """The records of all parts."""
        return list(self._latest.values())

    def passed(self, part: str, name: str) -> bool:
        """Return whether an item did."""
        return (part, name) in self._latest and self._latest[part, name].status == "pass"

    def data_of(self, part: str, name: str) -> dict[str, Any]:
        """Return an item's numbers; none where it is not there or did not pass."""
        return self._latest[part, name].data if self.passed(part, name) else {}

    def _keep(self, record: Record) -> None:
        self._latest[record.part, record.name] = record
