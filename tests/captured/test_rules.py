"""What a captured step may not do, and what it may: the same on the CPU and on a GPU, from the first call on."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn, optim
from tinygrad_bn.autograd import trace
from tinygrad_bn.backend import Generator, get_device
from tinygrad_bn.errors import ArgumentError, CaptureError, DeviceError, DTypeError, GraphError


@pytest.fixture(params=["cpu", "cuda"])
def where(request: pytest.FixtureRequest, gpu: ModuleType) -> str:
    name: str = request.param
    return name


def numbers(where: str, *values: float) -> tg.Tensor:
    return tg.tensor(values or (1.0, 2.0, 3.0), device=where)


READS: dict[str, Callable[[tg.Tensor], Any]] = {
    "item": lambda x: x.sum().item(),
    "tolist": lambda x: x.tolist(),
    "numpy": lambda x: x.numpy(),
    "array": lambda x: np.asarray(x),
    "float": lambda x: float(x[0]),
    "int": lambda x: int(x[0]),
    "bool": lambda x: 1 if x[0] > 0 else 0,
    "index": lambda x: [1, 2, 3, 4][x.argmax()],
    "str": lambda x: str(x),
    "repr": lambda x: f"{x!r}",
    "format": lambda x: f"{x[0]}",
    "cpu": lambda x: x.cpu(),
    "dlpack": lambda x: x.__dlpack__(),
    "bools as an index": lambda x: x[x > 1.0],
    "formatted by NumPy": lambda x: np.array2string(np.array(x)),
}


@pytest.mark.parametrize("name", READS)
def test_reading_is_refused_with_the_line(where: str, name: str) -> None:
    function = READS[name]
    step = tg.capture(lambda x: (x * 2.0, function(x * 2.0))[0], warmup=1)
    line = inspect.getsourcelines(function)[1]
    for _ in range(3):
        with pytest.raises(CaptureError) as raised:
            step(numbers(where))
        message = str(raised.value)
        assert f"{__file__}, line {line} (" in message
        assert inspect.getsource(function).strip() in message
        assert "expected values to stay on the device" in message
    assert not step.graphs


def test_the_line_is_that_of_the_step_not_of_its_caller(where: str) -> None:
    def step(x: tg.Tensor) -> tg.Tensor:
        loss = (x * x).sum()
        print(loss)
        return loss

    with pytest.raises(CaptureError, match=r"test_rules\.py, line \d+ \(print\(loss\)\): .*got one that is printed"):
        tg.capture(step)(numbers(where))


def test_the_line_is_the_users_where_a_library_of_pythons_reads(where: str) -> None:
    for read in (lambda x: copy.deepcopy(x), lambda x: max([x[0], x[1]]), lambda x: copy.copy({1: copy.deepcopy(x)})):
        with pytest.raises(CaptureError, match=rf"^in a captured step, {__file__}, line \d+ "):
            tg.capture(read)(numbers(where))


WAITS: dict[str, Callable[[tg.cuda.Stream, tg.cuda.Event], Any]] = {
    "synchronize": lambda stream, event: tg.cuda.synchronize(),
    "stream": lambda stream, event: tg.cuda.stream(stream).__enter__(),
    "Event.record": lambda stream, event: event.record(),
    "Event.wait": lambda stream, event: event.wait(),
    "Event.query": lambda stream, event: event.query(),
    "Event.synchronize": lambda stream, event: event.synchronize(),
    "Event.elapsed_time": lambda stream, event: event.elapsed_time(event),
    "Stream.record_event": lambda stream, event: stream.record_event(),
    "Stream.wait_event": lambda stream, event: stream.wait_event(event),
    "Stream.wait_stream": lambda stream, event: stream.wait_stream(stream),
    "Stream.query": lambda stream, event: stream.query(),
    "Stream.synchronize": lambda stream, event: stream.synchronize(),
}


@pytest.mark.parametrize("name", WAITS)
def test_a_step_keeps_to_its_stream_and_waits_for_nothing(where: str, name: str) -> None:
    stream, event = tg.cuda.Stream(), tg.cuda.Event(enable_timing=True)
    step = tg.capture(lambda x: (WAITS[name](stream, event), x)[1], warmup=1)
    for _ in range(3):
        with pytest.raises(
            CaptureError, match=rf"test_rules\.py, line \d+ .*, got tg\.cuda\.{name}; use streams .* around"
        ):
            step(numbers(where))
    with tg.cuda.stream(stream):
        assert tg.capture(lambda x: x * 2.0)(numbers(where)).tolist() == [2.0, 4.0, 6.0]


def test_a_block_for_another_stream_is_refused_at_its_line(where: str) -> None:
    stream = tg.cuda.Stream()

    def step(x: tg.Tensor) -> tg.Tensor:
        with tg.cuda.stream(stream):
            return x * 2.0

    with pytest.raises(CaptureError, match=r"test_rules\.py, line \d+ \(with tg\.cuda\.stream\(stream\):\)"):
        tg.capture(step)(numbers(where))


REMEDIES: dict[str, tuple[Callable[[tg.Tensor], Any], str]] = {
    "one_hot": (lambda x: F.one_hot(x.astype("int64")), "pass num_classes"),
    "generator": (lambda x: x * float(Generator(0).uniform(())), "draw before the call and give the step a tensor"),
    "initialiser": (lambda x: nn.init.normal_(tg.zeros(3, device=str(x.device))), "draw before the call"),
    "mask": (lambda x: x[x > 0], "use tg.where"),
    "seed": (lambda x: tg.manual_seed(0), "set the seed before the call"),
    "array": (lambda x: x + tg.tensor(np.ones(3), device=str(x.device)), "give it to the step"),
    "array as an operand": (lambda x: x + np.ones(3, np.float32), "give it to the step"),
    "array on the left": (lambda x: np.ones(3, np.float32) * x, "give it to the step"),
    "array as a matrix": (lambda x: x @ np.ones((3, 2), np.float32), "give it to the step"),
    "array as a condition": (lambda x: tg.where(np.array([True, False, True]), x, 0.0), "give it to the step"),
    "array where": (lambda x: tg.where(x > 0, np.ones(3), x), "give it to the step"),
    "larger of arrays": (lambda x: tg.maximum(x, np.ones(3)), "give it to the step"),
    "array assigned": (lambda x: (x * 1).assign_(np.ones(3)), "give it to the step"),
    "array assigned to elements": (lambda x: (x * 1).__setitem__(slice(None), np.ones(3)), "give it to the step"),
    "array as an index": (lambda x: x[np.array([0, 1])], "give it to the step"),
    "array as a part of an index": (lambda x: x.unsqueeze(0)[0, np.array([0, 1])], "give it to the step"),
    "array as an index to assign to": (lambda x: (x * 1).__setitem__(np.array([0]), 1.0), "give it to the step"),
    "array as a gradient": (lambda x: (x.requires_grad_() * 2).backward(np.ones(3)), "give it to the step"),
    "list of arrays": (lambda x: tg.tensor([np.ones(3)] * 2, device=str(x.device)), "give it to the step"),
    "array as a parameter": (lambda x: nn.Parameter(np.ones(3)), "give it to the step"),
    "array by DLPack": (lambda x: tg.from_dlpack(np.ones(3)), "give it to the step"),
    "array of some device": (lambda x: tg.from_array(np.ones(3)), "give it to the step"),
    "array as a state": (
        lambda x: nn.PReLU().load_state_dict({"weight": np.ones(1, np.float32)}),
        "give it to the step",
    ),
    "saved": (lambda x: tg.interop.save_file({"x": x}, "never-written"), "save after the call"),
    "model saved": (lambda x: tg.interop.save_model(nn.Linear(1, 1), "never-written"), "save after the call"),
    "loaded": (lambda x: tg.interop.load_file("never-read"), "load before the call"),
    "array as a tensor": (lambda x: x + tg.Tensor(np.ones(3), device=str(x.device)), "give it to the step"),
    "shared array": (lambda x: tg.from_numpy(np.ones(3)), "give it to the step"),
    "loader": (lambda x: next(iter(tg.data.DataLoader((np.ones((2, 3)), [0, 1]), 1)))[0], "give it to the step"),
}


@pytest.mark.parametrize("name", REMEDIES)
def test_remedies(where: str, name: str) -> None:
    function, remedy = REMEDIES[name]
    with pytest.raises(CaptureError, match=f"test_rules.py.*{remedy}"):
        tg.capture(function)(numbers(where))


def test_settings_are_changed_by_schedules(where: str) -> None:
    """What the step's own code sets would stay as it was recorded."""
    weight = numbers(where).requires_grad_()
    rule = optim.Adam([weight], lr=0.5)
    schedule = optim.OneCycleLR(rule, 0.5, total_steps=20)
    for change in (
        lambda x: rule.param_groups[0].__setitem__("lr", 0.25),
        lambda x: rule.param_groups[0].update(lr=0.25),
        lambda x: rule.load_state_dict(rule.state_dict()),
    ):
        with pytest.raises(CaptureError, match=r"test_rules\.py, line \d+ .*got an assignment to 'lr'.*use LambdaLR"):
            tg.capture(change)(numbers(where))

    def step(x: tg.Tensor) -> None:
        schedule.step()

    captured, before = tg.capture(step, warmup=1), []
    for _ in range(4):
        before.append((rule.param_groups[0]["lr"], rule.param_groups[0]["betas"]))
        captured(numbers(where))
    assert len(set(before)) == 4
    rule.param_groups[0]["lr"] = 0.125
    assert copy.deepcopy(rule).param_groups[0]["lr"] == 0.125


