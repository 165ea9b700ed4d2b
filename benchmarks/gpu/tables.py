"""The tables of what was measured on a GPU, with the bars that are met and missed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..contestants import OURS
from ..tables import comparable, markdown, milliseconds, significant, spread
from ..timing import Outcome
from ..workloads import Network, Operation, Workload
from .benching import outcome_of
from .record import Records
from .workloads import BANDWIDTH_BAR, BEST, CAPTURED, NETWORKS, NORM_BAR, NORMS, REHEARSED, SINGLE, bytes_of

Outcomes = dict[str, Outcome]
Rows = list[tuple[Any, Outcomes]]


class Measured:
    """What was measured beside PyTorch, in the order of `workloads`.

    Args:
        records: of a run.

    Attributes:
        networks, operations: workloads with their outcomes; operations are all that is no network.
        norms: those operations that are BatchNorm with an activation.
        bandwidth: at which the card copies, in bytes per second; None where it was not measured.
    """

    def __init__(self, records: Records) -> None:
        found = {record.name: record.data for record in records.of("bench") if record.data}
        everything: Rows = [
            (workload, {name: outcome_of(numbers) for name, numbers in found[workload.name].items()})
            for workload in (*NETWORKS, *NORMS, *SINGLE, *REHEARSED)
            if workload.name in found
        ]
        self.networks = [row for row in everything if isinstance(row[0], Network)]
        self.operations = [row for row in everything if not isinstance(row[0], Network)]
        self.norms = [row for row in self.operations if _is_norm(row[0])]
        self.bandwidth: float | None = records.data_of("discovery", "copying").get("bytes_per_second")


def _is_norm(workload: Workload) -> bool:
    return isinstance(workload, Operation) and workload.operation in ("norm_act", "act_norm")


def best(outcomes: Outcomes, names: Iterable[str]) -> float | None:
    """Return the least time, in seconds, of those that did the same work as ours; None where nobody did."""
    medians = comparable(outcomes)
    return min((medians[name] for name in names if name in medians), default=None)


def ratio(outcomes: Outcomes, ours: Iterable[str], theirs: Iterable[str]) -> float | None:
    """Return our best time over theirs."""
    mine, other = best(outcomes, ours), best(outcomes, theirs)
    return None if mine is None or other is None else mine / other


def verdict(value: float | None, bar: float, at_least: bool = False) -> str:
    """Return a table's cell: the value, the bar, and whether it is met."""
    sign = ">=" if at_least else "<="
    if value is None:
        return f"- ({sign} {bar:g}, not measured)"
    met = value >= bar if at_least else value <= bar
    return f"{value:.2f} ({sign} {bar:g} {'pass' if met else 'miss'})"


def conclusions(measured: Measured) -> str:
    """Return one row for each bar: pass, miss, or not measured."""
    outcomes = {workload.name: found for workload, found in (*measured.networks, *measured.norms)}
    ours = (OURS.name, CAPTURED)
    rows = []
    for network in (*NETWORKS, *(workload for workload, _ in measured.networks if workload in REHEARSED)):
        if network.bars:
            found = outcomes.get(network.name, {})
            bars = (verdict(ratio(found, ours, BEST[peer]), network.bars[peer]) for peer in ("eager", "compile"))
            rows.append([network.title, *bars, ""])
    for norm in NORMS:
        if norm.precision == "float32":
            found = outcomes.get(norm.name, {})
            share = verdict(_share(norm, found, measured.bandwidth), BANDWIDTH_BAR, at_least=True)
            rows.append([norm.title, verdict(ratio(found, ours, BEST["eager"]), NORM_BAR), "", share])
    header = ["our best time over PyTorch's", "eager", "compile, reduce-overhead", "share of the copy bandwidth"]
    return markdown(header, rows)


def ratios_table(networks: Rows) -> str:
    """Return both of our times over PyTorch's, called one by one and compiled."""
    rows = []
    for network, outcomes in networks:
        cells = []
        for ours in (CAPTURED, OURS.name):
            for theirs in ("eager", "compile"):
                value = ratio(outcomes, [ours], BEST[theirs])
                cells.append("-" if value is None else f"{value:.2f}")
        rows.append([network.title, *cells])
    header = [f"{ours} / {theirs}" for ours in ("captured", "as called") for theirs in ("eager", "compile")]
    return markdown(["", *header], rows)


