"""Recordings on a GPU: when a step is recorded, when it is repeated, and what happens when something has changed."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn, optim
from tinygrad_bn.backend import get_device
from tinygrad_bn.errors import CaptureError, GraphError, TinygradBNError
from tinygrad_bn.kernels import Kernels

pytestmark = pytest.mark.usefixtures("gpu")


def batch(*values: float) -> tg.Tensor:
    return tg.tensor(values or (1.0, 2.0), device="cuda")


class Counted:
    """A step that counts how often its code runs."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.runs = 0

    def __call__(self, *args: Any) -> Any:
        self.runs += 1
        return self.function(*args)


def captured(function: Callable[..., Any], warmup: int = 1) -> tuple[Any, Counted]:
    counted = Counted(function)
    return tg.capture(counted, warmup=warmup), counted


@pytest.mark.parametrize("warmup", [1, 2, 4])
def test_the_code_runs_while_warming_up_and_once_to_be_recorded(warmup: int) -> None:
    step, counted = captured(lambda x: x * 2.0, warmup)
    for i in range(8):
        assert step(batch(i, 1.0)).tolist() == [2.0 * i, 2.0]
        assert counted.runs == min(i + 1, warmup + 1)
        assert [info.replays for info in step.graphs] == ([] if i < warmup else [i - warmup])
    assert step.graphs[0].inputs == (((2,), np.dtype("float32")),)
    assert repr(step).endswith("1 recordings>")


def test_reset() -> None:
    step, counted = captured(lambda x: x * 2.0)
    for _ in range(3):
        step(batch())
    step.reset()
    assert not step.graphs
    for _ in range(3):
        assert step(batch()).tolist() == [2.0, 4.0]
    assert counted.runs == 4


def test_recordings_used_longest_ago_make_room() -> None:
    step, counted = captured(lambda x: x.sum())
    for size in range(1, 9):
        for _ in range(2):
            step(tg.ones(size, device="cuda"))
    step(tg.ones(1, device="cuda"))  # no longer the one used longest ago
    for _ in range(2):
        step(tg.ones(9, device="cuda"))
    sizes = [info.inputs[0][0][0] for info in step.graphs]
    assert sizes == [3, 4, 5, 6, 7, 8, 1, 9]
    runs = counted.runs
    assert step(tg.ones(1, device="cuda")).item() == 1.0
    assert counted.runs == runs
    assert step(tg.ones(2, device="cuda")).item() == 2.0  # recorded anew at once: it has warmed up
    assert counted.runs == runs + 1


def test_numbers_that_are_never_the_same_are_not_remembered() -> None:
    step, _ = captured(lambda x, factor: x * factor, warmup=2)
    for number in range(200):
        step(batch(), number)
    assert len(step._calls) == 64
    assert not step.graphs


def test_inputs_of_another_layout() -> None:
    """Images in any order of axes in memory are the same step."""
    step, counted = captured(lambda x: x * x)
    for _ in range(3):
        for x in (tg.rand(2, 3, 4, 5, device="cuda"), tg.rand(5, 4, 3, 2, device="cuda").transpose()):
            np.testing.assert_array_equal(step(x).numpy(), x.numpy() ** 2)
    assert counted.runs == 2


# What the step makes of things that are not its inputs


def test_literals_are_the_same_in_each_replay() -> None:
    """Numbers of the code, and lists of them, also where they are changed in place afterwards."""

    def step(x: tg.Tensor) -> tg.Tensor:
        total = tg.tensor([10.0, 20.0], device="cuda")
        total[0] = total[0] + x[0]
        total.assign_(total + tg.tensor([0.5, 0.25], device="cuda"))
        index = [1, 0]
        scalar = tg.tensor(3.0, device="cuda")
        one = tg.eye(2, device="cuda")[1] + tg.zeros(2, device="cuda")
        return total[index] * scalar + tg.arange(2, device="cuda") * one

    recorded, counted = captured(step)
    for value in (1.0, 2.0, 3.0, 4.0):
        x = batch(value)
        assert recorded(x).tolist() == step(x).tolist() == [60.75, 3.0 * (10.5 + value) + 1.0]
    assert counted.runs == 2


def test_random_numbers_are_new_in_each_replay() -> None:
    def step(x: tg.Tensor) -> tg.Tensor:
        noise = tg.randn(2, device="cuda") + tg.rand(2, device="cuda", dtype="float32")
        return F.dropout(x * noise, 0.5)

    recorded, counted = captured(step)
    tg.manual_seed(5)
    expected = [step(batch()).tolist() for _ in range(6)]
    tg.manual_seed(5)
    assert [recorded(batch()).tolist() for _ in range(6)] == expected
    assert len({str(values) for values in expected}) > 3
    assert counted.runs == 2


