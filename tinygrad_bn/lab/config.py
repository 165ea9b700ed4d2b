"""What a run and a comparison are made of: one frozen dataclass each.

The fields are the command line (`lab.options` makes the flags from them), the key under which a run is stored
(`fingerprint`), and the saved `config.json`. Where things are written and who trains is not part of it, because
that does not change a single number.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ..errors import ArgumentError, DataError, explain, unknown_choice
from . import arms, choices

# Part of every fingerprint: raise it when the same config no longer means the same training.
FORMAT = 2


@dataclass(frozen=True)
class Option:
    """What the command line and the range check need to know about a field."""

    help: str
    choices: Callable[[], Iterable[str]] | None = None
    at_least: float = -math.inf
    above: float = -math.inf
    below: float = math.inf
    flags: tuple[str, ...] = ()
    added_later: bool = False
    """At its default it is no part of the fingerprint, and a saved config may be without it: older runs stay valid."""


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
    depth: int = _option(2, "hidden layers of mlp, blocks of plain_cnn; other networks have their own", at_least=1)
    initialization: str = _option("default", "how weights are drawn", choices=choices.initializations)
    dataset: str = _option("fashion_mini", "data set", choices=choices.datasets)
    augmentation: str = _option("none", "random changes of training images", choices=choices.augmentations)
    epochs: int = _option(5, "passes over the training set", at_least=1)
    batch_size: int = _option(64, "images per step", at_least=2)
    optimizer: str = _option("sgd", "optimiser", choices=choices.optimizers)
    learning_rate: float = _option(0.05, "learning rate of the first step", above=0.0, flags=("--lr",))
    schedule: str = _option("cosine", "how the learning rate changes", choices=choices.schedules)
    momentum: float = _option(0.9, "momentum of SGD", at_least=0.0, below=1.0)
    weight_decay: float = _option(5e-4, "weight decay of all parameters", at_least=0.0)
    affine_weight_decay: float | None = _option(
        None, "weight decay of BatchNorm's scale and shift; none: that of all parameters", at_least=0.0
    )
    gamma_weight_decay: float | None = _option(
        None, "weight decay of BatchNorm's scale; none: affine_weight_decay", at_least=0.0
    )
    beta_weight_decay: float | None = _option(
        None, "weight decay of BatchNorm's shift; none: affine_weight_decay", at_least=0.0
    )
    step_probes: int = _option(0, "look at gradients and weights every N steps; 0: never", at_least=0)
    landscape: int = _option(0, "measure the loss landscape N times, evenly spread over the training", at_least=0)
    graph_frames: int = _option(
        6, "record what happens at every node of the graph at N moments of the training; 0: never", at_least=0
    )
    device: str = _option("cpu", "device to train on: cpu, cuda or cuda:N")
    autocast: str = _option(
        "none",
        "16 bits in which convolutions and products are computed, float16 with loss scaling; none: float32",
        choices=choices.autocasts,
        added_later=True,
    )
    float32_matmul_precision: str = _option(
        "highest",
        "how precisely a GPU multiplies float32 matrices; high and medium use TF32",
        choices=choices.float32_matmul_precisions,
        added_later=True,
    )

    def __post_init__(self) -> None:
        for name, expected in field_types(type(self)).items():
            value = _typed(name, expected, getattr(self, name))
            _check(option_of(type(self), name), name, value)
            object.__setattr__(self, name, value)  # a list became a tuple, an int a float: one fingerprint

    @property
    def fingerprint(self) -> str:
        """12 hexadecimal digits that name this config: the same fields give the same digits everywhere."""
        unsaid = {
            field.name
            for field in dataclasses.fields(self)
            if field.metadata["option"].added_later and getattr(self, field.name) == field.default
        }
        fields = {name: value for name, value in self.to_dict().items() if name not in unsaid}
        content = {"format": FORMAT, "kind": type(self).__name__, **fields}
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values, in the order of their definition."""
        return {field.name: _as_json(getattr(self, field.name)) for field in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, content: object, where: str = "from_dict") -> Self:
        """Rebuild a config from `to_dict`'s values. Unknown, missing and mistyped fields are errors.

        Those that were added later may be missing.

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
        missing = [name for name in types if name not in content and not option_of(cls, name).added_later]
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

    order: str = _option(
        "convention",
        "order of weight, BatchNorm and activation; for mlp also one order per hidden layer, as in swap+no-norm",
        choices=choices.orders,
    )
    activation: str = _option("relu", "activation function", choices=choices.activations)
    seed: int = _option(0, "seed of weights and batches", at_least=0)
    validation_share: float = _option(
        0.0,
        "share of the training set that is held out and evaluated on instead of the test set",
        at_least=0.0,
        below=1.0,
    )

    @property
    def label(self) -> str:
        """`tanh swap seed 3`."""
        return f"{self.activation} {self.order} seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class CompareConfig(TrainingConfig):
    """A comparison: every activation in every order with every seed. The first order is what others are held against.

    With `vary`, all of that again for every combination of the values given there. With `tune`, each order gets its
    own values out of that grid, chosen by the accuracy on images held out of the training set.

    >>> config = CompareConfig(activations=("tanh",), seeds=(0, 1), vary={"learning_rate": (0.01, 0.1)})
    >>> [condition.label for condition in config.conditions()]
    ['tanh, learning_rate 0.01', 'tanh, learning_rate 0.1']
    >>> [run.label for run in config.runs()[:4]]
    ['tanh convention seed 0', 'tanh swap seed 0', 'tanh convention seed 1', 'tanh swap seed 1']
    """

    orders: tuple[str, ...] = _option(
        ("convention", "swap"),
        "orders to compare; every one is held against the first",
        choices=arms.words,
    )
    activations: tuple[str, ...] = _option(
        ("tanh", "softsign", "relu"), "activation functions, one comparison each", choices=choices.activations
    )
    seeds: tuple[int, ...] = _option(
        (0, 1, 2, 3, 4, 5), "a number of seeds (6 means 0 to 5), or the seeds themselves (3,5,8)", at_least=0
    )
    vary: dict[str, tuple[Any, ...]] = dataclasses.field(
        default_factory=dict,
        metadata={"option": Option("compare under each of these values of a setting; may be given again")},
    )
    tune: dict[str, tuple[Any, ...]] = dataclasses.field(
        default_factory=dict,
        metadata={
            "option": Option("choose this setting for each order on held-out training images; may be given again")
        },
    )
    tuning_seeds: tuple[int, ...] = _option(
        (1000, 1001), "seeds of the runs that choose; others than those of the comparison", at_least=0
    )
    tuning_share: float = _option(0.1, "share of the training set held out to choose on", above=0.0, below=1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("orders", "activations", "seeds", "tuning_seeds"):
            _check_distinct(name, getattr(self, name))
        if len({arms.meaning(order) for order in self.orders}) != len(self.orders):
            expected = "orders that differ from each other"
            raise ArgumentError(explain("config", expected, ", ".join(self.orders), "two names mean the same order"))
        for name in ("vary", "tune"):
            object.__setattr__(self, name, _grid(name, getattr(self, name)))
        twice = sorted(set(self.vary) & set(self.tune))
        if twice:
            raise ArgumentError(explain("config", "a setting to be varied or tuned", f"{twice[0]} in both"))
        self._check_effect()
        if self.tune and len(self.candidates()) < 2:
            raise ArgumentError(explain("config", "at least two candidates to tune", shown(self.tune)))
        if self.tune and set(self.seeds) & set(self.tuning_seeds):
            shared = ", ".join(map(str, sorted(set(self.seeds) & set(self.tuning_seeds))))
            expected = "tuning_seeds other than the comparison's seeds"
            raise ArgumentError(explain("config", expected, f"{shared} in both", "choose on other runs than you judge"))

    def _check_effect(self) -> None:
        """Refuse a grid whose values would all train the same network."""
        grid = {**self.vary, **self.tune}
        models, optimizers = grid.get("model", (self.model,)), grid.get("optimizer", (self.optimizer,))
        if "depth" in grid and not set(models) & set(choices.models_of_any_depth()):
            expected = f"a model of any depth ({', '.join(choices.models_of_any_depth())}) for a grid of depths"
            raise ArgumentError(explain("config", expected, ", ".join(models)))
        if "momentum" in grid and "sgd" not in optimizers:
            expected = "sgd, which has momentum, for a grid of momentums"
            raise ArgumentError(explain("config", expected, ", ".join(optimizers)))
        if "float32_matmul_precision" in grid and not self.device.startswith("cuda"):
            expected = "a GPU (device cuda) for a grid of float32_matmul_precision"
            raise ArgumentError(explain("config", expected, self.device))

    def conditions(self) -> list[Condition]:
        """Under what the orders are compared: every activation with every combination of varied settings."""
        return [
            Condition(activation, dict(zip(self.vary, values, strict=True)))
            for values in itertools.product(*self.vary.values())
            for activation in self.activations
        ]

    def run(self, condition: Condition, order: str, seed: int, **chosen: Any) -> RunConfig:
        """One run of the comparison.

        Args:
            condition: activation and varied settings.
            order: one of `orders`.
            seed: one of `seeds`.
            chosen: settings that tuning has chosen for this order.
        """
        shared = {field.name: getattr(self, field.name) for field in dataclasses.fields(TrainingConfig)}
        settings = {**shared, "order": order, **condition.settings, **chosen, **arms.settings_of(order)}
        return RunConfig(**{**settings, "activation": condition.activation, "seed": seed})

    def runs(self, chosen: Callable[[Condition, str], dict[str, Any]] = lambda condition, order: {}) -> list[RunConfig]:
        """All runs that are compared, pairs next to each other, so that an interrupted comparison has whole pairs.

        Args:
            chosen: what tuning has chosen for an order under a condition; nothing by default.
        """
        return [
            self.run(condition, order, seed, **chosen(condition, order))
            for condition in self.conditions()
            for seed in self.seeds
            for order in self.orders
        ]

    def candidates(self) -> list[dict[str, Any]]:
        """The combinations of settings that tuning chooses from; none without `tune`."""
        if not self.tune:
            return []
        return [dict(zip(self.tune, values, strict=True)) for values in itertools.product(*self.tune.values())]

    def tuning_run(self, condition: Condition, order: str, seed: int, candidate: dict[str, Any]) -> RunConfig:
        """One of the runs that choose: judged on images held out of the training set, never on the test set."""
        probes_off = {"step_probes": 0, "landscape": 0, "graph_frames": 0}
        return self.run(condition, order, seed, **candidate, **probes_off, validation_share=self.tuning_share)


@dataclass(frozen=True)
class Condition:
    """What is the same for all orders of one comparison, apart from the settings that nothing varies.

    Attributes:
        activation: its name.
        settings: the value of each varied setting.
    """

    activation: str
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def label(self) -> str:
        """`tanh` or `tanh, learning_rate 0.05`."""
        return ", ".join([self.activation, *(f"{name} {shown(value)}" for name, value in self.settings.items())])

    @property
    def key(self) -> str:
        """The label as part of a file's name: `tanh-learning_rate-0.05`."""
        return self.label.replace(", ", "-").replace(" ", "-")

    def __hash__(self) -> int:
        return hash(self.label)


