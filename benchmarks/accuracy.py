"""How accurate float32 convolutions are, at every shape of the benchmark's networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arrays import Array, load_arrays
from .contestants import EAGER, OURS, Contestant
from .environments import PeerMissingError
from .protocol import WorkerError
from .tables import markdown
from .timing import PREPARE_TIMEOUT, Fleet
from .workloads import Operation

REFERENCE = Contestant("reference", OURS.peer, OURS.module, {"TINYGRAD_BN_KERNELS": "reference"})
"""Our reference kernels, which have nothing in common with the compiled ones; they compute in float64."""

BAR = 1e-6
BAR_WINOGRAD = 1e-5
"""For the shapes that Winograd's algorithm can compute: 3x3, stride 1, one group. It trades digits for speed."""

PARTS = {"output": "forward", "input": "input gradient", "weight": "weight gradient"}


@dataclass(frozen=True)
class Accuracy:
    """Relative errors of one convolution, by contestant and part, and the largest that ours may have."""

    errors: dict[str, dict[str, float]]
    bar: float

    @property
    def verdict(self) -> str:
        """The bar, and whether ours is within it."""
        ours = self.errors.get(OURS.name)
        if ours is None:
            return "-"
        return f"<= {self.bar:.0e} {'pass' if max(ours.values()) <= self.bar else 'miss'}"


def relative_error(array: Array, exact: Array) -> float:
    """Return the Frobenius norm of the difference over that of the exact array."""
    return float(np.linalg.norm((array - exact).ravel()) / np.linalg.norm(exact.ravel()))


def measure_accuracy(fleet: Fleet, operation: Operation) -> Accuracy:
    """Return the relative errors of a convolution and its gradients, for ours and for PyTorch's two layouts.

    Raises:
        WorkerError, PeerMissingError: the reference itself could not be computed.
    """
    exact = _outputs(fleet, REFERENCE, operation, "float64")
    errors = {}
    for contestant in fleet.contestants:
        if contestant.name in fleet.missing or (contestant.peer and contestant.name not in EAGER):
            continue
        try:
            computed = _outputs(fleet, contestant, operation, "float32")
        except (WorkerError, PeerMissingError) as error:
            fleet.tell(f"accuracy of {contestant.name}: {error}")
            continue
        errors[contestant.name] = {part: relative_error(computed[part], exact[part]) for part in PARTS}
    return Accuracy(errors, bar_of(operation))


def bar_of(operation: Operation) -> float:
    """Return the largest error that a convolution of ours may have."""
    winograd = (
        operation.inputs["weight"][2:] == (3, 3)
        and operation.settings["stride"] == 1
        and operation.settings["groups"] == 1
    )
    return BAR_WINOGRAD if winograd else BAR


def _outputs(fleet: Fleet, contestant: Contestant, operation: Operation, dtype: str) -> dict[str, Array]:
    path = fleet.folder / f"outputs-{contestant.name}.npz"
    request = {"do": "outputs", **fleet.arrays_of(operation), "dtype": dtype, "save": str(path)}
    fleet.ask(contestant, request, PREPARE_TIMEOUT)
    return load_arrays(path)


def accuracy_table(measured: dict[str, Accuracy], contestants: list[str]) -> str:
    """Return the relative errors, shape by shape, and whether ours are within the bar."""
    present = [name for name in contestants if any(name in found.errors for found in measured.values())]
    header = ["relative error"]
    header += [f"{name} {part}" for part in PARTS.values() for name in present]
    rows = []
    for title, found in measured.items():
        errors = found.errors
        cells = [f"{errors[name][part]:.1e}" if name in errors else "-" for part in PARTS for name in present]
        rows.append([title, *cells, found.verdict])
    return markdown([*header, "bar"], rows)
