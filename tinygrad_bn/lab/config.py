"""What a run and a comparison are made of: one frozen dataclass each.

The fields are the command line (`lab.options` makes the flags from them), the key under which a run is stored
(`fingerprint`), and the saved `config.json`. Where things are written and how many processes run are not part
of it, because they do not change a single number.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ..errors import ArgumentError, DataError, explain, unknown_choice
from ..nn import canonical_order
from . import choices

# Part of every fingerprint: raise it when the same config no longer means the same training.
FORMAT = 1


@dataclass(frozen=True)
class Option:
    """What the command line and the range check need to know about a field."""

    help: str
    choices: Callable[[], Iterable[str]] | None = None
    at_least: float = -math.inf
    above: float = -math.inf
    below: float = math.inf
    flags: tuple[str, ...] = ()


def _option(default: Any, help: str, **keywords: Any) -> Any:
    return dataclasses.field(default=default, metadata={"option": Option(help, **keywords)})


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Everything the runs of a comparison have in common: the same hyperparameters for every order.

    Raises:
        ArgumentError: a word is not among the valid ones, or a number is out of range.
    """

    model: str = _option("small_cnn", "network", choices=choices.models)
    width: int = _option(8, "channels of the first layer; units of a hidden layer in mlp", at_least=1)
    dataset: str = _option("fashion_mini", "data set", choices=choices.datasets)
    epochs: int = _option(5, "passes over the training set", at_least=1)
    batch_size: int = _option(64, "images per step", at_least=2)
    learning_rate: float = _option(0.05, "learning rate of the first step", above=0.0, flags=("--lr",))
    schedule: str = _option("cosine", "how the learning rate changes", choices=choices.schedules)
    momentum: float = _option(0.9, "momentum of SGD", at_least=0.0, below=1.0)
    weight_decay: float = _option(5e-4, "weight decay of all parameters", at_least=0.0)
    device: str = _option("cpu", "device to train on: cpu, cuda or cuda:N")

    def __post_init__(self) -> None:
        for name, expected in field_types(type(self)).items():
            value = _typed(name, expected, getattr(self, name))
            _check(option_of(type(self), name), name, value)
            object.__setattr__(self, name, value)  # a list became a tuple, an int a float: one fingerprint

    @property
    def fingerprint(self) -> str:
        """12 hexadecimal digits that name this config: the same fields give the same digits everywhere."""
        content = {"format": FORMAT, "kind": type(self).__name__, **self.to_dict()}
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values, in the order of their definition."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, content: object, where: str = "from_dict") -> Self:
        """Rebuild a config from `to_dict`'s values. Unknown, missing and mistyped fields are errors.

        Raises:
            DataError: not an object, or a field is missing.
            ArgumentError: a field is unknown, of another type, or out of range.
        """
        if not isinstance(content, dict):
            raise DataError(explain(where, "a JSON object", type(content).__name__))
        types = field_types(cls)
        for name in content:
            if name not in types:
                raise unknown_choice(where, "field", name, types)
        missing = [name for name in types if name not in content]
        if missing:
            raise DataError(explain(where, f"every field of {cls.__name__}", f"none called {', '.join(missing)}"))
        return cls(**content)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a `config.json` and check it as strictly as the command line."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise DataError(explain(f"{cls.__name__}.load", f"a config at {path}", str(error))) from error
        except ValueError as error:
            raise DataError(explain(f"{cls.__name__}.load", f"JSON in {path}", str(error))) from error
        return cls.from_dict(content, where=str(path))