def test_state_in_tensors_that_are_changed_in_place() -> None:
    average = tg.zeros(2, device="cuda")

    def step(x: tg.Tensor) -> None:
        average.assign_(average * 0.5 + x * 0.5)

    recorded, counted = captured(step)
    expected = np.zeros(2, np.float32)
    for value in (1.0, 2.0, 3.0, 4.0):
        assert recorded(batch(value, 0.0)) is None
        expected = expected * 0.5 + np.array([value, 0.0], np.float32) * 0.5
        np.testing.assert_array_equal(average.numpy(), expected)
    assert counted.runs == 2


def test_memory_of_a_recording_is_its_own() -> None:
    """What is allocated between the calls is neither read nor written by a replay, and the other way round."""

    def step(x: tg.Tensor) -> tg.Tensor:
        parts = [x * float(i) for i in range(1, 8)]
        return tg.stack([part * part for part in parts]).sum(axis=0)

    recorded, _ = captured(step)
    kept = []
    for i in range(6):
        x = batch(i, 1.0)
        kept.append((recorded(x), tg.full((2,), 7.0, device="cuda"), step(x).tolist()))
        gc.collect()
    for result, mine, expected in kept:
        assert result.tolist() == expected
        assert mine.tolist() == [7.0, 7.0]


def test_memory_outlives_the_recording_where_it_is_used() -> None:
    weight = batch(3.0, 4.0).requires_grad_()

    def step(x: tg.Tensor) -> tg.Tensor:
        weight.grad = None
        loss = (weight * weight * x).sum()
        loss.backward()
        return loss

    recorded, _ = captured(step)
    for _ in range(3):
        recorded(batch())
    graph = weakref.ref(recorded._recorded[0][1])
    recorded.reset()
    del recorded
    gc.collect()
    assert graph() is None
    for _ in range(8):
        tg.full((2,), 9.0, device="cuda")
    assert weight.grad.tolist() == [6.0, 16.0]


# Gradients


def test_gradients_are_those_of_the_last_call() -> None:
    weight = batch(3.0, 4.0).requires_grad_()
    unused = batch().requires_grad_()

    def step(x: tg.Tensor) -> None:
        weight.grad = None
        (weight * x).sum().backward()

    recorded, _ = captured(step)
    unused.grad = batch(5.0)[:1].broadcast_to(2).copy()
    for value in (1.0, 2.0, 3.0, 4.0):
        recorded(batch(value, -value))
        assert weight.grad.tolist() == [value, -value]
        weight.grad.data = batch(0.0, 0.0).data  # somebody's own business
        weight.grad = None
    assert unused.grad.tolist() == [5.0, 5.0]


@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("to_none", [True, False])
def test_gradients_that_are_collected_over_several_calls(every: int, to_none: bool) -> None:
    """Two recordings: one that begins with gradients, one that begins without."""

    def trained(captured_step: bool) -> list[Any]:
        tg.manual_seed(0)
        model = nn.Linear(2, 2).to("cuda")
        rule = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

        def step(x: tg.Tensor) -> tg.Tensor:
            loss = (model(x) * model(x)).sum()
            loss.backward()
            return loss

        function = tg.capture(step, warmup=2) if captured_step else step
        found = []
        for i in range(20):
            found.append(function(batch(i, 1.0).reshape(1, 2)).item())
            if i % every == every - 1:
                rule.step()
                rule.zero_grad(to_none)
            found.append(None if model.bias.grad is None else model.bias.grad.tolist())
        if captured_step:
            assert len(function.graphs) == (1 if every == 1 else 2 if to_none else 1)
            assert sum(info.replays for info in function.graphs) >= 8
        return found

    assert trained(True) == trained(False)


def test_steps_that_only_read_gradients() -> None:
    """An optimiser's step alone, with gradients that come from elsewhere and are clipped inside."""

    def trained(captured_step: bool) -> list[Any]:
        weight = batch(3.0, 4.0).requires_grad_()
        rule = optim.Adam([weight], lr=0.1)

        def step(scale: tg.Tensor) -> tg.Tensor:
            norm = optim.clip_grad_norm_([weight], 1.0)
            weight.grad = weight.grad * scale
            rule.step()
            return norm

        function = tg.capture(step, warmup=1) if captured_step else step
        found = []
        for i in range(6):
            weight.grad = batch(i + 1.0, 2.0)
            found += [function(tg.tensor(0.5, device="cuda")).item(), weight.tolist(), weight.grad.tolist()]
        if captured_step:
            assert [info.replays for info in function.graphs] == [4]
        return found

    assert trained(True) == trained(False)


