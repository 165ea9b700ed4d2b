"""Exchanging weights and arrays with PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from compare import assert_close, torch

import tinygrad_bn as tg
from tinygrad_bn import interop, nn
from tinygrad_bn.errors import DTypeError, StateError


def test_there_and_back() -> None:
    theirs = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.PReLU())
    ours = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.PReLU())
    images = np.random.default_rng(0).standard_normal((4, 2, 6, 6)).astype("float32")
    theirs(torch.tensor(images))
    assert interop.load_torch_state_dict(ours, theirs.state_dict()) == ([], [])
    expected = theirs.eval()(torch.tensor(images)).detach().numpy()
    np.testing.assert_allclose(ours.eval()(tg.tensor(images)).numpy(), expected, rtol=1e-4, atol=1e-5)
    state = interop.to_torch_state_dict(ours)
    other = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.PReLU())
    other.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    for name, tensor in theirs.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name].numpy(), tensor.numpy())


def test_a_model_in_bfloat16_there_and_back() -> None:
    theirs, ours = torch.nn.Linear(4, 3).bfloat16(), nn.Linear(4, 3).bfloat16()
    state = interop.to_torch_state_dict(ours)
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    assert theirs.weight.dtype == torch.bfloat16
    assert_close(ours.weight, theirs.weight)


def test_arrays_are_copied_both_ways() -> None:
    theirs, ours = torch.nn.Linear(2, 2), nn.Linear(2, 2)
    interop.load_torch_state_dict(ours, theirs.state_dict())
    before = ours.weight.numpy().copy()
    with torch.no_grad():
        theirs.weight.zero_()
    state = interop.to_torch_state_dict(ours)
    state["bias"][:] = 9.0
    np.testing.assert_array_equal(ours.weight.numpy(), before)
    assert 9.0 not in ours.bias.tolist()


def test_memory_in_another_order() -> None:
    ours = nn.Conv2d(2, 3, 3)
    weight = torch.randn(3, 2, 3, 3).to(memory_format=torch.channels_last)
    interop.load_torch_state_dict(ours, {"weight": weight, "bias": torch.nn.Parameter(torch.ones(3))})
    np.testing.assert_array_equal(ours.weight.numpy(), weight.numpy())


def test_a_state_in_bfloat16() -> None:
    ours, theirs = nn.Linear(3, 2), torch.nn.Linear(3, 2).bfloat16()
    interop.load_torch_state_dict(ours, theirs.state_dict())
    np.testing.assert_array_equal(ours.weight.numpy(), theirs.weight.float().detach().numpy())


def test_what_does_not_fit() -> None:
    with pytest.raises(StateError, match=r"weight to be a PyTorch tensor of a dtype of NumPy, got Tensor"):
        interop.load_torch_state_dict(
            nn.Linear(2, 2), {"weight": torch.ones(2, 2, dtype=torch.complex64), "bias": torch.ones(2)}
        )
    with pytest.raises(StateError, match="got float"):
        interop.load_torch_state_dict(nn.Linear(2, 2), {"weight": 1.0})
    with pytest.raises(StateError, match="missing: bias"):
        interop.load_torch_state_dict(nn.Linear(2, 2), {"weight": torch.ones(2, 2)})
    with pytest.raises(DTypeError, match="a mapping"):
        interop.load_torch_state_dict(nn.Linear(2, 2), torch.nn.Linear(2, 2))


def test_dlpack_shares_memory() -> None:
    theirs = torch.arange(6.0).reshape(2, 3).T
    ours = interop.from_dlpack(theirs)
    theirs[0, 0] = 9.0
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    back = torch.utils.dlpack.from_dlpack(interop.to_dlpack(tg.tensor([1.0, 2.0], device="cpu", requires_grad=True)))
    assert back.tolist() == [1.0, 2.0]
    with pytest.raises(DTypeError, match="in to_dlpack: expected a Tensor"):
        interop.to_dlpack(np.ones(2))