@dataclass(frozen=True, kw_only=True)
class RunConfig(TrainingConfig):
    """One training run: the shared hyperparameters and one order, activation and seed.

    The seed decides the initial weights and the order of the batches, and nothing else does: runs that differ
    in the order alone are a pair.

    >>> RunConfig(order="swap", activation="tanh", seed=3).fingerprint == RunConfig(
    ...     order="swap", activation="tanh", seed=4).fingerprint
    False
    """

    order: str = _option("convention", "order of weight, BatchNorm and activation", choices=choices.orders)
    activation: str = _option("relu", "activation function", choices=choices.activations)
    seed: int = _option(0, "seed of weights and batches", at_least=0)

    @property
    def label(self) -> str:
        """`tanh swap seed 3`."""
        return f"{self.activation} {self.order} seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class CompareConfig(TrainingConfig):
    """A comparison: every activation in every order with every seed. The first order is what others are held against.

    >>> config = CompareConfig(activations=("tanh",), seeds=(0, 1))
    >>> [run.label for run in config.runs()]
    ['tanh convention seed 0', 'tanh swap seed 0', 'tanh convention seed 1', 'tanh swap seed 1']
    """

    orders: tuple[str, ...] = _option(
        ("convention", "swap"),
        "orders to compare; every one is held against the first",
        choices=choices.orders,
    )
    activations: tuple[str, ...] = _option(
        ("tanh", "softsign", "relu"), "activation functions, one comparison each", choices=choices.activations
    )
    seeds: tuple[int, ...] = _option(
        (0, 1, 2, 3, 4, 5), "a number of seeds (6 means 0 to 5), or the seeds themselves (3,5,8)", at_least=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("orders", "activations", "seeds"):
            values = getattr(self, name)
            if len(set(values)) != len(values) or not values:
                got = f"{', '.join(map(str, values)) or 'none'}"
                raise ArgumentError(explain("config", f"{name} to be at least one, each named once", got))
        if len({canonical_order(order) for order in self.orders}) != len(self.orders):
            expected = "orders that differ from each other"
            raise ArgumentError(explain("config", expected, ", ".join(self.orders), "two names mean the same order"))

    def runs(self) -> list[RunConfig]:
        """All runs, pairs next to each other, so that an interrupted comparison has whole pairs."""
        shared = {field.name: getattr(self, field.name) for field in dataclasses.fields(TrainingConfig)}
        return [
            RunConfig(**shared, order=order, activation=activation, seed=seed)
            for activation in self.activations
            for seed in self.seeds
            for order in self.orders
        ]


def field_types(config: type[TrainingConfig]) -> dict[str, Any]:
    """The resolved type of each field of a config class, in order."""
    hints = typing.get_type_hints(config)
    return {field.name: hints[field.name] for field in dataclasses.fields(config)}


def option_of(config: type[TrainingConfig], name: str) -> Option:
    """What is known about a field besides its type and default."""
    fields = {field.name: field for field in dataclasses.fields(config)}
    option: Option = fields[name].metadata["option"]
    return option


def _check(option: Option, name: str, value: object) -> None:
    for item in value if isinstance(value, tuple) else (value,):
        if option.choices is not None:
            valid = list(option.choices())
            if item not in valid:
                raise unknown_choice("config", name, item, valid)
        elif isinstance(item, int | float):
            inside = math.isfinite(item) and item >= option.at_least and option.above < item < option.below
            if not inside:
                raise ArgumentError(explain("config", f"{name} {_range(option)}", str(item)))


def _range(option: Option) -> str:
    bounds = []
    if option.at_least > -math.inf:
        bounds.append(f"of at least {option.at_least:g}")
    if option.above > -math.inf:
        bounds.append(f"above {option.above:g}")
    if option.below < math.inf:
        bounds.append(f"below {option.below:g}")
    return " and ".join(bounds) or "to be finite"


def _typed(name: str, expected: Any, value: object) -> Any:
    if typing.get_origin(expected) is tuple:
        if not isinstance(value, list | tuple):
            raise ArgumentError(explain("config", f"{name} to be a list", repr(value)))
        return tuple(_typed(name, typing.get_args(expected)[0], item) for item in value)
    if expected is float and type(value) is int:
        return float(value)
    if type(value) is not expected:
        raise ArgumentError(explain("config", f"{name} of type {expected.__name__}", repr(value)))
    return value
