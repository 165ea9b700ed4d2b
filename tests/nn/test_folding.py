"""BatchNorms folded into the weights before them: the same outputs with fewer operations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.errors import DTypeError

Norms = nn.BatchNorm1d | nn.BatchNorm2d


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, Norms) for module in model.modules())


def settled(model: nn.Module) -> nn.Module:
    """A model in evaluation mode whose BatchNorms are nothing like an identity."""
    rng = np.random.default_rng(0)
    for module in model.modules():
        if isinstance(module, Norms):
            count = module.num_features
            module.running_mean.assign_(rng.standard_normal(count))  # type: ignore[union-attr]
            module.running_var.assign_(rng.uniform(0.2, 3.0, count))  # type: ignore[union-attr]
            if module.weight is not None and module.bias is not None:
                with tg.no_grad():
                    module.weight.assign_(rng.uniform(-1.5, 1.5, count))
                    module.bias.assign_(rng.standard_normal(count))
    return model.eval()


def images(*shape: int) -> tg.Tensor:
    return tg.tensor(np.random.default_rng(1).standard_normal(shape), dtype="float32")


# Of all BatchNorms those that stand right behind a weight.
FOLDED = {
    ("small_cnn", "convention"): (5, 5),
    ("small_cnn", "swap"): (5, 0),
    ("small_cnn", "norm-weight-act"): (5, 0),
    ("small_cnn", "act-weight-norm"): (5, 5),
    ("mlp", "convention"): (2, 2),
    ("mlp", "swap"): (2, 0),
    ("vgg11", "convention"): (8, 8),
    ("vgg11", "swap"): (8, 0),
    ("mobilenet", "convention"): (27, 27),
    ("mobilenet", "swap"): (27, 0),
    ("resnet20", "convention"): (19, 19),
    ("resnet20", "swap"): (19, 0),
    ("preresnet20", "convention"): (19, 0),
    ("resnet18", "convention"): (20, 20),
    ("resnet18", "swap"): (20, 3),  # the shortcuts, which have no activation
}


@pytest.mark.parametrize(("name", "order"), FOLDED)
def test_a_folded_model_computes_the_same(name: str, order: str) -> None:
    model = settled(nn.build_model(name, width=4, order=order, activation="tanh", image_size=16))
    folded = nn.fold_batch_norm(model)
    x = images(3, *getattr(model, "input_shape", (1, 16, 16)))
    with tg.no_grad():
        expected, found = model(x).numpy(), folded(x).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    before, count = FOLDED[name, order]
    assert norms(model) == before
    assert norms(folded) == before - count
    assert sum(isinstance(module, nn.Identity) for module in folded.modules()) == count


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Conv2d(4, 6, 3, bias=False),
        lambda: nn.Conv2d(4, 6, (3, 2), stride=2, padding=(0, 2), dilation=(2, 1), groups=2),
        lambda: nn.Conv2d(4, 6, 3, padding="same"),
    ],
    ids=["no bias", "every setting", "same"],
)
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_plain_sequence(make: Any, affine: bool, dtype: str) -> None:
    model = settled(nn.Sequential(make(), nn.BatchNorm2d(6, eps=0.1, affine=affine), nn.ReLU()).to(dtype=dtype))
    folded = nn.fold_batch_norm(model)
    x = images(3, 4, 9, 8).astype(dtype)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(folded(x).numpy(), model(x).numpy(), rtol=tolerance, atol=tolerance)
    assert [type(child) for child in folded] == [nn.Conv2d, nn.Identity, nn.ReLU]  # type: ignore[attr-defined]
    assert {str(p.dtype) for p in folded.parameters()} == {dtype}


def test_a_fully_connected_layer_that_is_frozen() -> None:
    model = settled(nn.LinearBlock(5, 4, bias=False, activation="relu")).requires_grad_(False)
    folded = nn.fold_batch_norm(model)
    x = images(7, 5)
    np.testing.assert_allclose(folded(x).numpy(), model(x).numpy(), rtol=1e-5, atol=1e-6)
    assert [name for name, _ in folded.named_parameters()] == ["linear.weight", "linear.bias"]
    assert not any(p.requires_grad for p in folded.parameters())


def test_the_model_itself_is_untouched() -> None:
    model = nn.build_model("small_cnn", width=2)
    before = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
    text = repr(model)
    folded = nn.fold_batch_norm(model)
    assert all(module.training for module in model.modules())
    assert not any(module.training for module in folded.modules())
    assert repr(model) == text
    for tensor in folded.parameters():
        tensor.data[...] = 7.0
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), before[name])


def test_what_cannot_be_folded_stays() -> None:
    untracked = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, track_running_stats=False))
    apart = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Dropout(0.5), nn.BatchNorm2d(2))
    other = nn.Sequential(nn.ConvTranspose2d(1, 2, 3), nn.BatchNorm2d(2))
    watched = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    watched[0].register_forward_hook(lambda module, arguments, output: output + 1.0)
    bare = nn.BatchNorm2d(1)
    for model in (untracked, apart, other, watched, bare):
        folded = nn.fold_batch_norm(model)
        assert norms(folded) == 1
        x = images(4, 1, 5, 5)
        np.testing.assert_array_equal(folded(x).numpy(), model.eval()(x).numpy())


def test_a_layer_that_is_used_twice_stays_and_one_that_shares_its_weight_does_not_disturb_the_other() -> None:
    shared = nn.Conv2d(2, 2, 3, padding=1)
    twice = settled(nn.Sequential(shared, nn.BatchNorm2d(2), nn.Tanh(), shared))
    folded = nn.fold_batch_norm(twice)
    x = images(3, 2, 5, 5)
    assert norms(folded) == 1
    np.testing.assert_array_equal(folded(x).numpy(), twice(x).numpy())
    first, second = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
    second.weight = first.weight
    tied = settled(nn.Sequential(first, nn.BatchNorm2d(2), second))
    folded = nn.fold_batch_norm(tied)
    assert norms(folded) == 0
    np.testing.assert_allclose(folded(x).numpy(), tied(x).numpy(), rtol=1e-5, atol=1e-5)


class Backwards(nn.Sequential):
    """Children called in another order than they are registered in."""

    def forward(self, input: Any) -> Any:
        for module in reversed(list(self.children())):
            input = module(input)
        return input


def test_a_sequence_with_a_forward_of_its_own_stays() -> None:
    model = settled(Backwards(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2)))
    folded = nn.fold_batch_norm(model)
    assert norms(folded) == 1
    x = images(3, 2, 5, 5)
    np.testing.assert_array_equal(folded(x).numpy(), model(x).numpy())


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(DTypeError, match="in fold_batch_norm: expected a Module"):
        nn.fold_batch_norm(nn.BatchNorm2d)  # type: ignore[arg-type]