def times_table(measured: Rows) -> str:
    """Return everybody's median and quartiles in milliseconds, and how far results are from ours."""
    rows = []
    for workload, outcomes in measured:
        for name, outcome in outcomes.items():
            deviation = "-" if outcome.deviation is None else f"{outcome.deviation:.1e}"
            why = (outcome.failure or "").split("\n")[0].replace("|", "\\|")
            rows.append([workload.title, name, milliseconds(outcome), spread(outcome), deviation, why])
    return markdown(["", "who", "ms", "quartiles", "results differ by", "why not"], rows)


def norms_table(measured: Measured) -> str:
    """Return times and bandwidths of BatchNorm with an activation."""
    rows, bandwidth = [], measured.bandwidth
    for norm, outcomes in measured.norms:
        captured = best(outcomes, [CAPTURED])
        cells = [_milliseconds(captured), _milliseconds(best(outcomes, [OURS.name]))]
        cells += [_milliseconds(best(outcomes, BEST[theirs])) for theirs in ("graph", "eager")]
        for number in bytes_of(norm):
            rate = None if captured is None else number / captured
            share = "" if rate is None or bandwidth is None else f" ({rate / bandwidth:.0%})"
            cells.append("-" if rate is None else f"{rate / 1e12:.2f} TB/s{share}")
        rows.append([norm.title, *cells])
    header = ["captured", "as called", "PyTorch replayed", "PyTorch as called", "least bytes", "usual bytes"]
    return markdown(["ms", *header], rows)


def _share(norm: Operation, outcomes: Outcomes, bandwidth: float | None) -> float | None:
    """Return at which share of the card's bandwidth our captured passes move the usual bytes."""
    captured = best(outcomes, [CAPTURED])
    return None if captured is None or bandwidth is None else bytes_of(norm)[1] / captured / bandwidth


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else significant(seconds * 1e3)


def convolutions_table(records: Records) -> list[str]:
    """Return the rows of all precisions, if any, below a title."""
    rows = []
    for record in records.of("discovery"):
        if record.name.startswith("conv-"):
            for row in record.data.get("rows", []):
                times = [significant(row[who] * 1e6) for who in ("ours", "theirs")]
                cells = [
                    f"{row['error']:.1e}",
                    f"{row['their_error']:.1e}",
                    *times,
                    f"{row['ours'] / row['theirs']:.2f}",
                ]
                rows.append([row["convolution"], row["direction"], record.name[5:], *cells, row["engine"]])
    header = ["convolution", "direction", "precision", "error", "PyTorch's", "µs", "PyTorch's", "ratio", "engine"]
    return ["### Convolutions", markdown(header, rows)] if rows else []


def kernels_table(records: Records) -> list[str]:
    """Return the rows of our own kernels and of products of matrices, if any, each below a title."""
    parts: list[str] = []
    rows = []
    for record in records.of("discovery"):
        if record.name in ("norms", "kernels"):
            for row in record.data.get("rows", []):
                speed = f"{row['bytes_per_second'] / 1e12:.2f} TB/s ({row['share']:.0%})"
                rows.append([row["case"], f"{row['error']:.1e}", significant(row["seconds"] * 1e6), speed])
    if rows:
        parts += [
            "### Our own kernels, forward and backward, captured",
            markdown(["", "error", "µs", "bandwidth"], rows),
        ]
    products = records.data_of("discovery", "products").get("rows", [])
    if products:
        cells = [
            [
                f"{row['shape']}, {row['precision']}",
                f"{row['error']:.1e}",
                significant(row["ours"] * 1e6),
                significant(row["theirs"] * 1e6),
                f"{row['operations_per_second'] / 1e12:.1f}",
            ]
            for row in products
        ]
        header = ["", "error", "µs", "PyTorch's µs", "our TFLOP/s"]
        parts += ["### Products of matrices, captured", markdown(header, cells)]
    return parts