def test_gradients_of_gradients() -> None:
    weight = batch(3.0, 4.0).requires_grad_()

    def step(x: tg.Tensor) -> tg.Tensor:
        weight.grad = None
        (slope,) = tg.grad((weight**3 * x).sum(), weight, create_graph=True)
        (slope * slope).sum().backward(create_graph=True)
        return slope

    recorded, _ = captured(step)
    for value in (1.0, 2.0, 3.0):
        assert recorded(batch(value, value)).tolist() == [27.0 * value, 48.0 * value]
        assert weight.grad.tolist() == [972.0 * value**2, 2304.0 * value**2]
    assert weight.grad.is_leaf


def test_changes_in_place_are_noticed_by_graphs_outside() -> None:
    weight = batch(3.0, 4.0).requires_grad_()
    rule = optim.SGD([weight], lr=0.1)

    def step(x: tg.Tensor) -> None:
        rule.zero_grad()
        (weight * x).sum().backward()
        rule.step()

    recorded, _ = captured(step)
    for _ in range(3):
        recorded(batch())
    loss = (weight * weight).sum()
    recorded(batch())
    assert recorded.graphs[0].replays == 2
    with pytest.raises(GraphError, match="changed in place 1 time"):
        loss.backward()


# Things that change between the calls


def small_model() -> tuple[nn.Sequential, optim.Optimizer]:
    tg.manual_seed(1)
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Dropout(0.4), nn.Linear(3, 2)).to("cuda")
    return model, optim.Adam(model.parameters(), lr=0.05)


def changes() -> dict[str, Callable[[nn.Sequential, optim.Optimizer], Any]]:
    def load_into_optimizer(model: nn.Sequential, rule: optim.Optimizer) -> None:
        saved = rule.state_dict()
        for values in saved["state"].values():
            values["exp_avg"] = values["exp_avg"] * 0.0
        rule.load_state_dict(saved)

    def load_into_model(model: nn.Sequential, rule: optim.Optimizer) -> None:
        model.load_state_dict({name: value * 0 + 1 for name, value in model.state_dict().items()})

    def replace_data(model: nn.Sequential, rule: optim.Optimizer) -> None:
        model[0].weight.data = tg.ones(3, 2, device="cuda").data

    def replace_parameter(model: nn.Sequential, rule: optim.Optimizer) -> None:
        model[4].bias = nn.Parameter([0.5, -0.5], device="cuda")

    def replace_buffer(model: nn.Sequential, rule: optim.Optimizer) -> None:
        model[1].running_mean = tg.ones(3, device="cuda")

    def add_group(model: nn.Sequential, rule: optim.Optimizer) -> None:
        if len(rule.param_groups) == 1:
            model.append(nn.Linear(2, 2).to("cuda"))
            rule.add_param_group({"params": model[-1].parameters(), "lr": 0.01})

    return {
        "nothing": lambda model, rule: None,
        "evaluation mode": lambda model, rule: model.eval(),
        "evaluation mode of one layer": lambda model, rule: model[3].eval(),
        "back to training": lambda model, rule: model.train(),
        "double": lambda model, rule: model.double(),
        "single": lambda model, rule: model.float(),
        "frozen": lambda model, rule: model[0].requires_grad_(False),
        "thawed": lambda model, rule: model[0].requires_grad_(),
        "optimiser loaded": load_into_optimizer,
        "model loaded": load_into_model,
        "data replaced": replace_data,
        "parameter replaced": replace_parameter,
        "buffer replaced": replace_buffer,
        "group added": add_group,
        "learning rate": lambda model, rule: rule.param_groups[0].update(lr=0.2),
        "gradient forgotten": lambda model, rule: model.zero_grad(),
    }


SEQUENCES = [
    ("evaluation mode", "back to training", "evaluation mode", "back to training", "nothing"),
    ("evaluation mode of one layer", "nothing", "back to training"),
    ("frozen", "thawed", "frozen", "nothing"),
    ("double", "single", "nothing"),
    ("optimiser loaded", "nothing", "model loaded", "nothing"),
    ("data replaced", "nothing", "data replaced"),
    ("parameter replaced", "nothing", "buffer replaced", "nothing"),
    ("group added", "nothing"),
    ("learning rate", "gradient forgotten", "nothing"),
]


