"""All that was found, as Markdown."""

from __future__ import annotations

from typing import Any

from .record import Record, Records
from .tables import Measured, conclusions, convolutions_table, kernels_table, norms_table, ratios_table, times_table
from .workloads import SETS

_RATIOS = """\
"Captured": the whole step as one CUDA graph. PyTorch counts with the better of its two memory layouts: "eager" with
`cudnn.benchmark`, "compile" with `mode="reduce-overhead"`. The bar is for the better of our two."""

_NORMS = f"""\
{SETS} sets of inputs take turns, so that no cache serves them. "Replayed": the kernels that PyTorch calls, as one CUDA
graph, so without Python, as ours are in "captured". Bandwidth: bytes over our captured time as a share of the bandwidth
at which this card copies, counting 5 tensors, the least that both passes must move, and 8, where each pass reads its
inputs twice: for sums, and for results."""

_SINGLE = """\
One forward and backward pass each, or one update. Where calls are neither captured nor replayed as a CUDA graph, Python
is part of the time."""


def as_markdown(records: Records) -> str:
    """Return the report of all records."""
    run = records.data_of("run", "run")
    measured = Measured(records)
    parts = [f"# {run.get('card', 'unknown card')}, {run.get('date', 'unknown date')}", _about(records, run)]
    if measured.networks or measured.operations:
        parts += ["## The bars", conclusions(measured)]
    if measured.networks:
        parts += ["## Training steps: our time over PyTorch's", _RATIOS, ratios_table(measured.networks)]
        parts += ["## Training steps: medians and quartiles", times_table(measured.networks)]
    if measured.norms:
        parts += ["## BatchNorm and an activation alone", _NORMS, norms_table(measured)]
    if measured.operations:
        parts += ["## Single operations: medians and quartiles", _SINGLE, times_table(measured.operations)]
    parts += [f"## Found out: {_counted(records, 'discovery')}", _list(records.of("discovery"))]
    parts += [*convolutions_table(records), *kernels_table(records)]
    parts += [f"## Tests on the GPU: {_counted(records, 'tests')}", _list(records.of("tests"))]
    parts += [*_failed_tests(records), *_traces(records)]
    return "\n\n".join(parts) + "\n"


def _about(records: Records, run: dict[str, Any]) -> str:
    lines = [f"* {name}: {value}" for name, value in run.items() if name != "card"]
    shown = [record for record in records.of("discovery") if record.name in ("card", "versions", "copying")]
    lines += [f"* {record.title}: {record.line}" for record in shown]
    left_out = [f"{record.part} {record.title}" for record in records.all if _is_left_out(record)]
    lines.append(f"* left out for want of time: {'; '.join(left_out) or 'nothing'}")
    return "\n".join(lines)


def _is_left_out(record: Record) -> bool:
    return record.status == "skip" and record.line.startswith("left out")


def _counted(records: Records, part: str) -> str:
    statuses = [record.status for record in records.of(part)]
    return f"{statuses.count('pass')} pass, {statuses.count('fail')} fail, {statuses.count('skip')} skipped"


def _list(found: list[Record]) -> str:
    return (
        "\n".join(f"* {r.status.upper()} {r.title} ({r.seconds:.1f} s): {_one_line(r.line)}" for r in found)
        or "Nothing."
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _failed_tests(records: Records) -> list[str]:
    failures = [failure for record in records.of("tests") for failure in record.data.get("failures", [])]
    if not failures:
        return []
    lines = [f"* `{failure['test']}`: {_one_line(failure['message'])[:300]}" for failure in failures]
    return ["### Tests that failed", "\n".join(lines)]


def _traces(records: Records) -> list[str]:
    traced = [record for record in records.all if record.trace]
    if not traced:
        return []
    return ["## Where it failed", *(f"{r.part}, {r.title}\n\n```\n{r.trace.strip()[-4000:]}\n```" for r in traced)]
