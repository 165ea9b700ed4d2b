"""Matrix products for compiled kernels, on addresses: C (+)= A @ B with any distances between rows.

`gemm_address` compiles one function for each dtype, and `call_gemm` calls it from a kernel by its address. So all
kernels share one copy of its machine code.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .compiler import compiled_address
from .tile import MOST_ROWS, VECTOR_BYTES, make_tile

_SIGNATURE = types.void(*[types.int64] * 11)


@cache
def gemm_address(scalar: str) -> int:
    """Return the address of the matrix product for "float32" or "float64".

    The function takes eleven integers: rows, columns and depth; the address of A (rows, depth), the distances between
    its rows and between its columns; the address of B (depth, columns) and the distance between its rows; the address
    of C (rows, columns) and the distance between its rows; and whether to add to C (1) or to overwrite it
    (0). Distances are in bytes. The elements of a row of B and of C lie side by side.
    """
    return compiled_address(_SIGNATURE, _make_gemm(scalar), scalar)


def _make_gemm(scalar: str) -> Callable[..., None]:
    size = 4 if scalar == "float32" else 8
    lanes = VECTOR_BYTES // size
    wide = 2 * lanes
    whole, cut, narrow = make_tile(scalar, 2, False), make_tile(scalar, 2, True), make_tile(scalar, 1, True)

    def gemm(
        rows: int,
        columns: int,
        depth: int,
        a: int,
        a_row: int,
        a_column: int,
        b: int,
        b_row: int,
        c: int,
        c_row: int,
        add: int,
    ) -> None:
        tiles = (rows + MOST_ROWS - 1) // MOST_ROWS
        column = 0
        while column < columns:
            left = columns - column
            b_now = b + column * size
            row = 0
            for tile in range(tiles):
                height = (rows - row) // (tiles - tile)  # tiles of nearly equal height
                a_now = a + row * a_row
                c_now = c + row * c_row + column * size
                if left >= wide:
                    whole(height, a_now, a_row, a_column, b_now, b_row, c_now, c_row, depth, add, 0)
                elif left > lanes:
                    cut(height, a_now, a_row, a_column, b_now, b_row, c_now, c_row, depth, add, left - lanes)
                else:
                    narrow(height, a_now, a_row, a_column, b_now, b_row, c_now, c_row, depth, add, left)
                row += height
            column += wide if left > lanes else lanes

    return gemm


def _call_gemm(
    typing_context: Any,
    address: Any,
    rows: Any,
    columns: Any,
    depth: Any,
    a: Any,
    a_row: Any,
    a_column: Any,
    b: Any,
    b_row: Any,
    c: Any,
    c_row: Any,
    add: Any,
) -> Any:
    """Call the function at `address` (from `gemm_address`) with the other arguments."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        integer = ir.IntType(64)
        kind = ir.FunctionType(ir.VoidType(), [integer] * 11).as_pointer()
        builder.call(builder.inttoptr(arguments[0], kind), arguments[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 12), generate


call_gemm: Any = intrinsic(_call_gemm)
