"""Sequential and ModuleList."""

from __future__ import annotations

from typing import Any

import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.errors import DTypeError, OutOfBoundsError


def test_sequential_by_position_and_by_name() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    assert len(net) == 3
    assert [type(m).__name__ for m in net] == ["Linear", "Tanh", "Linear"]
    assert net[-1] is net[2]
    head = net[1:]
    assert isinstance(head, nn.Sequential)
    assert list(head.state_dict()) == ["2.weight", "2.bias"]
    named = nn.Sequential({"first": nn.Linear(2, 3), "second": nn.Tanh()})
    assert list(named.state_dict()) == ["first.weight", "first.bias"]
    assert named.second is named[1]
    net[1] = nn.ReLU()
    assert type(net[1]).__name__ == "ReLU"
    assert net.append(nn.Tanh())(tg.ones(4, 2)).shape == (4, 1)


@pytest.mark.parametrize("position", [3, -4])
def test_a_position_that_is_not_there(position: int) -> None:
    with pytest.raises(OutOfBoundsError, match="container of 3"):
        nn.ModuleList([nn.Tanh() for _ in range(3)])[position]


def test_a_position_that_is_no_number() -> None:
    with pytest.raises(DTypeError, match="position to be an integer"):
        nn.Sequential(nn.Tanh())[0.5]  # type: ignore[call-overload]


def test_module_list() -> None:
    parts = nn.ModuleList([nn.Linear(2, 2)]).extend([nn.Linear(2, 2), nn.Tanh()])
    assert [name for name, _ in parts.named_parameters()] == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert len(parts[:2]) == 2


def test_what_is_appended_to_a_slice_replaces_nothing() -> None:
    net = nn.Sequential(*(nn.Tanh() for _ in range(4)))
    part = net[2:4].append(nn.ReLU())
    assert [type(m).__name__ for m in part] == ["Tanh", "Tanh", "ReLU"]
    assert [name for name, _ in part.named_children()] == ["2", "3", "4"]
    named = nn.Sequential({"1": nn.Tanh()}).append(nn.ReLU()).append(nn.ELU())
    assert [(name, type(m).__name__) for name, m in named.named_children()] == [
        ("1", "Tanh"),
        ("2", "ReLU"),
        ("3", "ELU"),
    ]
    assert len(net) == 4


def test_a_slice_of_a_list_is_numbered_from_0() -> None:
    parts = nn.ModuleList(nn.Linear(1, n) for n in (1, 2, 3, 4))
    tail = parts[2:]
    assert [(name, m.out_features) for name, m in tail.named_children()] == [("0", 3), ("1", 4)]
    assert [m.out_features for m in tail.append(nn.Linear(1, 5))] == [3, 4, 5]
    assert parts[2]._scope_name == "2"  # drawings of the whole list are as before


def test_repr_is_pytorchs() -> None:
    torch = pytest.importorskip("torch")

    def build(n: Any) -> Any:
        return n.Sequential(
            n.Conv2d(3, 6, 3, padding=1, groups=3, bias=False),
            n.Conv2d(6, 6, (3, 1), stride=2, padding="valid", dilation=2),
            n.ConvTranspose2d(6, 4, 3, 2, 1, output_padding=1),
            n.BatchNorm2d(4, momentum=None),
            n.Sequential(n.LeakyReLU(0.2), n.ReLU(), n.Hardtanh(), n.ELU(), n.GELU(), n.PReLU(4)),
            n.MaxPool2d(2),
            n.AvgPool2d(2, 1),
            n.AdaptiveAvgPool2d((1, None)),
            n.Flatten(),
            n.Linear(4, 2, bias=False),
            n.BatchNorm1d(2, affine=False),
            n.ModuleList([n.Tanh(), n.Identity()]),
        )

    # Dropout is left out, because nothing here works in place; and newer versions of PyTorch can leave out beta alone.
    assert repr(build(nn)) == repr(build(torch.nn)).replace("affine=True, bias=True", "affine=True").replace(
        "affine=False, bias=False", "affine=False"
    )
