"""Configs: strict values, one fingerprint per meaning, JSON and command line that come back unchanged."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tinygrad_bn.errors import ArgumentError, DataError
from tinygrad_bn.lab.config import CompareConfig, RunConfig
from tinygrad_bn.lab.options import add_options, command_line, config_from


def parse(*flags: str) -> CompareConfig:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_options(parser, CompareConfig)
    return config_from(CompareConfig, parser.parse_args(flags))


CHANGED = CompareConfig(
    model="mlp",
    dataset="digits",
    orders=("swap", "preact", "convention"),
    activations=("softsign",),
    seeds=(7,),
    learning_rate=1,
    weight_decay=0.0,
    epochs=2,
    batch_size=32,
)


ADDED_LATER = ("autocast", "float32_matmul_precision")
RUN_BEFORE, COMPARISON_BEFORE = "0ae72fc87625", "c43b72b3f8bf"


def test_no_flags_mean_the_default_config() -> None:
    assert parse() == CompareConfig()
    assert command_line(CompareConfig()) == []


def test_every_field_has_a_flag() -> None:
    parser = argparse.ArgumentParser()
    add_options(parser, CompareConfig)
    assert {action.dest for action in parser._actions} - {"help"} == {
        field.name for field in dataclasses.fields(CompareConfig)
    }


@pytest.mark.parametrize(
    "config", [CompareConfig(), CHANGED, CompareConfig(seeds=(3, 5, 8)), CompareConfig(seeds=(0,))]
)
def test_command_line_and_json_give_the_config_back(config: CompareConfig) -> None:
    assert parse(*command_line(config)) == config
    again = CompareConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert again.fingerprint == config.fingerprint


def test_seeds_are_a_number_or_a_list() -> None:
    assert parse("--seeds", "4").seeds == (0, 1, 2, 3)
    assert parse("--seeds", "3,5,8").seeds == (3, 5, 8)
    with pytest.raises(argparse.ArgumentError, match="a number of seeds"):
        parse("--seeds", "many")


def test_lr_is_the_learning_rate() -> None:
    assert parse("--lr", "0.2") == parse("--learning-rate", "0.2") == CompareConfig(learning_rate=0.2)


def test_every_field_changes_the_fingerprint() -> None:
    base = RunConfig()
    changed: dict[str, Any] = {
        "model": "mlp",
        "width": 9,
        "depth": 9,
        "initialization": "orthogonal",
        "dataset": "digits",
        "augmentation": "crop-flip",
        "validation_share": 0.1,
        "epochs": 9,
        "batch_size": 9,
        "optimizer": "adam",
        "learning_rate": 0.9,
        "schedule": "constant",
        "momentum": 0.1,
        "weight_decay": 0.1,
        "affine_weight_decay": 0.1,
        "gamma_weight_decay": 0.1,
        "beta_weight_decay": 0.1,
        "step_probes": 9,
        "landscape": 9,
        "graph_frames": 9,
        "device": "cuda",
        "autocast": "bfloat16",
        "float32_matmul_precision": "high",
        "order": "swap",
        "activation": "tanh",
        "seed": 9,
    }
    assert set(changed) == {field.name for field in dataclasses.fields(RunConfig)}
    fingerprints = {dataclasses.replace(base, **{name: value}).fingerprint for name, value in changed.items()}
    assert len(fingerprints | {base.fingerprint}) == len(changed) + 1


def test_what_was_added_later_leaves_older_runs_valid() -> None:
    """Fingerprints and files from before these options say what those at their defaults say."""
    assert RunConfig().fingerprint == RUN_BEFORE
    assert CompareConfig().fingerprint == COMPARISON_BEFORE
    for config in (RunConfig(), CompareConfig()):
        old = {name: value for name, value in config.to_dict().items() if name not in ADDED_LATER}
        assert type(config).from_dict(old) == config
        assert len(old) == len(config.to_dict()) - len(ADDED_LATER)
    with pytest.raises(DataError, match="none called device"):
        RunConfig.from_dict({name: value for name, value in RunConfig().to_dict().items() if name != "device"})


def test_the_same_meaning_has_the_same_fingerprint() -> None:
    assert RunConfig(learning_rate=1).fingerprint == RunConfig(learning_rate=1.0).fingerprint
    orders: Any = ["convention", "swap"]
    assert CompareConfig(orders=orders) == CompareConfig(orders=("convention", "swap"))


def test_runs_are_all_combinations_with_pairs_together() -> None:
    runs = CompareConfig(activations=("tanh", "relu"), seeds=(4, 2)).runs()
    assert [(run.activation, run.seed, run.order) for run in runs[:4]] == [
        ("tanh", 4, "convention"),
        ("tanh", 4, "swap"),
        ("tanh", 2, "convention"),
        ("tanh", 2, "swap"),
    ]
    assert len(runs) == len({run.fingerprint for run in runs}) == 8


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"activations": ("tahn",)}, "did you mean 'tanh'"),
        ({"orders": ("convention", "swop")}, "did you mean 'swap'"),
        ({"model": "smallcnn"}, "did you mean 'small_cnn'"),
        ({"dataset": "fashion"}, "fashion_mini, digits"),
        ({"schedule": "step"}, "constant"),
        ({"epochs": 0}, "epochs of at least 1, got 0"),
        ({"batch_size": 1}, "batch_size of at least 2"),
        ({"learning_rate": 0.0}, "learning_rate above 0"),
        ({"learning_rate": float("nan")}, "learning_rate above 0"),
        ({"learning_rate": float("inf")}, "learning_rate above 0"),
        ({"momentum": 1.0}, "momentum of at least 0 and below 1"),
        ({"weight_decay": -1e-4}, "weight_decay of at least 0"),
        ({"seeds": ()}, "seeds to be at least one"),
        ({"seeds": (1, 1)}, "each named once"),
        ({"seeds": (-1,)}, "seeds of at least 0"),
        ({"orders": ("swap", "swap")}, "each named once"),
        ({"orders": ("convention", "weight-norm-act")}, "mean the same order"),
        ({"epochs": 2.5}, "epochs of type int"),
        ({"epochs": True}, "epochs of type int"),
        ({"seeds": 3}, "seeds to be a list"),
        ({"width": "wide"}, "width of type int"),
        ({"vary": {"depth": (1, 2)}}, "a model of any depth .*, got small_cnn"),
        ({"optimizer": "adam", "tune": {"momentum": (0.5, 0.9)}}, "sgd, which has momentum"),
    ],
)
def test_bad_values_are_refused_with_a_sentence(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        CompareConfig(**fields)


def test_a_saved_config_must_fit_exactly(tmp_path: Path) -> None:
    content = CompareConfig().to_dict()
    with pytest.raises(ArgumentError, match="did you mean 'epochs'"):
        CompareConfig.from_dict({**content, "epoch": 3})
    with pytest.raises(DataError, match="none called seeds"):
        CompareConfig.from_dict({name: value for name, value in content.items() if name != "seeds"})
    with pytest.raises(DataError, match="a JSON object"):
        CompareConfig.from_dict([1, 2])
    path = tmp_path / "config.json"
    with pytest.raises(DataError, match="a config at"):
        CompareConfig.load(path)
    path.write_text("{ half", encoding="utf-8")
    with pytest.raises(DataError, match="JSON in"):
        CompareConfig.load(path)


def test_tuning_needs_a_choice() -> None:
    with pytest.raises(ArgumentError, match="at least two candidates to tune"):
        CompareConfig(tune={"learning_rate": (0.1,)})