def test_numbers_in_lists_and_numpys_scalars_are_constants(where: str) -> None:
    kept = tg.zeros(3, device=where)

    def step(x: tg.Tensor) -> tg.Tensor:
        kept[[0, 2]] = [5.0, 6.0]
        kept[np.int64(1)] = np.float32(7.0)
        return tg.where([True, False, True], x, 0.0)[[2, 1]] * np.float32(2.0)

    captured = tg.capture(step, warmup=1)
    for _ in range(3):
        assert captured(numbers(where)).tolist() == [6.0, 0.0]
        assert kept.tolist() == [5.0, 7.0, 6.0]


def test_the_remedy_for_averages_over_all_batches(where: str) -> None:
    layer = nn.BatchNorm1d(3, momentum=None).to(where)
    with pytest.raises(CaptureError, match=r"test_rules\.py.*give the layer a momentum"):
        tg.capture(lambda x: layer(tg.stack([x, x])))(numbers(where))


def test_other_devices_are_not_reached_from_inside(where: str, gpu: ModuleType) -> None:
    if where == "cpu":
        with pytest.raises(CaptureError, match=r"tensors on the device .* moved to cuda:0; move it before the call"):
            tg.capture(lambda x: x.to("cuda"))(numbers("cpu"))
    else:
        with pytest.raises(CaptureError, match="one that is moved to another device"):
            tg.capture(lambda x: x.to("cpu"))(numbers("cuda"))
    assert tg.capture(lambda x: x.to(where) * 2.0)(numbers(where)).tolist() == [2.0, 4.0, 6.0]


