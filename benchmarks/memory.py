"""The most memory that a training step takes, each contestant in a fresh process."""

from __future__ import annotations

from .environments import PeerMissingError
from .protocol import WorkerError
from .tables import BEST_EAGER, markdown, significant
from .timing import PREPARE_TIMEOUT, Fleet
from .workloads import TINY, Network

STEPS = 4
"""Buffers that a framework keeps for the next step are there after the second."""

Peaks = dict[str, int]


def measure_memory(fleet: Fleet, network: Network) -> Peaks:
    """Return for each contestant the largest resident set during the steps, less that before the model was made.

    A tiny model has run before, so that the framework's own code is not counted. In bytes; those that failed are
    left out.
    """
    peaks: Peaks = {}
    request = {
        "do": "memory",
        **fleet.arrays_of(network),
        "tiny": fleet.arrays_of(TINY),
        "steps": STEPS,
    }
    for contestant in fleet.invited(network):
        try:
            worker = fleet.fresh(contestant)
        except PeerMissingError:
            continue  # the timing has told why, or the list of missing peers will
        try:
            peaks[contestant.name] = worker.ask(request, PREPARE_TIMEOUT)["bytes"]
        except WorkerError as error:
            fleet.tell(f"memory of {contestant.name}: {error}")
        finally:
            worker.close()
    return peaks


def memory_table(measured: dict[str, Peaks], contestants: list[str], eager: tuple[str, ...]) -> str:
    """Return the peaks in MB (10^6 bytes), and ours over the smaller one of PyTorch's two layouts."""
    present = [name for name in contestants if any(name in peaks for peaks in measured.values())]
    rows = []
    for title, peaks in measured.items():
        least = min((peaks[name] for name in eager if name in peaks), default=None)
        ours = peaks.get("ours")
        ratio = "-"
        if least and ours is not None:
            ratio = f"{ours / least:.2f} (<= 1 {'pass' if ours <= least else 'miss'})"
        rows.append([title, *(significant(peaks[n] / 1e6) if n in peaks else "-" for n in present), ratio])
    return markdown(["MB", *present, f"ours / PyTorch {BEST_EAGER}, smaller layout"], rows)
