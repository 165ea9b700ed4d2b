"""`make gpu-check` without a GPU: every part is gone through, with figures that are made up or mean nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

import tinygrad_bn as tg
from benchmarks.arrays import make_arrays, save_arrays
from benchmarks.environments import ROOT
from benchmarks.gpu import benching, discovering, testing, workloads
from benchmarks.gpu.budget import Budget
from benchmarks.gpu.contestants import contestants
from benchmarks.gpu.discovering import Discovery
from benchmarks.gpu.discovery import Found, Item
from benchmarks.gpu.discovery.convolution import shapes
from benchmarks.gpu.discovery.listed import ITEMS
from benchmarks.gpu.place import Place, error_of
from benchmarks.gpu.plan import Task, run_all
from benchmarks.gpu.record import Record, Records
from benchmarks.gpu.report import as_markdown
from benchmarks.gpu.worker_discovery import find_out
from benchmarks.gpu.worker_ours import OursOnGpu
from benchmarks.gpu.worker_torch import TorchOnGpu
from benchmarks.protocol import Worker
from benchmarks.serving import Server
from benchmarks.timing import Outcome, deviation
from benchmarks.workloads import Network


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    """Workers set what holds for their whole process; here they share it with other tests."""
    device, clock, precision = tg.get_default_device(), tg.get_cudnn_benchmark(), tg.get_float32_matmul_precision()
    theirs = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32
    yield
    tg.set_default_device(device)
    tg.set_cudnn_benchmark(clock)
    tg.set_float32_matmul_precision(precision)
    torch.set_float32_matmul_precision(theirs[0])
    torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = theirs[1:]


# -- the plan ----------------------------------------------------------------------------------------------------


def task(name: str, run: Callable[[], Record], seconds: float = 1.0, priority: int = 1) -> Task:
    return Task("discovery", name, f"what {name} is", run, seconds, priority, name)


def passed(name: str) -> Callable[[], Record]:
    return lambda: Record("discovery", name, name, "pass", "fine")


def test_the_most_important_comes_first_and_what_fails_does_not_stop_the_others() -> None:
    def broken() -> Record:
        raise RuntimeError("out of order\nand more")

    kept: list[Record] = []
    tasks = [
        task("late", passed("late"), priority=3),
        task("broken", broken, priority=0),
        task("early", passed("early")),
    ]
    run_all(tasks, Budget(None), kept.append)
    assert [(record.name, record.status) for record in kept] == [
        ("broken", "fail"),
        ("early", "pass"),
        ("late", "pass"),
    ]
    assert kept[0].line == "RuntimeError: out of order"
    assert "in broken" in kept[0].trace


def test_what_does_not_fit_is_left_out_and_named() -> None:
    kept: list[Record] = []
    tasks = [task("long", passed("long"), seconds=100.0), task("short", passed("short"), seconds=5.0)]
    run_all(tasks, Budget(1.0), kept.append)
    assert [(record.name, record.status) for record in kept] == [("long", "skip"), ("short", "pass")]
    assert kept[0].line == "left out: no time for what takes about 100 s"
    assert "left out for want of time: discovery what long is" in as_markdown(_records(kept))


def _records(kept: list[Record]) -> Records:
    records = Records(Path("/dev/null/unused"))
    for record in kept:
        records._keep(record)
    return records


def test_a_budget_counts_down() -> None:
    assert Budget(None).at_most(900.0) == 900.0
    assert Budget(None).allows(1e9)
    assert 40.0 < Budget(1.0).at_most(900.0) <= 45.0  # some seconds are kept for writing
    assert Budget(0.1).at_most(900.0) == 1.0
    assert not Budget(0.1).allows(0.0)


def test_records_outlive_a_run_and_later_ones_take_the_place_of_earlier_ones(tmp_path: Path) -> None:
    path = tmp_path / "gpu" / "found.json"
    first = Records(path)
    first.add(Record("discovery", "card", "the card", "fail", "none"))
    first.add(Record("bench", "tiny", "tiny", "pass", "fast", data={"ours": 1.0}))
    assert len(json.loads(path.read_text())) == 2
    again = Records(path)
    again.add(Record("discovery", "card", "the card", "pass", "there"))
    assert [(record.name, record.line) for record in Records(path).all] == [("card", "there"), ("tiny", "fast")]
    assert again.data_of("bench", "tiny") == {"ours": 1.0}
    assert again.data_of("bench", "nothing") == {}


# -- discovery ---------------------------------------------------------------------------------------------------

SMALL = Place("cpu", "cpu", small=True)
QUICK = (
    "versions",
    "copying",
    "conv",
    "repeat",
    "capture",
    "scaling",
    "updates",
    "dlpack-torch",
    "loading",
    "conv-tf32",
)
ON_THE_EMULATED_GPU = ("card", "cupy", "provider", "compiler", "conv", "copying", "capture", "updates", "conv-bfloat16")


@pytest.mark.parametrize("name", QUICK)
def test_items_find_something_out(name: str) -> None:
    answer = find_out(name, SMALL)
    assert answer["status"] == "pass", answer
    assert answer["line"]
    json.dumps(answer, allow_nan=False)


@pytest.mark.parametrize("name", ON_THE_EMULATED_GPU)
@pytest.mark.usefixtures("emulated_gpu")
def test_items_find_something_out_on_a_gpu(name: str) -> None:
    answer = find_out(name, Place("cuda", "cpu", small=True))
    assert answer["status"] == "pass", answer
    json.dumps(answer, allow_nan=False)


def test_what_is_not_there_is_skipped_and_what_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_out("cudnn", SMALL)["status"] == "skip"

    def wrong(place: Place) -> Found:
        return Found("off by 1", passed=False)

    def broken(place: Place) -> Found:
        raise ValueError("out of order")

    monkeypatch.setitem(ITEMS, "wrong", Item("wrong", "", wrong))
    monkeypatch.setitem(ITEMS, "broken", Item("broken", "", broken))
    assert find_out("wrong", SMALL) == {"status": "fail", "line": "off by 1", "data": {}, "trace": ""}
    answer = find_out("broken", SMALL)
    assert (answer["status"], answer["line"]) == ("fail", "ValueError: out of order")
    assert "in broken" in answer["trace"]


def test_an_item_that_ends_its_process_does_not_take_the_others_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """
import os
from benchmarks.serving import serve_answers
def answer(request):
    if request["do"] == "deadly":
        os.abort()
    return {"status": "pass", "line": request["do"], "data": {}, "trace": ""}