def test_messages_of_the_package_name_tensors_without_their_values(where: str) -> None:
    with pytest.raises(GraphError, match=r"in backward: expected a result that requires grad, got Tensor\(shape=\(\)"):
        tg.capture(lambda x: x.sum().backward())(numbers(where))


def test_reading_is_fine_before_and_after(where: str) -> None:
    def step(x: tg.Tensor) -> tg.Tensor:
        return x.sum()

    def failing(x: tg.Tensor) -> tg.Tensor:
        raise ValueError(x.shape)

    assert tg.capture(step)(numbers(where)).item() == 6.0
    with pytest.raises(ValueError, match="3"):
        tg.capture(failing)(numbers(where))
    assert numbers(where).tolist() == [1.0, 2.0, 3.0]
    assert Generator(0).uniform((1,)).shape == (1,)


ARGUMENTS: list[tuple[Callable[[str], tuple[Any, ...]], type[Exception], str]] = [
    (lambda where: (), CaptureError, "at least one tensor among the arguments, got none"),
    (lambda where: (1.0,), CaptureError, "at least one tensor"),
    (
        lambda where: (numbers(where), np.ones(2)),
        CaptureError,
        r"got ndarray as argument 2; give numbers .* tensor",
    ),
    (lambda where: (numbers(where), {"a": [bytearray()]}), CaptureError, r"got bytearray as argument 2\['a'\]\[0\]"),
    (lambda where: (numbers(where).requires_grad_(),), CaptureError, "arguments that need no gradient"),
    (lambda where: (numbers("cpu"), numbers("cuda")), DeviceError, "tensors on one device, got cpu and cuda:0"),
]


@pytest.mark.parametrize("number", range(len(ARGUMENTS)))
def test_arguments_that_are_refused(where: str, number: int) -> None:
    arguments, kind, message = ARGUMENTS[number]
    with pytest.raises(kind, match=rf"^in the captured step .*lambda.*: expected .*{message}"):
        tg.capture(lambda *args: None)(*arguments(where))


def test_named_arguments_are_named(where: str) -> None:
    with pytest.raises(CaptureError, match=r"got bytearray as there\[1\]"):
        tg.capture(lambda x, there: x)(numbers(where), there=(1.0, bytearray()))


