"""GPUs, streams and memory in PyTorch's words, on emulated GPUs; and what they say where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest
import stand_in

import tinygrad_bn as tg
from tinygrad_bn.backend import device
from tinygrad_bn.errors import ArgumentError, DeviceError, DTypeError


@pytest.fixture
def two_gpus() -> Iterator[ModuleType]:
    with stand_in.emulated_gpu(count=2) as cupy:
        yield cupy


def test_what_there_is(two_gpus: ModuleType) -> None:
    assert tg.cuda.is_available() is True
    assert tg.cuda.device_count() == 2
    properties = tg.cuda.get_device_properties("cuda:1")
    assert (properties.major, properties.minor) == (9, 0)
    assert properties.total_memory > properties.multi_processor_count > 0
    assert tg.cuda.get_device_name() == tg.cuda.get_device_name(1) == properties.name == "emulated GPU"
    tg.cuda.synchronize()
    for missing in ("cuda:2", 2):
        with pytest.raises(DeviceError, match="an index below 2"):
            tg.cuda.synchronize(missing)
    with pytest.raises(DeviceError, match=r"^in cuda: expected a GPU: 'cuda' or 'cuda:N', got 'cpu'"):
        tg.cuda.synchronize("cpu")


def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> int:
        raise RuntimeError

    with stand_in.emulated_gpu() as cupy:
        monkeypatch.setattr(cupy.cuda.runtime, "getDeviceCount", lambda: 0)
        monkeypatch.setattr(device, "_devices", {"cpu": tg.get_device("cpu")})
        assert tg.cuda.is_available() is False
        assert tg.cuda.device_count() == 0
        for call in (
            tg.cuda.synchronize,
            tg.cuda.current_stream,
            tg.cuda.memory_allocated,
            tg.cuda.memory_summary,
            tg.cuda.empty_cache,
            tg.cuda.get_device_name,
            tg.cuda.Stream,
            tg.cuda.Event,
        ):
            with pytest.raises(DeviceError, match="expected an NVIDIA GPU, got a driver that sees none"):
                call()


def test_work_goes_to_the_chosen_stream(two_gpus: ModuleType) -> None:
    default = tg.cuda.current_stream(1)
    mine = tg.cuda.Stream("cuda:1")
    assert mine != default
    assert default == tg.cuda.current_stream("cuda:1")
    assert {default, mine, tg.cuda.current_stream(1)} == {default, mine}
    with tg.cuda.stream(mine):
        assert tg.cuda.current_stream(1) == mine
        x = tg.ones(2, device="cuda:1") * 3.0
        tg.ones(2, device="cuda:0")  # another GPU becomes the current one
        assert tg.cuda.current_stream(0) != mine
    assert tg.cuda.current_stream(1) == default
    assert tg.cuda.current_stream(0) == tg.cuda.current_stream()
    default.wait_stream(mine)
    assert x.tolist() == [3.0, 3.0]
    assert "device='cuda:1'" in repr(mine)
    with pytest.raises(DTypeError, match="expected a Stream"), tg.cuda.stream("cuda:1"):  # type: ignore[arg-type]
        pass


def test_the_stream_comes_back_after_an_error(two_gpus: ModuleType) -> None:
    default = tg.cuda.current_stream()
    with pytest.raises(ZeroDivisionError), tg.cuda.stream(tg.cuda.Stream()):
        raise ZeroDivisionError
    assert tg.cuda.current_stream() == default


def test_events(two_gpus: ModuleType) -> None:
    start, end = tg.cuda.Event(enable_timing=True), tg.cuda.Event(enable_timing=True)
    start.record()
    tg.ones(100, device="cuda") + 1.0
    end.record()
    end.synchronize()
    assert end.query()
    assert 0.0 < start.elapsed_time(end) < 10_000.0
    with pytest.raises(ArgumentError, match="enable_timing=True"):
        start.elapsed_time(tg.cuda.Event())
    other = tg.cuda.Stream(priority=-1)
    start.wait(other)
    assert other.record_event().query()
    other.synchronize()
    assert other.query()


def test_memory(two_gpus: ModuleType) -> None:
    tg.cuda.empty_cache()
    before = tg.cuda.memory_allocated()
    x = tg.zeros(2**18, device="cuda")
    assert tg.cuda.memory_allocated() - before == 2**20
    assert tg.cuda.memory_reserved() >= tg.cuda.memory_allocated()
    del x
    assert tg.cuda.memory_allocated() == before
    assert tg.cuda.memory_reserved() >= before + 2**20
    tg.cuda.empty_cache()
    assert tg.cuda.memory_reserved() == before
    free, total = tg.cuda.mem_get_info()
    assert 0 < free < total
    summary = tg.cuda.memory_summary("cuda:1")
    assert summary.startswith("cuda:1: emulated GPU\n")
    assert f"{total / 2**20:.1f} MiB" in summary


def test_the_default_device_is_meant(two_gpus: ModuleType) -> None:
    assert tg.cuda.current_stream().device.name == "cuda:0"
    before = tg.get_default_device()
    tg.set_default_device("cuda:1")
    try:
        assert tg.cuda.current_stream().device.name == "cuda:1"
    finally:
        tg.set_default_device(before)