def shown(value: object) -> str:
    """A setting's value for a reader: `none` for None."""
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value)) or "none"
    if isinstance(value, dict):
        return "; ".join(f"{name} = {shown(values)}" for name, values in value.items()) or "none"
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return str(value)


def field_types(config: type[TrainingConfig]) -> dict[str, Any]:
    """The resolved type of each field of a config class, in order."""
    hints = typing.get_type_hints(config)
    return {field.name: hints[field.name] for field in dataclasses.fields(config)}


def option_of(config: type[TrainingConfig], name: str) -> Option:
    """What is known about a field besides its type and default."""
    fields = {field.name: field for field in dataclasses.fields(config)}
    option: Option = fields[name].metadata["option"]
    return option


def check_setting(name: str, value: object) -> Any:
    """The value of a setting of every run, checked for its type and range.

    Raises:
        ArgumentError: there is no such setting, or it cannot have this value.
    """
    types = {name: kind for name, kind in field_types(TrainingConfig).items() if name not in FIXED}
    if name not in types:
        raise unknown_choice("config", "the setting", name, types)
    typed = _typed(name, types[name], value)
    _check(option_of(TrainingConfig, name), name, typed)
    return typed


#: What a comparison neither varies nor tunes.
FIXED = ("device", "step_probes", "landscape", "graph_frames")


