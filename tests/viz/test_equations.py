"""Every differentiable operation has its equation, and none is told of an operation that does not exist."""

from __future__ import annotations

from tinygrad_bn import ops
from tinygrad_bn.autograd import Op
from tinygrad_bn.viz.equations import EQUATIONS, equation_of


def operations() -> set[str]:
    kinds, waiting = [], [Op]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.startswith(f"{ops.__name__}.") and kind.name and kind.differentiable:
            kinds.append(kind)
    return {kind.name.removesuffix("_eval") for kind in kinds} | set(ops.TRAITS)


def test_every_differentiable_operation_has_an_equation() -> None:
    assert operations() - set(EQUATIONS) == set()


def test_every_equation_belongs_to_an_operation() -> None:
    assert set(EQUATIONS) - operations() <= {"floor_divide"}


def test_an_unknown_operation_has_none() -> None:
    assert equation_of("my_operation") is None
    assert equation_of("tanh") == {"forward": "y = tanh x", "backward": "dx = g · (1 − y²)"}
