"""Products with the Hessian and its top eigenvalue, against PyTorch's exact dense Hessian in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from memory import on_host

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.errors import ArgumentError, DTypeError, ShapeError
from tinygrad_bn.lab.probes import hessian_vector_product, top_hessian_eigenvalue

F = tg.functional
IMAGES = np.random.default_rng(0).normal(size=(6, 1, 4, 4))
LABELS = np.arange(6) % 3
BATCH = tg.tensor(IMAGES), tg.tensor(LABELS)


def network(order: str, activation: str) -> nn.Module:
    """Two blocks, max-pooling and a classifier: 83 parameters with norms."""
    tg.manual_seed(0)
    return nn.Sequential(
        nn.ConvBlock(1, 2, 3, padding=1, order=order, activation=activation),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.LinearBlock(8, 4, order=order, activation=activation),
        nn.Linear(4, 3),
    ).double()


def dense_hessian(model: nn.Module) -> np.ndarray:
    torch = pytest.importorskip("torch")
    from twins import twin_of

    theirs = twin_of(model)
    names, parameters = zip(*theirs.named_parameters(), strict=True)
    assert list(names) == [name for name, _ in model.named_parameters()]
    images, labels = torch.tensor(IMAGES), torch.tensor(LABELS)

    def loss_of(flat: Any) -> Any:
        pieces = torch.split(flat, [parameter.numel() for parameter in parameters])
        weights = {n: piece.reshape(p.shape) for n, piece, p in zip(names, pieces, parameters, strict=True)}
        return torch.nn.functional.cross_entropy(torch.func.functional_call(theirs, weights, (images,)), labels)

    flat = torch.cat([parameter.detach().ravel() for parameter in parameters])
    return torch.autograd.functional.hessian(loss_of, flat).numpy()


def product(model: nn.Module, vector: np.ndarray) -> np.ndarray:
    named = list(model.named_parameters())
    pieces = np.split(vector, np.cumsum([parameter.size for _, parameter in named])[:-1])
    parts = {name: piece.reshape(p.shape) for (name, p), piece in zip(named, pieces, strict=True)}
    found = hessian_vector_product(model, F.cross_entropy, *BATCH, parts)
    return np.concatenate([on_host(found[name]).ravel() for name, _ in named])


CASES = [
    (order, activation)
    for order in ("convention", "swap")
    for activation in ("tanh", "relu", "softsign", "leaky_relu", "hardtanh", "gelu")
] + [("norm-act-weight", "tanh"), ("no-norm", "relu"), ("act-norm-weight", "softsign")]


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "apart"])
@pytest.mark.parametrize(("order", "activation"), CASES)
def test_products_and_the_top_eigenvalue_are_pytorchs(order: str, activation: str, fused: bool) -> None:
    model = network(order, activation)
    dense = dense_hessian(model)
    size = np.abs(dense).max()
    with nn.fusion(fused):
        for seed in range(3):
            vector = np.random.default_rng(seed).normal(size=len(dense))
            np.testing.assert_allclose(product(model, vector), dense @ vector, rtol=0, atol=1e-9 * size)
        eigenvalues = np.linalg.eigvalsh(dense)
        top = eigenvalues[np.argmax(np.abs(eigenvalues))]
        found = top_hessian_eigenvalue(model, F.cross_entropy, *BATCH, iterations=60, tolerance=1e-6)
        assert found.converged
        assert found.residual <= 1e-6
        assert found.value == pytest.approx(top, rel=1e-9)
        sharpness = top_hessian_eigenvalue(
            model, F.cross_entropy, *BATCH, iterations=80, tolerance=1e-6, largest="value"
        )
        assert sharpness.converged
        assert sharpness.value == pytest.approx(eigenvalues[-1], rel=1e-9)


def test_the_product_is_linear_and_symmetric_in_float32() -> None:
    model = network("swap", "tanh").float()
    batch = BATCH[0].astype("float32"), BATCH[1]
    random = np.random.default_rng(5)

    def times(vector: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = hessian_vector_product(model, F.cross_entropy, *batch, vector)
        return {name: on_host(part) for name, part in found.items()}

    one, other = (
        {name: random.normal(size=p.shape).astype("float32") for name, p in model.named_parameters()} for _ in range(2)
    )
    left = sum(float((other[name] * part).sum()) for name, part in times(one).items())
    right = sum(float((one[name] * part).sum()) for name, part in times(other).items())
    assert left == pytest.approx(right, rel=1e-4)
    assert all(part.dtype == np.float32 for part in times(one).values())


def test_the_residual_bounds_the_distance_to_an_eigenvalue() -> None:
    model = network("swap", "tanh")
    eigenvalues = np.linalg.eigvalsh(dense_hessian(model))
    for iterations in (1, 2, 4):
        found = top_hessian_eigenvalue(model, F.cross_entropy, *BATCH, iterations=iterations, tolerance=1e-9)
        assert not found.converged
        assert found.iterations == iterations + 1
        assert np.abs(eigenvalues - found.value).min() <= found.residual * abs(found.value) * (1 + 1e-9)


def test_opposite_eigenvalues_of_one_size_do_not_trouble_it() -> None:
    # L = a b has the eigenvalues 1 and -1, between which power iteration would never decide.
    model = nn.Linear(1, 2, bias=False).double()
    images, nothing = tg.tensor(np.ones((2, 1))), tg.tensor(np.zeros(2))
    found = top_hessian_eigenvalue(model, lambda output, _: (output[:, 0] * output[:, 1]).mean(), images, nothing)
    assert found.converged
    assert abs(found.value) == pytest.approx(1.0)
    high = top_hessian_eigenvalue(
        model, lambda output, _: (output[:, 0] * output[:, 1]).mean(), images, nothing, largest="value"
    )
    assert high.value == pytest.approx(1.0)


def test_a_loss_without_curvature() -> None:
    model = nn.Linear(1, 1).double()
    found = top_hessian_eigenvalue(model, lambda output, _: output.mean(), tg.tensor(np.ones((2, 1))), BATCH[1][:2])
    assert (found.value, found.residual, found.converged) == (0.0, 0.0, True)


def test_weights_that_are_no_numbers_are_said_not_to_converge() -> None:
    model = network("swap", "tanh")
    model[4].weight.data[:] = np.nan
    found = top_hessian_eigenvalue(model, F.cross_entropy, *BATCH)
    assert math.isnan(found.value)
    assert not found.converged


def test_a_seed_means_the_same_bits_and_the_result_fits_into_json() -> None:
    model = network("swap", "relu")
    tg.manual_seed(1)
    first = top_hessian_eigenvalue(model, F.cross_entropy, *BATCH, iterations=5, seed=3)
    tg.manual_seed(2)
    assert top_hessian_eigenvalue(model, F.cross_entropy, *BATCH, iterations=5, seed=3) == first
    assert top_hessian_eigenvalue(model, F.cross_entropy, *BATCH, iterations=5, seed=4) != first
    assert first.to_dict() == {
        "value": first.value,
        "residual": first.residual,
        "iterations": 6,
        "converged": False,
    }


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"iterations": 0}, ArgumentError, "iterations >= 1"),
        ({"tolerance": 0.0}, ArgumentError, "tolerance"),
        ({"seed": -1}, ArgumentError, "seed"),
        ({"largest": "magnitud"}, ArgumentError, "did you mean 'magnitude'"),
        ({"loss_function": "cross_entropy"}, DTypeError, "a loss function"),
        ({"images": BATCH[0][:0], "labels": BATCH[1][:0]}, ShapeError, "at least one image"),
    ],
)
def test_what_is_refused(changed: dict[str, object], error: type[Exception], message: str) -> None:
    arguments = dict(zip(("images", "labels"), BATCH, strict=True)) | {"loss_function": F.cross_entropy}
    with pytest.raises(error, match=message):
        top_hessian_eigenvalue(network("swap", "tanh"), **(arguments | changed))


def test_vectors_that_do_not_fit_are_refused() -> None:
    model = nn.Linear(1, 1)
    for vector, message in (
        ({"weight": [[1.0]]}, "one array for each of weight, bias"),
        ({"weight": [1.0], "bias": [1.0]}, r"shape \(1, 1\) for weight"),
    ):
        with pytest.raises(ShapeError, match=message):
            hessian_vector_product(model, F.mse_loss, tg.ones(2, 1), tg.ones(2, 1), vector)
