"""Writing vector code at addresses in LLVM's language, for functions that kernels call by their own address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from .tile import VECTOR_BYTES

INT, _INT32 = ir.IntType(64), ir.IntType(32)


class VectorCode:
    """Adds instructions on vectors of one scalar type to the function that a builder writes.

    Args:
        at: llvmlite's builder.
        scalar: "float32" or "float64".
    """

    def __init__(self, at: Any, scalar: str) -> None:
        self.at = at
        self.size = 4 if scalar == "float32" else 8
        self.lanes = VECTOR_BYTES // self.size
        self.vector = ir.VectorType(ir.FloatType() if scalar == "float32" else ir.DoubleType(), self.lanes)
        self.zeros = self.constant(0.0)

    def constant(self, value: float) -> Any:
        """Return a vector that holds the value in every lane."""
        return ir.Constant(self.vector, [value] * self.lanes)

    def load(self, address: Any, mask: Any = None) -> Any:
        """Load the lanes that the mask names, all without one; the others are zero."""
        place = self.at.inttoptr(address, self.vector.as_pointer())
        if mask is None:
            return self.at.load(place, align=self.size)
        arguments = [place, ir.Constant(_INT32, self.size), mask, self.zeros]
        return self._call("masked.load", ".p0", self.vector, arguments)

    def store(self, value: Any, address: Any, mask: Any = None) -> None:
        """Store the lanes that the mask names, all without one."""
        place = self.at.inttoptr(address, self.vector.as_pointer())
        if mask is None:
            self.at.store(value, place, align=self.size)
        else:
            self._call("masked.store", ".p0", ir.VoidType(), [value, place, ir.Constant(_INT32, self.size), mask])

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """Return a * b + c."""
        return self._call("fma", "", self.vector, [a, b, c])

    def shuffle(self, a: Any, b: Any, lanes: Sequence[int]) -> Any:
        """Return the named lanes of a, and of b from `self.lanes` on."""
        return self.at.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INT32, self.lanes), list(lanes)))

    def first_lanes(self, count: Any) -> Any:
        """Return the mask of the first `count` lanes."""
        kind = ir.VectorType(_INT32, self.lanes)
        nothing = ir.Constant(kind, ir.Undefined)
        single = self.at.insert_element(nothing, self.at.trunc(count, _INT32), ir.Constant(_INT32, 0))
        spread = self.at.shuffle_vector(single, nothing, ir.Constant(kind, [0] * self.lanes))
        return self.at.icmp_signed("<", ir.Constant(kind, list(range(self.lanes))), spread)

    def place_of_zeros(self) -> Any:
        """Return the address of a vector of zeros of the function's own, to read or to write what does not count."""
        place = cgutils.alloca_once(self.at, self.vector)
        self.at.store(self.zeros, place)
        return self.at.ptrtoint(place, INT)

    def _call(self, operation: str, ending: str, result: Any, arguments: list[Any]) -> Any:
        """Call LLVM's own function of that name for this kind of vector."""
        name = f"llvm.{operation}.v{self.lanes}f{self.size * 8}{ending}"
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        function = self.at.module.globals.get(name) or ir.Function(self.at.module, kind, name)
        return self.at.call(function, arguments)


def number(value: int) -> Any:
    """Return an integer constant."""
    return ir.Constant(INT, value)