def _grid(name: str, grid: object) -> dict[str, tuple[Any, ...]]:
    if not isinstance(grid, dict):
        raise ArgumentError(explain("config", f"{name} to map settings to their values", repr(grid)))
    checked = {}
    for setting, values in grid.items():
        if not isinstance(values, list | tuple):
            raise ArgumentError(explain("config", f"a list of values of {setting}", repr(values)))
        checked[setting] = tuple(check_setting(setting, value) for value in values)
        _check_distinct(setting, checked[setting])
    return checked


def _check_distinct(name: str, values: tuple[Any, ...]) -> None:
    if len(set(values)) != len(values) or not values:
        got = shown(values)
        raise ArgumentError(explain("config", f"{name} to be at least one, each named once", got))


def _as_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, dict):
        return {name: list(values) for name, values in value.items()}
    return value


def _check(option: Option, name: str, value: object) -> None:
    for item in value if isinstance(value, tuple) else (value,):
        if option.choices is not None:
            valid = list(option.choices())
            parts = str(item).split("+") if name in ("order", "orders") else [item]
            for part in parts:
                if part not in valid:
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
    if expected == float | None:
        return None if value is None else _typed(name, float, value)
    if typing.get_origin(expected) is dict:
        return value  # checked by `_grid`, which knows the settings
    if typing.get_origin(expected) is tuple:
        if not isinstance(value, list | tuple):
            raise ArgumentError(explain("config", f"{name} to be a list", repr(value)))
        return tuple(_typed(name, typing.get_args(expected)[0], item) for item in value)
    if expected is float and type(value) is int:
        return float(value)
    if type(value) is not expected:
        raise ArgumentError(explain("config", f"{name} of type {expected.__name__}", repr(value)))
    return value
