"""Module: registration, iteration, modes, places, hooks, scopes."""

from __future__ import annotations

import copy
import gc
from typing import Any

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.autograd import Node
from tinygrad_bn.errors import ArgumentError, DTypeError, GraphError


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.ConvBlock(1, 3, 3, padding=1), nn.MaxPool2d(2))
        self.scale = nn.Parameter([2.0])
        self.head = nn.Linear(12, 2)

    def forward(self, input: tg.Tensor) -> Any:
        return self.head(self.features(input).flatten(1)) * self.scale


def test_parameters_and_buffers_are_different_things() -> None:
    net = Net()
    assert [name for name, _ in net.named_parameters()] == [
        "scale",
        "features.0.conv.weight",
        "features.0.conv.bias",
        "features.0.norm.weight",
        "features.0.norm.bias",
        "head.weight",
        "head.bias",
    ]
    assert [name for name, _ in net.named_buffers()] == [
        "features.0.norm.running_mean",
        "features.0.norm.running_var",
        "features.0.norm.num_batches_tracked",
    ]
    assert all(p.requires_grad for p in net.parameters())
    assert not any(b.requires_grad for b in net.buffers())
    assert [name for name, _ in net.named_children()] == ["features", "head"]
    assert [name for name, _ in net.named_modules()] == [
        "",
        "features",
        "features.0",
        "features.0.conv",
        "features.0.norm",
        "features.0.act",
        "features.1",
        "head",
    ]


def test_a_shared_parameter_is_counted_once_and_saved_under_both_names() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(3, 3, bias=False)
            self.b = nn.Linear(3, 3, bias=False)
            self.b.weight = self.a.weight

    tied = Tied()
    assert [name for name, _ in tied.named_parameters()] == ["a.weight"]
    assert list(tied.state_dict()) == ["a.weight", "b.weight"]
    twin = copy.deepcopy(tied)
    assert twin.a.weight is twin.b.weight
    assert twin.a.weight is not tied.a.weight


@pytest.mark.parametrize("what", ["parameter", "module", "buffer"])
def test_assigning_before_init_says_what_to_do(what: str) -> None:
    class Hasty(nn.Module):
        def __init__(self) -> None:
            if what == "parameter":
                self.weight = nn.Parameter([1.0])
            elif what == "module":
                self.child = nn.Tanh()
            else:
                self.register_buffer("mean", tg.zeros(1))

    with pytest.raises(GraphError, match=r"Hasty\.\w+ = .*super\(\).__init__\(\).*first line of __init__"):
        Hasty()


def test_a_registered_name_keeps_its_kind() -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(DTypeError, match=r"Linear\.weight = .*expected a Parameter or None.*got Tensor"):
        layer.weight = tg.zeros(2, 2)
    assert isinstance(layer.weight, nn.Parameter)
    layer.bias = None
    assert layer(tg.ones(1, 2)).shape == (1, 2)
    assert list(layer.state_dict()) == ["weight"]
    norm = nn.BatchNorm1d(2)
    norm.running_mean = tg.ones(2)
    assert dict(norm.named_buffers())["running_mean"].tolist() == [1.0, 1.0]
    with pytest.raises(DTypeError, match="expected a Tensor or None"):
        norm.running_mean = 3.0


def test_an_attribute_becomes_a_parameter_and_back() -> None:
    module = nn.Module()
    module.thing = 3
    module.thing = nn.Parameter([1.0])
    assert "thing" not in vars(module)
    assert [name for name, _ in module.named_parameters()] == ["thing"]
    del module.thing
    assert list(module.parameters()) == []
    with pytest.raises(AttributeError, match="'Module' has no attribute 'thing'"):
        _ = module.thing


@pytest.mark.parametrize("name", ["", "a.b", "forward", "state_dict"])
def test_a_name_that_cannot_be_used(name: str) -> None:
    with pytest.raises(ArgumentError, match="name"):
        nn.Module().register_parameter(name, nn.Parameter([1.0]))


def test_a_buffer_is_no_parameter_and_needs_no_gradient() -> None:
    module = nn.Module()
    with pytest.raises(DTypeError, match="no Parameter"):
        module.register_buffer("b", nn.Parameter([1.0]))
    with pytest.raises(GraphError, match="no gradient"):
        module.register_buffer("b", tg.tensor([1.0], requires_grad=True))
    module.register_buffer("seen", tg.zeros(2), persistent=False)
    assert list(module.state_dict()) == []
    assert [name for name, _ in module.named_buffers()] == ["seen"]


def test_modules_that_are_none() -> None:
    with pytest.raises(DTypeError, match=r"got the class Tanh; write Tanh\(...\)"):
        nn.Sequential(nn.Tanh)  # type: ignore[arg-type]
    with pytest.raises(DTypeError, match="expected a Module"):
        nn.ModuleList([abs])  # type: ignore[list-item]


def test_train_and_eval_are_not_the_grad_mode() -> None:
    net = Net()
    assert all(m.training for m in net.modules())
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    images = tg.randn(2, 1, 4, 4)
    net(images).sum().backward()  # evaluation mode records
    assert net.scale.grad is not None
    before = net.features[0].norm.running_mean.tolist()
    net.train()
    with tg.no_grad():  # and no_grad trains BatchNorm
        output = net(images)
    assert not output.requires_grad
    assert net.features[0].norm.running_mean.tolist() != before
    net.features.eval()
    assert net.training
    assert not net.features[0].norm.training
    with pytest.raises(DTypeError, match="True or False"):
        net.train("yes")  # type: ignore[arg-type]


