from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import timing, workloads
from benchmarks.contestants import OURS, PEERS, Contestant, chosen_peers
from benchmarks.environments import PeerMissingError
from benchmarks.protocol import WorkerError
from benchmarks.timing import Effort, Fleet, Outcome, deviation, measure, plan


def test_an_outcome_is_told_by_its_median_and_quartiles() -> None:
    outcome = Outcome(rounds=[5.0, 1.0, 2.0, 4.0, 3.0])
    assert outcome.median == 3.0
    assert outcome.quartiles == (2.0, 4.0)
    assert Outcome().median is None
    assert Outcome(rounds=[1.0]).quartiles is None


def test_losses_deviate_on_the_scale_of_their_change() -> None:
    assert deviation([2.0, 1.51], [2.0, 1.5], losses=True) == pytest.approx(0.02)
    assert deviation([2.0, 1.5], [2.0, 1.5], losses=True) == 0.0


def test_other_results_deviate_each_on_its_own_scale() -> None:
    assert deviation([100.0, 0.011], [100.0, 0.01], losses=False) == pytest.approx(0.1)


@pytest.mark.parametrize("results", [[1.0], [1.0, float("nan")], [float("inf"), 1.0]])
def test_results_that_cannot_be_compared_deviate_without_limit(results: list[float]) -> None:
    assert deviation(results, [1.0, 2.0], losses=True) == float("inf")
    assert not Outcome(deviation=deviation(results, [1.0, 2.0], losses=True)).same_work


def test_a_plan_takes_long_samples_and_a_turn_of_the_wanted_length() -> None:
    effort = Effort(turn_seconds=0.2)
    assert plan(0.02, effort) == {"inner": 1, "samples": 10}
    assert plan(1e-5, effort) == {"inner": 200, "samples": 50}
    assert plan(3.0, effort) == {"inner": 1, "samples": 1}


class FakeWorker:
    """Answers with set times, and notes who was asked."""

    def __init__(self, name: str, asked: list[str], seconds: float, fails_at: int | None) -> None:
        self.name, self.asked, self.seconds, self.fails_at = name, asked, seconds, fails_at
        self.turns = 0
        self.alive = True

    def ask(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        if request["do"] == "prepare":
            return {"results": [2.0, 1.0 if self.seconds < 1 else 0.5]}
        if request["do"] == "about":
            return {"versions": {}}
        self.turns += 1
        if self.turns == self.fails_at:
            raise WorkerError("out of order")
        self.asked.append(self.name)
        return {"seconds": [self.seconds] * request["samples"]}

    def processor_seconds(self) -> float:
        return 0.0

    def close(self) -> None:
        self.alive = False


def measured_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, workers: dict[str, FakeWorker]
) -> tuple[Fleet, dict[str, Outcome]]:
    def start(contestant: Contestant, *_: object) -> Any:
        if contestant.name not in workers:
            raise PeerMissingError("not to be had")
        return workers[contestant.name]

    monkeypatch.setattr(timing, "start", start)
    with Fleet([OURS, *chosen_peers("torch")], 1, tmp_path, print) as fleet:
        return fleet, measure(fleet, workloads.TINY, Effort(rounds=3, turn_seconds=0.001, pause=0.0))


def test_contestants_take_turns_and_begin_by_turns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []
    names = ["ours", "torch-eager", "torch-channels-last", "torch-compile"]
    workers = {name: FakeWorker(name, asked, 0.01 * (i + 1), None) for i, name in enumerate(names)}
    _, outcomes = measured_with(monkeypatch, tmp_path, workers)
    assert [sorted(asked[i : i + 4]) for i in range(0, 16, 4)] == [sorted(names)] * 4
    assert asked[4:8] == names
    assert asked[8:12] == [*names[1:], names[0]]
    assert [outcomes[name].median for name in names] == pytest.approx([0.01, 0.02, 0.03, 0.04])
    assert all(outcome.same_work for outcome in outcomes.values())
    assert not any(worker.alive for worker in workers.values())


def test_who_fails_or_is_missing_or_differs_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []
    workers = {
        "ours": FakeWorker("ours", asked, 0.01, None),
        "torch-eager": FakeWorker("torch-eager", asked, 0.01, fails_at=3),
        "torch-channels-last": FakeWorker("torch-channels-last", asked, 1.0, None),
    }
    fleet, outcomes = measured_with(monkeypatch, tmp_path, workers)
    assert len(outcomes["ours"].rounds) == 3
    assert outcomes["torch-eager"].failure == "out of order"
    assert outcomes["torch-eager"].median is None
    assert outcomes["torch-channels-last"].median == 1.0
    assert not outcomes["torch-channels-last"].same_work
    assert outcomes["torch-compile"].failure == "not to be had"
    assert fleet.missing == {"torch-compile": "not to be had"}
    assert [contestant.name for contestant in fleet.invited(workloads.TINY)] == list(workers)


def test_peers_are_chosen_by_name_or_by_environment() -> None:
    assert chosen_peers(None) == list(PEERS)
    assert [peer.name for peer in chosen_peers("jax, torch-eager")] == ["torch-eager", "jax"]
    assert len(chosen_peers("torch")) == 3
    with pytest.raises(ValueError, match=r"unknown peer 'abacus'; known are chainer"):
        chosen_peers("abacus")
