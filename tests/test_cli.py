"""The command line as a user meets it: one line per error, exit codes, and what each command writes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import stand_in

from tinygrad_bn import cli
from tinygrad_bn.backend import device
from tinygrad_bn.errors import DeviceError
from tinygrad_bn.kernels.cuda import libraries

pytest.importorskip("scipy")
pytest.importorskip("matplotlib")

TINY = ["compare", "--dataset", "synthetic", "--width", "2", "--epochs", "1", "--batch-size", "100"]


def run(*arguments: str) -> int:
    try:
        return cli.main(list(arguments))
    except SystemExit as end:
        return int(end.code or 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compare", "--activations", "tahn"], ["did you mean 'tanh'", "softsign"]),
        (["compare", "--orders", "convention,swop"], ["did you mean 'swap'"]),
        (["compare", "--model", "small"], ["small_cnn", "vgg16"]),
        (["compare", "--dataset", "imagenet"], ["fashion_mini", "cifar10"]),
        (["compare", "--epochs", "0"], ["epochs of at least 1, got 0"]),
        (["compare", "--epochs", "few"], ["--epochs", "few"]),
        (["compare", "--seeds", "a"], ["a number of seeds (6) or the seeds themselves (3,5,8)", "'a'"]),
        (["compare", "--seeds", "0"], ["seeds to be at least one"]),
        (["compare", "--lr", "-1"], ["learning_rate above 0"]),
        (["compare", "--device", "cuda:99", "--out", "never"], ["cuda:99"]),
        (["compare", "--jobs", "-2", "--out", "never"], ["jobs of at least 0"]),
        (["compare", "--colour", "red"], ["--colour", "see tinygrad-bn compare --help"]),
        (["compare", "--vary", "lr=1", "--vary", "lr=2"], ["learning_rate twice"]),
        (["compare", "--cluster", "tcp://127.0.0.1"], ["tcp://host:8786"]),
        (["report", "a", "--compare", "a", "b"], ["folders, or --compare A B, got both"]),
        (["report", "a", "./a"], ["a twice"]),
        (["report", "a", "-o", "x.pdf"], ["ends in .html"]),
        (["report", "nowhere"], ["config.json"]),
        (["graph", "small_cnn", "-o", "picture.bmp"], ["svg, png, pdf, dot, netron.dot, html, json"]),
        (["graph", "small_cnn", "--images", "0"], ["images of at least 1, got 0"]),
        (["graph", "small_cnn", "--diff", "convention", "swop"], ["did you mean 'swap'"]),
        (["graph", "small_cnn", "--colour-by", "taste"], ["--colour-by", "saturation"]),
        (["graph", "small_cnn", "--expand", "batchnorm"], ["did you mean 'batch_norm'"]),
        (["graph", "small_cnn", "--diff", "convention", "swap", "--costs", "-o", "x.svg"], ["--diff, got --costs"]),
        (["graph", "small_cnn", "--theme", "dark", "-o", "x.html"], ["switches of its own", "--theme"]),
        (["graph", "small_cnn", "--no-checks"], ["got --no-checks"]),
        (["graph", ".", "--width", "3"], ["the folder of a comparison, got --width"]),
        (["graph", "small_cmn"], ["did you mean 'small_cnn'"]),
        (["train"], ["compare"]),
        ([], ["COMMAND"]),
    ],
)
def test_wrong_usage_is_one_line_on_stderr_and_exit_code_2(
    arguments: list[str],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("tinygrad-bn")
    assert err.count("\n") == 1
    for word in words:
        assert word in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [[], ["compare"], ["report"], ["graph"], ["data"], ["info"]])
def test_help_is_there_and_names_the_choices(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*command, "--help") == 0
    text = capsys.readouterr().out
    assert "usage: tinygrad-bn" in text
    if command == ["compare"]:
        for word in (
            "--seeds",
            "--lr",
            "--weight-decay",
            "softsign",
            "fashion_mini",
            "default: convention, swap",
            "--jobs",
        ):
            assert word in text


def test_compare_then_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run(*TINY, "--activations", "tanh", "--seeds", "2", "--jobs", "0", "--out", str(out)) == 0
    text = capsys.readouterr().out
    assert "[4/4] tanh swap seed 1: test accuracy" in text
    assert "95 % interval" in text
    assert f"page: {out / 'report.html'}" in text
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/svg+xml;base64,") == 2

    (out / "report.html").unlink()
    assert run("report", str(out)) == 0
    assert (out / "report.html").read_text(encoding="utf-8") == page


def test_a_failed_run_makes_the_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(folder: object, **how: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr("tinygrad_bn.lab.executors.base.train_in_folder", fail)
    monkeypatch.setattr("tinygrad_bn.lab.main_job.draw_graphs", lambda comparison: None)
    assert run(*TINY, "--activations", "tanh", "--seeds", "1", "--jobs", "0", "--out", str(tmp_path / "out")) == 1
    text = capsys.readouterr().out
    assert "FAILED: MemoryError: no room" in text
    assert "2 runs without a result" in text


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("x", encoding="utf-8")
    assert run(*TINY, "--out", str(file / "below")) == 2
    err = capsys.readouterr().err
    assert "Not a directory" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf", "dot"])
def test_graph_writes_each_format(suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"graph.{suffix}"
    assert run("graph", "mlp", "--order", "swap", "--activation", "tanh", "--dataset", "digits", "-o", str(path)) == 0
    assert capsys.readouterr().out == f"{path}\n"
    start = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF", "dot": b"digraph"}[suffix]
    assert path.read_bytes().lstrip().startswith(start)


MLP = ["graph", "mlp", "--activation", "tanh", "--dataset", "digits", "--images", "4"]


def test_graph_writes_a_document_with_everything_that_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    assert run(*MLP, "--order", "swap", "-o", str(path)) == 0
    [graph] = json.loads(path.read_text(encoding="utf-8"))["graphs"]
    assert any(node["derivative_of"] is not None for node in graph["nodes"])
    [frame] = graph["frames"]
    assert max(o["gradient_error"] for o in frame["nodes"].values() if o["gradient_error"] is not None) < 1e-5
    assert "#cross_entropy" in frame["nodes"]
    page = tmp_path / "graph.html"
    assert run(*MLP, "--order", "swap", "-o", str(page)) == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize("suffix", ["json", "html", "svg"])
def test_graph_holds_two_orders_against_each_other(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"diff.{suffix}"
    assert run(*MLP, "--diff", "convention", "swap", "-o", str(path)) == 0
    text = path.read_text(encoding="utf-8")
    if suffix == "json":
        found = json.loads(text)
        assert found["diff"]["summary"] == "2 batch_norm moved from before tanh to after it"
        assert [graph["name"] for graph in found["graphs"]] == ["convention", "swap"]
    assert "2 batch_norm moved" in text


def test_graph_of_a_comparison_replays_its_trainings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run(*TINY, "--activations", "tanh", "--seeds", "2", "--jobs", "0", "--out", str(out)) == 0
    path = tmp_path / "graphs.json"
    assert run("graph", str(out), "-o", str(path)) == 0
    found = json.loads(path.read_text(encoding="utf-8"))
    assert [graph["name"] for graph in found["graphs"]] == ["convention", "swap"]
    for graph in found["graphs"]:
        assert [frame["name"] for frame in graph["frames"]] == ["start", "epoch 1"]
        keys = {node["key"] for node in graph["nodes"]}
        keys |= {parameter["key"] for node in graph["nodes"] for parameter in node["parameters"]}
        assert all(set(frame["nodes"]) <= keys for frame in graph["frames"])
        mean, low, high = graph["frames"][1]["nodes"]["features.0.norm#batch_norm"]["seeds"]["saturation"]
        assert low <= mean <= high
    assert 'id="graph-page"' in (out / "report.html").read_text(encoding="utf-8")
    assert run("graph", str(out), "-o", str(tmp_path / "x.svg")) == 2
    assert run("graph", str(tmp_path)) == 2
    capsys.readouterr()


def test_graph_draws_several_orders_and_the_same_bytes_without_times(tmp_path: Path) -> None:
    drawn = tmp_path / "orders.svg"
    assert run(*MLP, "--orders", "convention,swap", "-o", str(drawn)) == 0
    text = drawn.read_text(encoding="utf-8")
    assert ">convention<" in text
    assert ">swap<" in text
    pages = [tmp_path / name for name in ("first.html", "second.html")]
    for page in pages:
        assert run(*MLP, "--no-checks", "-o", str(page)) == 0
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_graph_writes_what_netron_reads(tmp_path: Path) -> None:
    path = tmp_path / "graph.netron.dot"
    assert run(*MLP, "-o", str(path)) == 0
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_text(encoding="utf-8").startswith("digraph")


def test_graph_without_an_engine_says_in_one_line_what_it_wrote_instead(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['pygraphviz'] = None; from tinygrad_bn.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *MLP, "-o", "graph.svg"],
        env={**os.environ, "PATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "graph.html\n")
    assert done.stderr.startswith("tinygrad-bn graph: no picture was drawn")
    assert done.stderr.count("\n") == 1
    assert (tmp_path / "graph.html").is_file()


def test_graph_opens_modules_and_operations(tmp_path: Path) -> None:
    closed, opened = tmp_path / "closed.dot", tmp_path / "opened.dot"
    assert run("graph", "mlp", "--depth", "1", "-o", str(closed)) == 0
    assert run("graph", "mlp", "--expand", "batch_norm", "-o", str(opened)) == 0
    assert closed.read_text(encoding="utf-8").count(" -> ") < opened.read_text(encoding="utf-8").count(" -> ")
    assert opened.read_text(encoding="utf-8").count("rsqrt") >= 2


def test_data_lists_the_sets_with_their_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data") == 0
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if line}
    assert lines["fashion_mini"][1:5] == ["6000", "2000", "1x28x28", "10"]
    assert lines["digits"][1:4] == ["1437", "360", "1x8x8"]
    assert "cifar100" in lines


def test_data_says_where_a_full_set_would_come_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TINYGRAD_BN_DATA", str(tmp_path))
    monkeypatch.setattr("tinygrad_bn.data.full_sets.find_file", lambda folders, names: None)
    assert run("data") == 0
    assert f"not here; fetched into {tmp_path / 'cifar10'} when first used" in capsys.readouterr().out


def test_info_tells_versions_devices_kernels_and_extras(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info") == 0
    text = capsys.readouterr().out
    for word in ("numpy", "cpu", "cuda", "reference", "threads", "extras", "tinygrad_bn"):
        assert word in text


def test_info_tells_of_each_gpu(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with stand_in.emulated_gpu(count=2) as cupy:
        assert run("info") == 0
        text = capsys.readouterr().out
        for name in ("cuda:0", "cuda:1"):
            assert f"{name}  emulated GPU, 16 GiB, compute capability 9.0; CUDA 13.0, driver for 13.0; CuPy" in text
        monkeypatch.setattr(cupy.cuda.nvrtc, "getSupportedArchs", lambda: [100])
        monkeypatch.delitem(device._devices, "cuda:1")
        assert run("info") == 0
        assert "expected a GPU of compute capability 10.0" in capsys.readouterr().out


def test_info_says_what_a_gpu_has_to_do_without(
    emulated_gpu: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> object:
        raise DeviceError("no cuDNN here")

    monkeypatch.setattr(libraries, "load_cudnn", missing)
    assert run("info") == 0
    shown = capsys.readouterr().out.partition("kernels on the gpu")[2].partition("extras")[0]
    assert "conv2d" in shown.partition("reference:")[0]
    assert "without cuDNN: no cuDNN here" in shown
    assert "cuBLAS" not in shown


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tinygrad_bn", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_listen_to_ctrl_c,
    )


def _listen_to_ctrl_c() -> None:
    # A shell starts what runs in its background deaf to Ctrl-C, and children inherit that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for_line(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if word in line:
            return
    raise AssertionError(f"no line with {word!r}")


SEVERAL = [*TINY, "--activations", "tanh", "--seeds", "12", "--jobs", "2"]


def test_ctrl_c_exits_130_and_the_same_command_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(*SEVERAL, "--out", str(out))
    wait_for_line(process, "[ 2/24]")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (
        err.strip() == "interrupted; what is trained is kept: run the same command again to go on from the last epochs"
    )
    done = sorted(out.glob("runs/*/result.json"))
    assert 2 <= len(done) < 24
    for mark in done:
        assert "test_accuracy" in json.loads(mark.read_text(encoding="utf-8"))
    written = [mark.stat().st_mtime_ns for mark in done]

    again = start(*SEVERAL, "--out", str(out))
    text, err = again.communicate(timeout=120)
    assert (again.returncode, err) == (0, "")
    assert f"24 runs, {len(done)} already done" in text
    assert [mark.stat().st_mtime_ns for mark in done] == written


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are found through /proc")
def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    process = start("compare", "--epochs", "50", "--jobs", "2", "--out", str(tmp_path / "out"))
    try:
        deadline = time.monotonic() + 60
        while len(list((tmp_path / "out").glob("runs/*/env.json"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
        assert len(children) >= 2
    finally:
        process.kill()
        process.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while any(_is_alive(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [child for child in children if _is_alive(child)] == []


def _is_alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