def test_inputs_are_not_changed(where: str) -> None:
    x = numbers(where)
    for change in (
        lambda x: x.assign_(0.0),
        lambda x: x.__setitem__(0, 5.0),
        lambda x: x[1:].__setitem__(0, 5.0),
        lambda x: F.batch_norm(tg.zeros(2, 3, device=where), x, x, training=True),
    ):
        with pytest.raises(CaptureError, match=r"test_rules\.py, line \d+ .*inputs that stay as they are"):
            tg.capture(change)(x)
    assert x.tolist() == [1.0, 2.0, 3.0]


def test_what_is_done_to_an_input_stays_inside(where: str) -> None:
    """The step may ask for an input's gradient: it is an alias of the tensor that is given."""

    def step(x: tg.Tensor) -> tg.Tensor:
        x.requires_grad_()
        (x * x).sum().backward()
        return x.grad

    x, captured = numbers(where), tg.capture(step, warmup=1)
    for _ in range(4):
        assert captured(x).tolist() == [2.0, 4.0, 6.0]
    assert not x.requires_grad
    assert x.grad is None


@pytest.mark.parametrize("output", [1.5, "text", [1], {"a": {1}}, (None, {"b": [0.5]}), np.ones(1)], ids=repr)
def test_outputs_are_tensors(where: str, output: Any) -> None:
    with pytest.raises(CaptureError, match=r"tensors and None .*, got \w+ as the result.*; find it out after the call"):
        tg.capture(lambda x: output)(numbers(where))


def test_outputs_are_on_the_device_of_the_inputs(where: str) -> None:
    elsewhere = numbers("cuda" if where == "cpu" else "cpu")
    with pytest.raises(CaptureError, match=r"where the arguments are, got one on .* as the result\[1\]"):
        tg.capture(lambda x: (x, elsewhere))(numbers(where))


class Pair(NamedTuple):
    """Two things."""

    first: Any
    second: Any


def test_structures(where: str) -> None:
    def step(pair: Pair, /, factor: float, *rest: Any, **named: Any) -> dict[str, Any]:
        assert type(pair) is Pair
        assert type(rest[0]) is list
        total = pair.first * factor + pair.second["x"] + rest[0][0] + named["y"][1]
        return {"total": total, "none": None, "pair": Pair([total * 2.0], (pair.first,))}

    captured = tg.capture(step, warmup=1)
    for value in (1.0, 2.0, 3.0, 4.0):
        x = numbers(where, value)
        found = captured(Pair(x, {"x": x}), 10.0, [x], y=(None, x))
        assert list(found) == ["total", "none", "pair"]
        assert found["none"] is None
        assert type(found["pair"]) is Pair
        assert found["total"].tolist() == [13.0 * value]
        assert found["pair"].first[0].tolist() == [26.0 * value]
        assert found["pair"].second[0].tolist() == [value]
    assert len(captured.graphs) == (where == "cuda")


def test_other_values_of_arguments_are_other_steps(where: str) -> None:
    calls: list[Any] = []

    def step(x: tg.Tensor, factor: Any) -> tg.Tensor:
        calls.append(factor)
        return x * factor

    captured = tg.capture(step, warmup=1)
    for factor in (2, 2.0, True, 3):
        for _ in range(3):
            assert captured(numbers(where), factor).tolist() == [factor, 2.0 * factor, 3.0 * factor]
    if where == "cuda":
        assert len(captured.graphs) == 4
        assert calls == [2, 2, 2.0, 2.0, True, True, 3, 3]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Hashable ones, and one that is nobody's business."""

    rate: Any
    note: list[str] = dataclasses.field(default_factory=list, compare=False)


EQUAL_VALUES: dict[str, tuple[Any, Any]] = {
    "signs": (0.0, -0.0),
    "signs of NumPy's": (np.float32(0.0), np.float32(-0.0)),
    "signs of complex ones": (complex(0.0, 0.0), complex(0.0, -0.0)),
    "signs in a list": ([0.0], [-0.0]),
    "types": (True, 1),
    "dataclasses": (Settings(1), Settings(1.0)),
    "dataclasses of dataclasses": (Settings((Settings(0.0),)), Settings((Settings(-0.0),))),
    "sets": (frozenset({1}), frozenset({1.0})),
    "keys": ({1: None}, {True: None}),
    "keys that are tuples": ({(0.0, 1): None}, {(-0.0, 1): None}),
}