def test_zero_grad_and_requires_grad() -> None:
    net = Net()
    net(tg.randn(2, 1, 4, 4)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert all(p.grad is not None and not p.grad.any() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.requires_grad_(False)
    assert not net(tg.randn(2, 1, 4, 4)).requires_grad


def test_apply_goes_children_first() -> None:
    seen: list[str] = []
    nn.Sequential(nn.Tanh(), nn.Sequential(nn.ReLU())).apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Tanh", "ReLU", "Sequential", "Sequential"]


def test_to_keeps_the_parameter_objects_and_their_optimiser() -> None:
    net = Net()
    optimizer = tg.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    images = np.random.default_rng(0).standard_normal((4, 1, 4, 4))
    for dtype in ("float32", "float64"):
        ids = [id(p) for p in net.parameters()]
        assert net.to(dtype=dtype) is net
        assert [id(p) for p in net.parameters()] == ids
        assert {str(p.dtype) for p in net.parameters()} == {dtype}
        weight = net.head.weight.numpy().copy()
        optimizer.zero_grad()
        net(tg.tensor(images, dtype=dtype)).sum().backward()
        optimizer.step()
        assert not np.array_equal(net.head.weight.numpy(), weight)
        assert net.head.weight.grad is not None
        assert str(net.head.weight.grad.dtype) == dtype
    assert str(net.features[0].norm.num_batches_tracked.dtype) == "int64"


def test_half_precision_keeps_buffers_in_float32() -> None:
    net = Net().half()
    assert {str(p.dtype) for p in net.parameters()} == {"float16"}
    assert str(net.features[0].norm.running_var.dtype) == "float32"
    assert str(net(tg.randn(2, 1, 4, 4, dtype="float16")).dtype) == "float16"
    assert {str(p.dtype) for p in net.to("float64").parameters()} == {"float64"}
    for call in (lambda: net.to(dtype="int32"), lambda: net.to("int32")):
        with pytest.raises(DTypeError, match="floating-point dtype"):
            call()


def test_to_moves_to_a_device(device: str) -> None:
    net = Net().to(device)
    assert {str(t.device) for t in (*net.parameters(), *net.buffers())} == {str(tg.get_device(device))}
    assert net(tg.randn(2, 1, 4, 4, device=device)).shape == (2, 2)


def test_deepcopy_is_independent() -> None:
    net = Net().eval()
    twin = copy.deepcopy(net)
    assert not twin.training
    images = tg.randn(2, 1, 4, 4)
    np.testing.assert_array_equal(twin(images).numpy(), net(images).numpy())
    with tg.no_grad():
        twin.scale.assign_([5.0])
    assert net.scale.item() == 2.0
    assert isinstance(twin.scale, nn.Parameter)


def test_hooks_see_and_replace_and_can_be_removed() -> None:
    layer = nn.Identity()
    seen: list[Any] = []
    before = layer.register_forward_pre_hook(lambda module, args: (args[0] * 2.0,))
    after = layer.register_forward_hook(lambda module, args, output: seen.append((args[0].item(), output.item())))
    replace = layer.register_forward_hook(lambda module, args, output: output + 1.0)
    assert layer(tg.tensor([3.0])).item() == 7.0
    assert seen == [(6.0, 6.0)]
    before.remove()
    replace.remove()
    assert layer(tg.tensor([3.0])).item() == 3.0
    after.remove()
    layer(tg.tensor([4.0]))
    assert seen == [(6.0, 6.0), (3.0, 3.0)]


def scopes(output: tg.Tensor) -> set[str]:
    found, pending = set(), [output._node]
    while pending:
        node = pending.pop()
        if isinstance(node, Node):
            found.add(node.scope)
            pending.extend(node.edges)  # type: ignore[arg-type]
    return found


def test_operations_carry_the_path_of_their_module() -> None:
    anyway = {"Net", "Net/head", "Net/features/0/conv", "Net/features/1"}
    assert scopes(Net()(tg.randn(2, 1, 4, 4))) == anyway | {"Net/features/0"}  # the fused pair is the block's
    with nn.fusion(False):
        assert scopes(Net()(tg.randn(2, 1, 4, 4))) == anyway | {"Net/features/0/norm", "Net/features/0/act"}


def test_modules_of_a_list_are_scoped_by_the_list_too() -> None:
    class Listed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleList([nn.ModuleList([nn.Linear(2, 2)])])
            self.parts[0].append(nn.Linear(2, 2))

        def forward(self, input: tg.Tensor) -> Any:
            for part in self.parts[0]:
                input = part(input)
            return input

    assert scopes(Listed()(tg.ones(1, 2))) == {"Listed/parts/0/0", "Listed/parts/0/1"}


def test_a_scope_is_left_when_forward_fails() -> None:
    with pytest.raises(ArgumentError):
        Net()(tg.ones(2, 3, 4, 4))
    assert (tg.tensor([1.0], requires_grad=True) * 2.0)._node.scope == ""  # type: ignore[union-attr]


def test_no_node_survives_a_training_step() -> None:
    net = Net()
    optimizer = tg.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        net(tg.randn(4, 1, 4, 4)).sum().backward()
        optimizer.step()

    def live() -> int:
        gc.collect()
        return sum(type(thing) is Node for thing in gc.get_objects())

    before = live()
    step()
    step()
    assert live() == before


def test_a_module_without_forward_says_so() -> None:
    with pytest.raises(GraphError, match=r"expected a method forward\(self, input\)"):
        nn.Module()(tg.ones(1))
