"""What an experiment is: a question, and the measurements and trainings that answer it, small or at paper size."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..comparison import Comparison
from ..config import CompareConfig
from ..document import Section

#: The sizes of every experiment: minutes on two cores, and that of the paper, for a GPU.
SIZES = ("small", "paper")


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Something that is computed directly: from parameters to numbers, and from numbers to sections of a page.

    The two are apart because the numbers are written to disk, and everything that is shown comes from there.

    Attributes:
        name: lower case, with hyphens; names its file.
        measure: called with the parameters as keywords; returns numbers, lists and texts that JSON can hold, the same
            ones every time.
        present: from these numbers to what a reader sees.
        parameters: JSON values.
        heading: above its sections; made from the name when it is empty.
    """

    name: str
    measure: Callable[..., dict[str, Any]]
    present: Callable[[dict[str, Any]], Sequence[Section]]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    heading: str = ""

    @property
    def title(self) -> str:
        """The heading."""
        return self.heading or self.name.replace("-", " ").capitalize()

    @property
    def fingerprint(self) -> str:
        """12 hexadecimal digits that name this measurement with these parameters."""
        content = {"name": self.name, "parameters": dict(self.parameters)}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True)
class Training:
    """A comparison that is trained.

    Attributes:
        name: lower case, with hyphens; names its folder.
        title: the heading of its part of the page.
        config: what is compared.
        present: sections of its own, beside those that every comparison has: the paper's figures and tables.
    """

    name: str
    title: str
    config: CompareConfig
    present: Callable[[Comparison], Sequence[Section]] = lambda comparison: ()


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A named experiment.

    Attributes:
        name: as on the command line.
        title: the question, in a few words.
        introduction: paragraphs: where the question comes from, what is done, what to look at.
        parts: from a size of `SIZES` to measurements and trainings, in the order in which they are shown.
    """

    name: str
    title: str
    introduction: tuple[str, ...]
    parts: Callable[[str], Sequence[Measurement | Training]]