@pytest.mark.parametrize("sequence", SEQUENCES, ids="-".join)
def test_nothing_old_is_used_after_a_change(sequence: tuple[str, ...]) -> None:
    def trained(captured_step: bool) -> list[Any]:
        model, rule = small_model()

        def step(x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
            rule.zero_grad()
            loss = F.cross_entropy(model(x.astype(model[0].weight.dtype)), y)
            loss.backward()
            rule.step()
            return loss

        function = tg.capture(step, warmup=1) if captured_step else step
        rng = np.random.default_rng(2)
        found: list[Any] = []
        for name in ("nothing", *sequence):
            changes()[name](model, rule)
            for _ in range(4):
                x = tg.tensor(rng.standard_normal((4, 2)), dtype="float32", device="cuda")
                y = tg.tensor(rng.integers(0, 2, 4), device="cuda")
                found.append(function(x, y).item())
                found.append({key: value.tolist() for key, value in model.state_dict().items()})
                found.append([p.grad if p.grad is None else p.grad.tolist() for p in model.parameters()])
        if captured_step:
            assert sum(info.replays for info in function.graphs) >= 2
        return found

    assert trained(True) == trained(False)


def test_modes_that_come_back_find_their_recording() -> None:
    model, _ = small_model()
    step, counted = captured(lambda x: model(x).sum())
    for _ in range(4):
        for mode in (True, False):
            model.train(mode)
            step(tg.ones(4, 2, device="cuda"))
    assert counted.runs == 4
    assert len(step.graphs) == 2


def test_a_step_that_sets_the_mode_itself() -> None:
    """It is repeated while it begins in the mode that it ends in; where it does not, it is right, and not kept."""

    def run(captured_step: bool) -> list[float]:
        model, _ = small_model()

        def step(x: tg.Tensor) -> tg.Tensor:
            model.train()
            return model(x).sum()

        function = tg.capture(step, warmup=1) if captured_step else step
        found = []
        for _ in range(5):
            model.eval()
            found += [function(tg.rand(4, 2, device="cuda")).item() for _ in range(3)]
            assert model.training
        if captured_step:
            assert [info.replays >= 5 for info in function.graphs] == [True]
        return found

    assert run(True) == run(False)


def test_flags_that_are_set_and_put_back_inside() -> None:
    one, other = batch(1.0, 2.0).requires_grad_(), batch(3.0, 4.0).requires_grad_()

    def step(x: tg.Tensor) -> None:
        one.grad = other.grad = None
        one.requires_grad_(False)
        (one * other * x).sum().backward()
        one.requires_grad_()

    recorded, counted = captured(step)
    for value in (1.0, 2.0, 3.0):
        recorded(batch(value, value))
        assert one.grad is None
        assert other.grad.tolist() == [value, 2.0 * value]
    assert counted.runs == 2


def test_momentum_that_is_switched_on_and_off() -> None:
    def trained(captured_step: bool) -> list[Any]:
        weight = batch(3.0, 4.0).requires_grad_()
        rule = optim.SGD([weight], lr=0.1, dampening=0.5)

        def step(x: tg.Tensor) -> None:
            rule.zero_grad()
            (weight * weight * x).sum().backward()
            rule.step()

        function = tg.capture(step, warmup=1) if captured_step else step
        found = []
        for i in range(12):
            rule.param_groups[0]["momentum"] = 0.9 if i % 8 >= 4 else 0.0
            function(batch())
            found.append(weight.tolist())
        return found

    assert trained(True) == trained(False)


def test_recordings_of_what_is_gone_are_dropped() -> None:
    model, _ = small_model()
    step, _ = captured(lambda x: model(x).sum())
    for _ in range(3):
        step(tg.ones(4, 2, device="cuda"))
    recorded = weakref.ref(step._recorded[0][1])
    model.double().float()
    for _ in range(3):
        step(tg.ones(4, 2, device="cuda"))
    assert recorded() is None
    assert len(step.graphs) == 1


# Errors


def test_data_replaced_by_the_step_is_refused() -> None:
    weight = batch(3.0, 4.0)
    weight.name = "weight"

    def step(x: tg.Tensor) -> tg.Tensor:
        weight.data = (weight * x).data
        return weight

    recorded, _ = captured(step)
    recorded(batch(2.0, 2.0))
    with pytest.raises(
        CaptureError, match=r"keep their arrays, got weight of shape \(2,\) with another one; .*assign_"
    ):
        recorded(batch(2.0, 2.0))
    assert weight.tolist() == [6.0, 8.0]
    assert not recorded.graphs


def test_errors_while_warming_up_are_the_callers() -> None:
    fails = True

    def step(x: tg.Tensor) -> tg.Tensor:
        if fails:
            raise KeyError("mine")
        return x + 1.0

    recorded, counted = captured(step)
    for _ in range(3):
        with pytest.raises(KeyError, match="mine"):
            recorded(batch())
    fails = False
    for _ in range(3):
        assert recorded(batch()).tolist() == [2.0, 3.0]
    assert counted.runs == 5


def test_errors_while_it_is_recorded_leave_nothing_behind() -> None:
    weight = batch(3.0, 4.0).requires_grad_()
    fails = False

    def step(x: tg.Tensor) -> tg.Tensor:
        loss = (weight * x).sum()
        loss.backward()
        if fails:
            raise KeyError("mine")
        return loss

    recorded, _ = captured(step)
    recorded(batch())
    before, fails = weight.grad, True
    with pytest.raises(KeyError, match="mine"):
        recorded(batch())
    assert weight.grad is before
    assert before.tolist() == [1.0, 2.0]
    assert not get_device("cuda").xp.cuda.get_current_stream().is_capturing()
    fails = False
    for times in (2.0, 3.0, 4.0):
        assert recorded(batch()).item() == 11.0
        assert weight.grad.tolist() == [times, 2.0 * times]
    assert [info.replays for info in recorded.graphs] == [2]


def test_what_the_gpu_cannot_record_is_said_with_its_words() -> None:
    recorded, _ = captured(lambda x: x + float(x.data.sum()))
    assert recorded(batch()).tolist() == [4.0, 5.0]  # nobody sees CuPy's own arrays being read
    for _ in range(2):
        message = r"test_recordings\.py, line .*work that the GPU can do by itself, got cudaErrorStreamCapture"
        with pytest.raises(CaptureError, match=message):
            recorded(batch())
    assert (batch() + 1.0).tolist() == [2.0, 3.0]


def test_what_the_host_does_before_a_replay_may_fail() -> None:
    weight = batch(3.0, 4.0).requires_grad_()
    rule = optim.SGD([weight], lr=0.5)
    schedule = optim.OneCycleLR(rule, 0.1, total_steps=4, cycle_momentum=False)

    def step(x: tg.Tensor) -> None:
        rule.zero_grad()
        (weight * x).sum().backward()
        rule.step()
        schedule.step()

    recorded, _ = captured(step)
    for _ in range(4):
        recorded(batch())
    before = weight.tolist()
    with pytest.raises(TinygradBNError, match="OneCycleLR"):
        recorded(batch())
    assert weight.tolist() == before


# Threads


def test_another_thread_reads_meanwhile() -> None:
    seen: list[Any] = []
    elsewhere = batch(7.0, 8.0)

    def step(x: tg.Tensor) -> tg.Tensor:
        other = threading.Thread(target=lambda: seen.append(elsewhere.tolist()))
        other.start()
        other.join()
        return x * 2.0

    recorded, _ = captured(step)
    for _ in range(3):
        assert recorded(batch()).tolist() == [2.0, 4.0]
    assert seen == [[7.0, 8.0]] * 2


def test_calls_of_several_threads() -> None:
    recorded, _ = captured(lambda x: x * x + x)
    found: dict[int, list[list[float]]] = {}

    def work(number: int) -> None:
        found[number] = [recorded(batch(number, i)).tolist() for i in range(10)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: [[n * n + n, i * i + i] for i in range(10)] for n in range(4)}


def test_optimisers_whose_numbers_would_stay_the_same_are_refused(emulated_gpu: ModuleType) -> None:
    device = get_device("cuda")
    device.kernels = Kernels(device)
    weight = batch(3.0, 4.0).requires_grad_()
    for rule in (optim.SGD([weight], lr=0.5), optim.Adam([weight], lr=0.5)):

        def step(x: tg.Tensor, rule: Any = rule) -> None:
            weight.grad = x
            rule.step()

        recorded, _ = captured(step)
        recorded(batch())
        with pytest.raises(CaptureError, match=r"in (sgd|adam)_all: .* give the optimiser a group for each dtype"):
            recorded(batch())
