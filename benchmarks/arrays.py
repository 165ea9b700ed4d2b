"""The numbers that all frameworks start from: made once with NumPy, handed over in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .layers import Norm, flat, parameter_shapes
from .workloads import Chain, Network, Operation, Update, Workload

Array = np.ndarray[Any, Any]

CLASSES = 10


def make_arrays(workload: Workload, seed: int = 0) -> dict[str, Array]:
    """Return the workload's arrays by name, float32 (class numbers int64), the same ones for the same seed."""
    random = np.random.default_rng(seed)
    if isinstance(workload, Network):
        return _network(workload, random)
    if isinstance(workload, Operation):
        return _operation(workload, random)
    if isinstance(workload, Update):
        arrays = {}
        for i, shape in enumerate(workload.shapes):
            arrays[f"parameter{i}"] = random.normal(size=shape).astype(np.float32)
            arrays[f"gradient{i}"] = random.normal(size=shape).astype(np.float32)
        return arrays
    return _chain(workload, random)


def _network(workload: Network, random: np.random.Generator) -> dict[str, Array]:
    arrays: dict[str, Array] = {
        "input": random.normal(size=(workload.batch, *workload.image)).astype(np.float32),
        "target": random.integers(0, CLASSES, workload.batch),
    }
    shapes = parameter_shapes(workload.layers)
    for i, (weight, bias) in enumerate(zip(shapes[::2], shapes[1::2], strict=True)):
        # Weights and biases as PyTorch draws them; BatchNorm's away from 1 and 0, so that nobody can leave them out.
        if len(weight) == 1:
            values = random.uniform(0.5, 1.5, weight), random.normal(0.0, 0.1, bias)
        else:
            bound = float(np.prod(weight[1:])) ** -0.5
            values = random.uniform(-bound, bound, weight), random.uniform(-bound, bound, bias)
        arrays[f"parameter{2 * i}"], arrays[f"parameter{2 * i + 1}"] = (value.astype(np.float32) for value in values)
    if workload.mode != "train":
        norms = [layer for layer in flat(workload.layers) if isinstance(layer, Norm)]
        for i, norm in enumerate(norms):
            arrays[f"mean{i}"] = random.normal(0.0, 0.1, norm.channels).astype(np.float32)
            arrays[f"var{i}"] = random.uniform(0.2, 0.6, norm.channels).astype(np.float32)
    return arrays


def _operation(workload: Operation, random: np.random.Generator) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    for name, shape in workload.inputs.items():
        scale = float(np.prod(shape[1:])) ** -0.5 if name == "weight" and len(shape) > 1 else 1.0
        arrays[name] = (scale * random.normal(size=shape)).astype(np.float32)
    if workload.operation == "cross_entropy":
        arrays["target"] = random.integers(0, workload.inputs["input"][1], workload.inputs["input"][0])
    arrays["gradient"] = random.normal(size=workload.output).astype(np.float32)
    return arrays


def _chain(workload: Chain, random: np.random.Generator) -> dict[str, Array]:
    # Factors just below 1 and small terms: no overflow, however long the chain.
    return {
        "input": random.normal(size=2).astype(np.float32),
        "factor": random.uniform(0.9, 1.0, 2).astype(np.float32),
        "term": random.uniform(0.0, 0.1, 2).astype(np.float32),
    }


def turned(values: dict[str, Array], places: int) -> dict[str, Array]:
    """Return an operation's arrays with the examples of its batch in another order."""
    per_example = [name for name in ("input", "target", "gradient") if name in values and values[name].ndim]
    return values | {name: np.roll(values[name], places, axis=0) for name in per_example}


def save_arrays(path: Path, arrays: dict[str, Array]) -> None:
    """Write arrays to a file that `load_arrays` reads."""
    with open(path, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load_arrays(path: Path) -> dict[str, Array]:
    """Read arrays from a file; it cannot hold anything but numbers."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def fingerprint(array: Any) -> list[float]:
    """Return two numbers by which results are compared; the second depends on every element's sign and place."""
    flat_array = np.asarray(array, dtype=np.float64).ravel()
    norm = float(np.linalg.norm(flat_array))
    scaled = flat_array * (flat_array.size**0.5 / norm) if norm else flat_array
    return [norm, float(np.linalg.norm(scaled + np.linspace(-1.0, 1.0, flat_array.size)))]
