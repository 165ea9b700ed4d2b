"""The command line of a config, made from the fields of its dataclass."""

from __future__ import annotations

import argparse
import dataclasses
import typing
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from .config import FIXED, CompareConfig, Option, TrainingConfig, field_types, option_of, shown

#: Fields that take a number of seeds, or the seeds themselves.
SEED_LISTS = ("seeds", "tuning_seeds")

Config = TypeVar("Config", bound=TrainingConfig)


def add_options(
    parser: argparse._ActionsContainer,
    config: type[TrainingConfig],
    only: Sequence[str] | None = None,
    defaults: bool = True,
) -> None:
    """Add one flag per field. Words and ranges are checked by the config itself, which words its errors better.

    Args:
        parser: parser or group that gets the flags.
        config: the class whose fields become flags.
        only: the names of the fields wanted; all by default.
        defaults: whether a flag that is not given has the field's default; otherwise it is absent, see `given`.
    """
    standard = config()
    for name, expected in field_types(config).items():
        if only is not None and name not in only:
            continue
        option = option_of(config, name)
        parser.add_argument(
            *_flags(name, option),
            dest=name,
            type=_reader(name, expected),
            action=_Collect if typing.get_origin(expected) is dict else "store",
            default=getattr(standard, name) if defaults else argparse.SUPPRESS,
            metavar=_metavar(expected),
            help=_help(option, getattr(standard, name) if defaults else None).replace("%", "%%"),
        )


def config_from(config: type[Config], arguments: argparse.Namespace) -> Config:
    """Build the config from parsed arguments; its checks raise `ArgumentError`."""
    return config(**{name: getattr(arguments, name) for name in field_types(config)})


def given(config: type[TrainingConfig], arguments: argparse.Namespace) -> dict[str, Any]:
    """The fields whose flags were given, of flags that `add_options` made without defaults."""
    return {name: getattr(arguments, name) for name in field_types(config) if hasattr(arguments, name)}


def command_line(config: CompareConfig) -> list[str]:
    """The flags that repeat this config: those that differ from the defaults."""
    defaults = CompareConfig()
    flags = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if value == getattr(defaults, field.name):
            continue
        flag = _flags(field.name, option_of(CompareConfig, field.name))[0]
        if isinstance(value, dict):
            for setting, values in value.items():
                flags += [flag, f"{setting}={','.join(map(_word, values))}"]
        else:
            flags += [flag, _written(field.name, value)]
    return flags


def parse_seeds(text: str) -> tuple[int, ...]:
    """`6` means the seeds 0 to 5; `3,5,8` means those, and `7,` the seed 7 alone.

    >>> parse_seeds("3"), parse_seeds("3,5"), parse_seeds("7,")
    ((0, 1, 2), (3, 5), (7,))
    """
    try:
        if "," in text:
            return tuple(int(part) for part in text.split(",") if part.strip())
        return tuple(range(int(text)))
    except ValueError as error:
        expected = "a number of seeds (6) or the seeds themselves (3,5,8)"
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}") from error


def parse_words(text: str) -> tuple[str, ...]:
    """Words separated by commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def parse_setting(text: str) -> tuple[str, tuple[Any, ...]]:
    """`learning_rate=0.01,0.1` as the setting's name and its values, each of the setting's type.

    A name that is a flag of the setting will do.

    >>> parse_setting("lr=0.01,0.1")
    ('learning_rate', (0.01, 0.1))
    """
    given, equals, values = text.partition("=")
    types = {name: kind for name, kind in field_types(TrainingConfig).items() if name not in FIXED}
    names = {flag: name for name in types for flag in (name, *_flags(name, option_of(TrainingConfig, name)))}
    name = names.get(given.strip(), names.get(f"--{given.strip()}", ""))
    if not equals or not name:
        settings = ", ".join(types)
        raise argparse.ArgumentTypeError(f"expected SETTING=A,B,... with one of {settings}, got {text!r}")
    read = _reader(name, types[name])
    try:
        return name, tuple(read(value) for value in parse_words(values))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected values of {name}, got {values!r}") from error


def parse_optional(text: str) -> float | None:
    """A number, or `none`."""
    return None if text.strip().lower() == "none" else float(text)


class _Collect(argparse.Action):
    """Gathers `SETTING=VALUES` of a flag that is given several times."""

    def __call__(self, parser: object, namespace: argparse.Namespace, values: Any, option: object = None) -> None:
        name, settings = values
        if name in getattr(namespace, self.dest):
            raise argparse.ArgumentError(self, f"expected each setting once, got {name} twice; give all values at once")
        setattr(namespace, self.dest, {**getattr(namespace, self.dest), name: settings})


def _flags(name: str, option: Option) -> tuple[str, ...]:
    return (*option.flags, f"--{name.replace('_', '-')}")


def _reader(name: str, expected: Any) -> Callable[[str], Any]:
    if name in SEED_LISTS:
        return parse_seeds
    if expected == float | None:
        return parse_optional
    if typing.get_origin(expected) is dict:
        return parse_setting
    if typing.get_origin(expected) is tuple:
        return parse_words
    reader: Callable[[str], Any] = expected
    return reader


def _metavar(expected: Any) -> str:
    if typing.get_origin(expected) is dict:
        return "SETTING=A,B,..."
    if typing.get_origin(expected) is tuple:
        return "A,B,..." if typing.get_args(expected)[0] is str else "N or A,B,..."
    return {int: "N", float: "X", float | None: "X", str: "NAME"}[expected]


def _help(option: Option, default: object | None) -> str:
    words = f": {', '.join(option.choices())}" if option.choices else ""
    return f"{option.help}{words}" + ("" if default is None else f" (default: {shown(default)})")


def _written(name: str, value: object) -> str:
    if not isinstance(value, tuple):
        return _word(value)
    if name in SEED_LISTS:
        if value == tuple(range(len(value))):
            return str(len(value))
        return f"{value[0]}," if len(value) == 1 else ",".join(map(str, value))
    return ",".join(map(_word, value))


def _word(value: object) -> str:
    return "none" if value is None else str(value)