serve_answers(answer)
"""
    monkeypatch.setattr(
        discovering,
        "start_worker",
        lambda module, log: Worker([sys.executable, "-c", script], {"PATH": ""}, ROOT, log),
    )
    kept: list[Record] = []
    with Discovery("cpu", tmp_path, Budget(None)) as discovery:
        items = [Item(name, name, lambda place: Found("")) for name in ("one", "deadly", "two")]
        run_all([discovery.task(item) for item in items], Budget(None), kept.append)
    assert [(record.name, record.status) for record in kept] == [("one", "pass"), ("deadly", "fail"), ("two", "pass")]
    assert kept[1].line.startswith("the worker ended")


def test_convolutions_have_the_shapes_of_the_networks() -> None:
    found = shapes()
    titles = list(found)
    assert titles[:4] == ["3x3 64-64 32x32", "3x3 3-64 32x32", "3x3 512-512 4x4", "3x3 1-32 28x28"]
    assert {"depthwise 3x3 512-512 4x4", "1x1 512-512 4x4", "3x3 16-32 32x32 stride 2"} <= {*titles}
    assert len({*found.values()}) == len(found)


def test_calls_that_take_turns_are_timed() -> None:
    turns: list[int] = []
    calls = [lambda: turns.append(0), lambda: turns.append(1)]
    assert 0.0 < SMALL.seconds(calls) < 1e-3
    assert turns[:4] == [0, 1, 0, 1]
    assert SMALL.replayed_seconds([lambda: None]) > 0.0
    assert error_of([1.0, 2.0], np.array([1.0, 1.0])) == pytest.approx(0.5**0.5)


# -- bench -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [workload.name for workload in workloads.REHEARSED])
def test_ours_and_pytorch_do_the_same_work(name: str, tmp_path: Path) -> None:
    workload = workloads.find(name)
    save_arrays(tmp_path / "arrays.npz", make_arrays(workload))
    request = {"do": "prepare", "workload": name, "arrays": str(tmp_path / "arrays.npz")}
    frameworks = [OursOnGpu("eager", "cpu"), OursOnGpu("captured", "cpu"), TorchOnGpu("channels-last", "cpu")]
    servers = [Server(framework, workloads.find) for framework in frameworks]
    results = [server.answer(request)["results"] for server in servers]
    for found in results[1:]:
        assert deviation(found, results[0], isinstance(workload, Network)) <= workloads.tolerance_of(workload)
    for server in servers:
        (seconds,) = server.answer({"do": "time", "samples": 1, "inner": 1})["seconds"]
        assert seconds > 0.0


def test_the_emulated_gpu_does_the_same_work_as_the_cpu(emulated_gpu: object, tmp_path: Path) -> None:
    workload = workloads.find("tiny-norm")
    save_arrays(tmp_path / "arrays.npz", make_arrays(workload))
    request = {"do": "prepare", "workload": "tiny-norm", "arrays": str(tmp_path / "arrays.npz")}
    results = [
        Server(OursOnGpu(variant, device), workloads.find).answer(request)["results"]
        for variant, device in (("captured", "cuda"), ("eager", "cpu"))
    ]
    np.testing.assert_allclose(*results, rtol=1e-5)


def test_everybody_has_a_process_of_this_interpreter() -> None:
    names = [contestant.name for contestant in contestants("cuda")]
    assert names[:2] == ["ours", workloads.CAPTURED]
    assert {*names[2:]} == {*workloads.EAGER, *workloads.COMPILED, *workloads.REPLAYED}
    without = [contestant.name for contestant in contestants("cuda", workloads.COMPILED)]
    assert {*names} - {*without} == {*workloads.COMPILED}


def test_workloads_are_found_by_name_and_have_the_bars_of_the_project() -> None:
    everything = (*workloads.NETWORKS, *workloads.NORMS, *workloads.SINGLE, *workloads.REHEARSED)
    assert all(workloads.find(workload.name) is workload for workload in everything)
    bars = {network.name: network.bars for network in workloads.NETWORKS if network.bars}
    assert bars["small-cnn-28-convention-relu-tf32"] == {"eager": 0.4, "compile": 0.8}
    assert all(
        bars[f"{vgg}-{p}"] == {"eager": 0.8, "compile": 1.0} for vgg in ("vgg11", "vgg16") for p in workloads.PRECISIONS
    )
    assert bars["resnet20-tf32"] == bars["mobilenet-tf32"] == {"eager": 0.6, "compile": 1.0}
    assert all(network.batch == 128 for network in workloads.NETWORKS)


def test_bytes_of_a_norm() -> None:
    float32, bfloat16 = workloads.find("batch_norm-relu-float32"), workloads.find("batch_norm-relu-bfloat16")
    tensor = 128 * 64 * 32 * 32 * 4
    assert workloads.bytes_of(float32) == (5 * tensor, 8 * tensor)
    assert workloads.bytes_of(bfloat16) == (5 * tensor // 2, 8 * tensor // 2)


# -- tests -------------------------------------------------------------------------------------------------------


def test_what_pytest_reports_is_counted(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        """<testsuites><testsuite>
        <testcase classname="a" name="good"/>
        <testcase classname="a" name="bad"><failure message="assert 1 == 2">text</failure></testcase>
        <testcase classname="a" name="torn"><error message="no fixture">text</error></testcase>
        <testcase classname="a" name="away"><skipped message="about the CPU alone"/></testcase>
        </testsuite></testsuites>"""
    )
    record = testing._told("nn", "tests/nn", report)
    assert (record.status, record.line) == ("fail", "1 passed, 2 failed, 1 skipped")
    assert [failure["test"] for failure in record.data["failures"]] == ["a::bad", "a::torn"]
    assert record.data["skipped"] == {"about the CPU alone": 1}
    assert "`a::bad`: assert 1 == 2" in as_markdown(_records([record]))


def test_all_folders_of_tests_that_compute_are_run() -> None:
    folders = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("**/test_*.py"))}
    assert folders - {*testing.FOLDERS} == {"benchmarks", "examples"}
    assert not {*testing.FOLDERS} - folders


# -- the report --------------------------------------------------------------------------------------------------


def made_up(name: str, seconds: dict[str, float]) -> Record:
    """A record of figures that nobody measured."""
    outcomes = {who: Outcome(rounds=[time] * 3, results=[1.0], deviation=0.0) for who, time in seconds.items()}
    return Record("bench", name, name, "pass", "", data={who: benching._numbers(o) for who, o in outcomes.items()})


def test_the_report_says_which_bars_are_met() -> None:
    tensors = workloads.bytes_of(workloads.find("batch_norm-relu-float32"))[1]
    records = _records(
        [
            Record("run", "run", "the run", "pass", "", data={"card": "a made-up card", "date": "2000-01-01"}),
            Record("discovery", "copying", "copy bandwidth", "pass", "1 TB/s", data={"bytes_per_second": 1e12}),
            made_up(
                "small-cnn-28-convention-relu-tf32",
                {
                    "ours": 0.5,
                    "ours-captured": 0.3,
                    "torch-eager": 1.2,
                    "torch-channels-last": 1.0,
                    "torch-compile": 0.25,
                },
            ),
            made_up("batch_norm-relu-float32", {"ours": 2.0, "ours-captured": tensors / 0.8e12, "torch-eager": 1.0}),
        ]
    )
    text = as_markdown(records)
    assert text.startswith("# a made-up card, 2000-01-01\n")
    bars = text.split("## The bars")[1].split("##")[0]
    small, norm = (
        next(line for line in bars.splitlines() if title in line) for title in ("SmallCNN", "batch_norm, relu")
    )
    assert "0.30 (<= 0.4 pass)" in small
    assert "1.20 (<= 0.8 miss)" in small
    assert "(<= 0.5 pass)" in norm
    assert "0.80 (>= 0.7 pass)" in norm
    assert bars.count("not measured") > 20
    assert "1.25 TB/s" not in text
    widths = {len(line) for line in bars.strip().splitlines()}
    assert len(widths) == 1  # aligned


def test_who_did_other_work_is_marked_and_not_compared() -> None:
    record = made_up("vgg11-tf32", {"ours": 1.0, "torch-eager": 0.1})
    record.data["torch-eager"]["deviation"] = "infinite"
    text = as_markdown(_records([record]))
    assert "other results" in text
    assert "10.00" not in text


def test_a_failure_is_shown_with_its_trace() -> None:
    record = Record("discovery", "conv", "a convolution", "fail", "ValueError: no", trace="Traceback: here")
    text = as_markdown(_records([record]))
    assert "* FAIL a convolution (0.0 s): ValueError: no" in text
    assert "```\nTraceback: here\n```" in text
    assert "0 pass, 1 fail, 0 skipped" in text


# -- the command -------------------------------------------------------------------------------------------------


def command(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_without_a_gpu_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    done = command()
    assert done.returncode == 1
    assert "nothing to be found out without a GPU: in device 'cuda:0': expected" in done.stderr
    assert command("--only", "nonsense").returncode == 2


def test_a_rehearsal_writes_a_report(tmp_path: Path) -> None:
    done = command("--rehearsal", "--only", "discovery", "--minutes", "0.5", "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (report,) = tmp_path.glob("*-rehearsal-on-the-cpu.md")
    text = report.read_text()
    assert "PASS versions" in text
    assert "left out for want of time: discovery" in text
    names: list[Any] = [record["name"] for record in json.loads(report.with_suffix(".json").read_text())]
    assert names[0] == "run"
    assert {*ITEMS} == {*names[1:]}
