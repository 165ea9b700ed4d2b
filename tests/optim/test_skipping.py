"""Steps that are skipped, and steps that are repeated: neither asks the device anything, both count right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from stand_in import stand_in_device

import tinygrad_bn as tg
from tinygrad_bn import optim
from tinygrad_bn.backend import Recording, capturing, get_device
from tinygrad_bn.backend.device import _devices as known_devices
from tinygrad_bn.errors import DTypeError
from tinygrad_bn.kernels.reference import Kernels

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.1}),
]
SKIPPED = [True, True, False, False, True, False]


def parameters(device: Any = "cpu") -> list[tg.Tensor]:
    rng = np.random.default_rng(0)
    return [tg.tensor(rng.standard_normal(s), device=device, requires_grad=True) for s in ((4, 3), (3,), (2, 2))]


def give_gradients(ours: list[tg.Tensor], step: int, value: float | None = None) -> None:
    rng = np.random.default_rng(step)
    for parameter in ours:
        gradient = rng.standard_normal(parameter.shape) if value is None else np.full(parameter.shape, value)
        parameter.grad = tg.tensor(gradient, device=parameter.device)


def values_of(tensors: list[tg.Tensor]) -> list[np.ndarray]:
    return [np.array(tensor.device.to_host(tensor.data)) for tensor in tensors]


@pytest.fixture(params=["fast", "reference", "stand_in"])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    if request.param == "reference":
        monkeypatch.setattr(get_device("cpu"), "kernels", Kernels(get_device("cpu")))
    if request.param != "stand_in":
        return "cpu"
    device = stand_in_device()
    monkeypatch.setitem(known_devices, device.name, device)
    return device


@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_skipped_steps_are_as_if_they_had_never_been(name: str, settings: dict[str, Any], where: Any) -> None:
    ours, theirs = parameters(where), parameters()
    optimizer, plain = getattr(optim, name)(ours, **settings), getattr(optim, name)(theirs, **settings)
    for step, skipped in enumerate(SKIPPED):
        give_gradients(ours, step, np.nan if skipped else None)
        optimizer.step(skip=tg.tensor(skipped, device=where))
        if not skipped:
            give_gradients(theirs, step)
            plain.step()
        for a, b in zip(values_of(ours), values_of(theirs), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-14, err_msg=f"step {step}")
    give_gradients(ours, 9)
    give_gradients(theirs, 9)
    optimizer.step()  # what was skipped before still counts as not taken
    plain.step()
    for a, b in zip(values_of(ours), values_of(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(("name", "settings"), SETTINGS[1:])
def test_parameters_count_their_own_steps(name: str, settings: dict[str, Any]) -> None:
    """Those that share a counter part ways when one of them has no gradient in a step."""
    given = [(0, 1), (0, 1, 2), (1, 2), (0, 1, 2), (0, 2), (0, 1, 2)]
    ours, theirs = parameters(), parameters()
    optimizer, plain = getattr(optim, name)(ours, **settings), getattr(optim, name)(theirs, **settings)
    for step, skipped in enumerate(SKIPPED):
        for group in (ours, theirs):
            give_gradients(group, step)
            for number in {0, 1, 2} - set(given[step]):
                group[number].grad = None
        optimizer.step(skip=tg.tensor(skipped))
        if not skipped:
            plain.step()
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-14, atol=1e-14, err_msg=f"step {step}")
    found, expected = optimizer.state_dict()["state"], plain.state_dict()["state"]
    if name != "SGD":
        assert [found[number]["step"] for number in found] == [expected[number]["step"] for number in expected]


@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_a_state_dict_knows_no_skipped_steps(name: str, settings: dict[str, Any]) -> None:
    ours, theirs = parameters(), parameters()
    optimizer, plain = getattr(optim, name)(ours, **settings), getattr(optim, name)(theirs, **settings)
    give_gradients(ours, 0)
    optimizer.step(skip=tg.tensor(True))
    assert optimizer.state_dict()["state"] == {0: {}, 1: {}, 2: {}}
    for step in range(3):
        give_gradients(ours, step)
        give_gradients(theirs, step)
        optimizer.step(skip=tg.tensor(False))
        plain.step()
    saved = optimizer.state_dict()
    assert str(saved) == str(plain.state_dict())
    optimizer.load_state_dict(saved)
    for step in range(2):
        give_gradients(ours, step)
        give_gradients(theirs, step)
        optimizer.step(skip=tg.tensor(step == 0))
        if step:
            plain.step()
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("skip", [True, np.bool_(True), tg.tensor([True]), tg.tensor(1.0)], ids=repr)
def test_what_is_no_flag_is_refused(skip: Any) -> None:
    ours = parameters()
    give_gradients(ours, 0)
    before = values_of(ours)
    with pytest.raises(DTypeError, match=r"in SGD\.step: expected skip: a bool tensor without axes"):
        optim.SGD(ours, lr=0.1).step(skip=skip)
    np.testing.assert_array_equal(before[0], values_of(ours)[0])


class _Noted(Kernels):
    """Kernels that remember where each update takes its numbers from."""

    def sgd_all(self, parameters: Any, gradients: Any, velocities: Any, settings: Any, skip: Any = None) -> None:
        self.noted = capturing.fed(self.device, lambda: np.array([settings()], dtype=object))

    def adam_all(
        self, parameters: Any, gradients: Any, means: Any, squares: Any, settings: Any, skip: Any = None
    ) -> None:
        self.noted = capturing.fed(self.device, lambda: np.array([settings()], dtype=object))


def test_a_recorded_step_has_new_numbers_at_each_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = _Noted(get_device("cpu"))
    monkeypatch.setattr(get_device("cpu"), "kernels", kernels)
    for name, settings in (("Adam", {}), ("SGD", {"momentum": 0.9})):
        ours = parameters()
        optimizer = getattr(optim, name)(ours, lr=0.5, **settings)
        schedule = optim.LambdaLR(optimizer, lambda step: 1.0 / (1 + step))
        give_gradients(ours, 0)
        recording = Recording()
        with capturing.recorded(recording):
            optimizer.step()
            schedule.step()
        numbers = [kernels.noted[0].copy()]
        for _ in range(2):
            for action in recording.before_replay:
                action()
            numbers.append(kernels.noted[0].copy())
        rate = 1 if name == "Adam" else 0
        assert [row[rate] for row in numbers] == pytest.approx([0.5, 0.25, 0.5 / 3])
        assert [row[0] if name == "Adam" else row[-1] for row in numbers] == (
            [1, 2, 3] if name == "Adam" else [True, False, False]
        )
        assert schedule.last_epoch == 3
        if name == "Adam":
            assert optimizer.state_dict()["state"][0]["step"] == 3
