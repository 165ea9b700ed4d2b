"""Transposing a block of a matrix in registers, for compiled kernels."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .compiler import compiled_address
from .vector_code import INT, VectorCode, number

_SIGNATURE = types.void(*[types.int64] * 6)


@cache
def transpose_address(scalar: str) -> int:
    """Return the address of the transposition for "float32" or "float64".

    The function takes six integers: rows and columns, neither more than a vector has lanes; the address of the first
    row, and the distance between rows; and the same of the result. Distances are in bytes.
    """
    return compiled_address(_SIGNATURE, _make_transpose(scalar), scalar)


def _make_transpose(scalar: str) -> Callable[..., None]:
    def write(
        typing_context: Any,
        rows: Any,
        columns: Any,
        source: Any,
        source_row: Any,
        target: Any,
        target_row: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _write(VectorCode(builder, scalar), *arguments)
            return context.get_dummy_value()

        return _SIGNATURE, generate

    code: Any = intrinsic(write)

    def transpose(rows: int, columns: int, source: int, source_row: int, target: int, target_row: int) -> None:
        code(rows, columns, source, source_row, target, target_row)

    return transpose


def _write(
    code: VectorCode, rows: Any, columns: Any, source: Any, source_row: Any, target: Any, target_row: Any
) -> None:
    """Exchange blocks of 1, 2, 4, ... lanes between pairs of vectors."""
    at, lanes = code.at, code.lanes
    elsewhere = code.place_of_zeros()

    def place(start: Any, distance: Any, row: int, count: Any) -> Any:
        within = at.icmp_signed("<", number(row), count)
        return at.select(within, at.add(start, at.mul(distance, number(row))), elsewhere)

    mask = code.first_lanes(columns)
    vectors = [code.load(place(source, source_row, row, rows), mask) for row in range(lanes)]
    width = 1
    while width < lanes:
        keeps = [lane for lane in range(lanes) if not lane & width]
        for row in keeps:
            a, b = vectors[row], vectors[row + width]
            even = [lane if lane in keeps else lanes + lane - width for lane in range(lanes)]
            odd = [lane + width if lane in keeps else lanes + lane for lane in range(lanes)]
            vectors[row], vectors[row + width] = code.shuffle(a, b, even), code.shuffle(a, b, odd)
        width *= 2
    mask = code.first_lanes(rows)
    for row, vector in enumerate(vectors):
        code.store(vector, place(target, target_row, row, columns), mask)


def _call_transpose(
    typing_context: Any,
    address: Any,
    rows: Any,
    columns: Any,
    source: Any,
    source_row: Any,
    target: Any,
    target_row: Any,
) -> Any:
    """Call the function at `address` (from `transpose_address`) with the other arguments."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [INT] * 6).as_pointer()
        builder.call(builder.inttoptr(arguments[0], kind), arguments[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7), generate


call_transpose: Any = intrinsic(_call_transpose)
