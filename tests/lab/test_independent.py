"""The laboratory against an independent implementation of its protocol, step by step and as a whole."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import data, interop
from tinygrad_bn.lab import CompareConfig, Comparison, RunConfig
from tinygrad_bn.lab import train as train_ours

torch = pytest.importorskip("torch")
stats = pytest.importorskip("scipy.stats")
independent: Any = pytest.importorskip("independent_comparison")

# Three epochs of two steps on small images; 200 of the 800 do not fill a batch. The noise in these images matters:
# where pixels are equal, as in a black border, rounding decides which value of a pooling window is the largest.
SHORT = {"dataset": "synthetic", "batch_size": 300, "epochs": 3}
CLASSES = 4
# Largest deviation that rounding alone leaves in six steps.
TIGHT = 1e-5


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def permutation_of(run: RunConfig, epoch: int) -> Any:
    """The order in which our loader gives the training images, found by loading their numbers."""
    count = len(data.load(run.dataset, "train"))
    numbers = np.arange(count, dtype=np.float32)[:, None]
    labels = np.zeros(count, dtype=np.int64)
    loader = data.DataLoader((numbers, labels), run.batch_size, shuffle=True, seed=run.seed, drop_last=True)
    loader.set_epoch(epoch)
    return torch.from_numpy(np.concatenate([batch.numpy()[:, 0] for batch, _ in loader]).astype(np.int64))


def our_initial_weights(run: RunConfig) -> dict[str, Any]:
    dataset = data.load(run.dataset, "test")
    tg.manual_seed(run.seed)
    model = tg.nn.build_model(
        run.model,
        width=run.width,
        image_size=dataset.image_shape[-1],
        num_classes=len(dataset.classes),
        order=run.order,
        activation=run.activation,
    )
    return {name: torch.from_numpy(array) for name, array in interop.to_torch_state_dict(model).items()}


# -- the protocol, step by step ---------------------------------------------------------------------------


def train_theirs(run: RunConfig, **change: float) -> tuple[dict[str, float], dict[str, Any]]:
    """What PyTorch makes of our initial weights and our batches: numbers and state."""
    images = independent.read_images(run.dataset)
    network = independent.small_cnn(run.order, run.activation, run.width, images.training.shape[-1], CLASSES)
    network.load_state_dict(our_initial_weights(run))
    permutations = [permutation_of(run, epoch) for epoch in range(run.epochs)]
    protocol = dataclasses.replace(independent.PROTOCOL, **{**SHORT, **change})
    numbers = independent.train(network, images, permutations, protocol)
    return numbers, {name: value.numpy() for name, value in network.state_dict().items()}


def distance(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    """The largest deviation of a value, relative to it where it is larger than 1."""
    assert set(ours) == set(theirs)
    return max(float(np.max(np.abs(ours[name] - theirs[name]) / (1.0 + np.abs(theirs[name])))) for name in theirs)


@pytest.mark.parametrize("activation", ["tanh", "softsign", "relu", "sigmoid"])
@pytest.mark.parametrize("order", independent.ORDERS)
def test_from_our_weights_on_our_batches_pytorch_ends_where_we_end(order: str, activation: str) -> None:
    """Losses, learning rate, weights and running statistics after six steps in three epochs.

    Not with every seed: rounding may decide which of two nearly equal values is the largest of a window, or on which
    side of 0 a value lies, and from there two trainings go apart. Another protocol would agree with no seed.
    """
    distances = []
    for seed in range(4):
        run = RunConfig(order=order, activation=activation, seed=seed, **SHORT)
        theirs, their_state = train_theirs(run)
        ours = train_ours(run)
        numbers = ("train_loss", "test_loss", "learning_rate")
        apart = distance(
            {name: ours.metrics[-1][name] for name in numbers} | interop.to_torch_state_dict(ours.model),
            {name: theirs[name] for name in numbers} | their_state,
        )
        distances.append(apart)
        if apart < TIGHT:
            assert ours.result["test_accuracy"] == pytest.approx(theirs["test_accuracy"])
    assert min(distances) < TIGHT
    assert max(distances) < 0.1


@pytest.mark.parametrize("change", [{"weight_decay": 4e-4}, {"momentum": 0.89}, {"learning_rate": 0.0499}])
def test_a_small_departure_from_the_protocol_would_be_seen(change: dict[str, float]) -> None:
    for seed in range(4):
        run = RunConfig(order="swap", activation="tanh", seed=seed, **SHORT)
        assert distance(train_theirs(run, **change)[1], train_theirs(run)[1]) > TIGHT


def test_initial_weights_are_drawn_from_the_same_distributions() -> None:
    run = RunConfig(order="convention", activation="tanh")
    draws: list[dict[str, Any]] = [{}, {}]
    for seed in range(4):
        torch.manual_seed(seed)
        states = (
            our_initial_weights(dataclasses.replace(run, seed=seed)),
            independent.small_cnn(run.order, run.activation).state_dict(),
        )
        for drawn, state in zip(draws, states, strict=True):
            for name, value in state.items():
                drawn.setdefault(name, []).append(value.numpy().ravel())
    ours, theirs = ({name: np.concatenate(values) for name, values in drawn.items()} for drawn in draws)
    p_values = {}
    for name in theirs:
        if ".norm." in name:
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
        else:
            p_values[name] = stats.ks_2samp(ours[name], theirs[name]).pvalue
    assert len(p_values) == 12
    assert {name: p for name, p in p_values.items() if p < 0.05 / len(p_values)} == {}


def test_pairs_start_from_the_same_weights_and_see_the_same_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[dict[str, Any], list[Any]]] = []

    def remember(network: Any, images: Any, permutations: list[Any], protocol: Any) -> dict[str, float]:
        seen.append((network.state_dict(), permutations))
        return {"test_accuracy": float(len(seen))}

    monkeypatch.setattr(independent, "train", remember)
    assert independent.train_pair("tanh", 5) == (1.0, 2.0)
    (first_weights, first_batches), (second_weights, second_batches) = seen
    assert first_weights.keys() == second_weights.keys()
    assert all(torch.equal(value, second_weights[name]) for name, value in first_weights.items())
    assert len(first_batches) == independent.PROTOCOL.epochs
    assert all(map(torch.equal, first_batches, second_batches))
    independent.train_pair("tanh", 6)
    assert not torch.equal(seen[2][1][0], first_batches[0])
    assert not torch.equal(seen[2][0]["features.0.conv.weight"], first_weights["features.0.conv.weight"])


@pytest.mark.slow
def test_processes_give_the_numbers_of_this_one(capsys: pytest.CaptureFixture[str]) -> None:
    short = dataclasses.replace(independent.PROTOCOL, dataset="digits", epochs=1)
    answers = independent.train_all(["tanh", "relu"], [3, 5], 2, short)
    for activation in ("tanh", "relu"):
        pairs = {seed: independent.train_pair(activation, seed, short) for seed in (3, 5)}
        assert answers[activation].pairs == pairs
        assert len(set(pairs.values())) == 2
    assert "[  4/4] " in capsys.readouterr().err


# -- the protocol is the laboratory's ---------------------------------------------------------------------


def test_the_protocol_is_the_default_of_the_laboratory() -> None:
    defaults = CompareConfig().to_dict()
    for name, value in dataclasses.asdict(independent.PROTOCOL).items():
        assert defaults.get(name, value) == value, name
    assert tuple(defaults["orders"]) == independent.ORDERS


def test_every_field_of_a_run_is_either_part_of_the_protocol_or_without_effect() -> None:
    known = {field.name for field in dataclasses.fields(independent.Protocol)} | set(independent.WITHOUT_EFFECT)
    assert {field.name for field in dataclasses.fields(RunConfig)} - {"order", "activation", "seed"} <= known


# -- agreement --------------------------------------------------------------------------------------------


def test_agreement_equals_scipy_and_the_formula_of_welch() -> None:
    generator = np.random.default_rng(0)
    ours, theirs = generator.normal(1.0, 0.5, 12), generator.normal(1.2, 1.0, 9)
    found = independent.agreement(list(ours), list(theirs))
    errors = np.var(ours, ddof=1) / 12, np.var(theirs, ddof=1) / 9
    freedom = sum(errors) ** 2 / (errors[0] ** 2 / 11 + errors[1] ** 2 / 8)
    half = stats.t.ppf(0.975, freedom) * np.sqrt(sum(errors))
    assert found.gap == pytest.approx(theirs.mean() - ours.mean())
    assert found.interval == pytest.approx((found.gap - half, found.gap + half))


def test_agreement_counts_all_deals_of_small_samples() -> None:
    # Of the 20 deals of six values to two hands of three, this one and its mirror image lie furthest apart.
    assert independent.agreement([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]).p_value == pytest.approx(2 / 20)


@pytest.mark.parametrize("spreads", [(0.5, 0.5), (0.3, 0.9)])
def test_equal_samples_agree_and_different_ones_do_not(spreads: tuple[float, float]) -> None:
    generator = np.random.default_rng(1)
    ours = generator.normal(0.8, spreads[0], 12)
    theirs = generator.normal(0.8, spreads[1], 12)
    same = independent.agreement(ours, theirs)
    assert same.agree
    assert same.interval[0] < 0.0 < same.interval[1]
    assert same.p_value > 0.05
    different = independent.agreement(ours, theirs + 1.5)
    assert not different.agree
    assert different.interval[0] > 0.0
    assert different.p_value < 0.05
    assert different.gap == pytest.approx(same.gap + 1.5)
    mirrored = independent.agreement(theirs + 1.5, ours)
    assert mirrored.interval == pytest.approx((-different.interval[1], -different.interval[0]))


def test_equals_disagree_no_more_often_than_the_level_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(independent, "PERMUTATIONS", 199)
    generator = np.random.default_rng(2)
    trials = 200
    rejected = sum(not independent.agreement(*generator.normal(size=(2, 12))).agree for _ in range(trials))
    # Two tests of level .05 that nearly always say the same; .001 of the binomial tail above .07.
    assert rejected <= stats.binom.ppf(0.999, trials, 0.07)


@pytest.mark.parametrize(
    ("first", "second", "reason"), [([1.0], [1.0, 2.0], "at least 2"), ([1.0, 1.0], [2.0, 2.0], "no spread")]
)
def test_what_cannot_be_compared_is_refused(first: list[float], second: list[float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        independent.agreement(first, second)


# -- the command ------------------------------------------------------------------------------------------

DEFAULTS = CompareConfig(activations=("tanh",), seeds=(0, 1, 2, 3, 4, 5))


def test_a_folder_is_read_as_the_laboratory_reads_it(make_comparison: Callable[..., Comparison]) -> None:
    comparison = make_comparison(DEFAULTS, leave_out=1)
    answer = independent.read_folder(comparison.root)["tanh"]
    (pair,) = comparison.pairs("tanh")
    assert sorted(answer.pairs) == list(pair.seeds) == [0, 1, 2, 3, 4]  # the sixth is finished in one order only
    assert answer.differences == list(pair.differences)
    assert answer.accuracies("swap") == list(pair.second_values)
    assert answer.interval == pair.interval


def test_runs_of_another_protocol_do_not_count(make_comparison: Callable[..., Comparison]) -> None:
    other = dataclasses.replace(DEFAULTS, learning_rate=0.1)
    root = make_comparison(other).root
    with pytest.raises(ValueError, match=r"no finished run of this protocol.*learning_rate=0\.1"):
        independent.read_folder(root)
    make_comparison(DEFAULTS, gain=2.0)
    assert independent.read_folder(root)["tanh"].differences[0] == pytest.approx(2.0)


@pytest.mark.parametrize(("shift", "code"), [(0.05, 0), (3.0, 1)])
def test_the_exit_code_says_whether_the_two_agree(
    shift: float,
    code: int,
    make_comparison: Callable[..., Comparison],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    comparison = make_comparison(DEFAULTS)
    ours = independent.read_folder(comparison.root)["tanh"]
    answer = independent.Answer({seed: (first, second + shift) for seed, (first, second) in ours.pairs.items()})
    monkeypatch.setattr(independent, "train_all", lambda activations, seeds, jobs: {"tanh": answer})
    output = tmp_path / "numbers.json"
    arguments = ["--activations", "tanh", "--against", str(comparison.root), "-o", str(output)]
    assert independent.main(arguments) == code
    printed = capsys.readouterr().out
    last = printed.splitlines()[-1]
    assert last.startswith(f"difference: PyTorch − tinygrad_bn +{shift:.2f}, ")
    assert last.endswith("DISAGREE" if code else ": agree")
    numbers = json.loads(output.read_text(encoding="utf-8"))["activations"]["tanh"]
    assert numbers["tinygrad_bn"]["differences"] == ours.differences
    assert numbers["agreement"]["difference"]["gap"] == pytest.approx(shift)
    assert numbers["agreement"]["difference"]["agree"] is (code == 0)


def test_an_empty_folder_is_refused_before_any_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(independent, "train_all", lambda *arguments: pytest.fail("trained"))
    with pytest.raises(SystemExit) as ended:
        independent.main(["--against", str(tmp_path)])
    assert ended.value.code == 2
    assert "no finished run of this protocol" in capsys.readouterr().err