@pytest.mark.parametrize("name", EQUAL_VALUES)
def test_values_that_are_equal_and_not_the_same_are_other_steps(where: str, name: str) -> None:
    def step(x: tg.Tensor, value: Any) -> tg.Tensor:
        return x * float(len(repr(value)))

    captured = tg.capture(step, warmup=1)
    for _ in range(3):
        for value in EQUAL_VALUES[name]:
            assert repr(EQUAL_VALUES[name][0]) != repr(EQUAL_VALUES[name][1])
            assert captured(numbers(where, 1.0), value).item() == len(repr(value))
    assert len(captured.graphs) == (2 if where == "cuda" else 0)


def test_values_that_are_the_same_are_one_step(where: str) -> None:
    captured = tg.capture(lambda x, value: x * 2.0, warmup=1)
    for i in range(4):
        captured(numbers(where), {"a": (Settings(0.5, [str(i)]), frozenset({1.5}), float("nan"), np.float32("nan"))})
    assert [info.replays for info in captured.graphs] == ([2] if where == "cuda" else [])


def test_shapes_dtypes_and_modes_are_steps_of_their_own(where: str) -> None:
    weight = numbers(where).requires_grad_()

    def step(x: tg.Tensor) -> tg.Tensor:
        product = weight * x
        assert product.requires_grad is tg.is_grad_enabled()
        return product

    captured = tg.capture(step, warmup=1)
    for x in (numbers(where), tg.ones(2, 3, device=where), numbers(where).astype("float64")):
        for _ in range(2):
            for mode in (tg.no_grad, tg.enable_grad):
                with mode():
                    result = captured(x)
                assert (result.shape, result.dtype) == (x.shape, x.dtype)
                assert not result.requires_grad
    assert len(captured.graphs) == (6 if where == "cuda" else 0)


def test_outputs_can_be_kept(where: str) -> None:
    """Each call returns memory of its own, also for an input or a parameter that is returned as it is."""
    weight = tg.ones(3, device=where)

    def step(x: tg.Tensor) -> tuple[tg.Tensor, ...]:
        weight.assign_(weight * 2.0)
        return x, weight, weight[1:], x.sum()

    captured = tg.capture(step, warmup=1)
    kept = [captured(numbers(where, i, i, i)) for i in range(5)]
    for i, (x, power, part, total) in enumerate(kept):
        assert x.tolist() == [float(i)] * 3
        assert power.tolist() == [2.0 ** (i + 1)] * 3
        assert part.tolist() == [2.0 ** (i + 1)] * 2
        assert total.item() == 3.0 * i
        assert x.is_leaf
        x.assign_(9.0)
    assert kept[0][0].tolist() == [9.0] * 3


def test_one_within_another_is_a_part_of_it(where: str) -> None:
    weight = numbers(where).requires_grad_()

    @tg.capture
    def inner(x: tg.Tensor) -> tg.Tensor:
        return weight * x

    @tg.capture
    def outer(x: tg.Tensor) -> tg.Tensor:
        product = inner(x + 1.0)
        assert not product.requires_grad
        return product * 2.0

    for value in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0):
        assert outer(numbers(where, value, value, value)).tolist() == [2.0 * w * (value + 1.0) for w in (1, 2, 3)]
    assert not inner.graphs
    assert len(outer.graphs) == (where == "cuda")


def test_while_traced_it_is_the_plain_step(where: str) -> None:
    captured = tg.capture(lambda x: x * 2.0, warmup=1)
    for _ in range(3):
        with trace():
            assert captured(numbers(where))._node.op.name == "mul"
    assert not captured.graphs


def test_names_and_documentation_stay(where: str) -> None:
    def step(x: tg.Tensor) -> tg.Tensor:
        """Do nothing."""
        return x

    captured = tg.capture(step)
    assert captured.__name__ == "step"
    assert captured.__doc__ == "Do nothing."
    assert repr(captured) == "<the captured step test_names_and_documentation_stay.<locals>.step, 0 recordings>"


def test_what_cannot_be_captured() -> None:
    async def coroutine(x: tg.Tensor) -> tg.Tensor:
        return x

    def generator(x: tg.Tensor) -> Any:
        yield x

    for step in (3, coroutine, generator):
        with pytest.raises(DTypeError, match=r"^in capture: expected "):
            tg.capture(step)
    for warmup in (0, -1):
        with pytest.raises(ArgumentError, match=r"^in capture: expected warmup"):
            tg.capture(lambda x: x, warmup=warmup)
        with pytest.raises(ArgumentError, match=r"^in capture: expected warmup"):
            tg.capture(warmup=warmup)
    with pytest.raises(DTypeError, match=r"^in capture: expected warmup"):
        tg.capture(lambda x: x, warmup=1.5)


def test_no_recorder_means_plain_calls() -> None:
    assert get_device("cpu").recorder is None
