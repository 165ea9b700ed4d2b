"""The innermost loop of every matrix product: a few rows times a few vectors of the result, kept in registers.

    C[0:rows, 0:columns] (+)= A[0:rows, 0:depth] @ B[0:depth, 0:columns]

For each of the `depth` steps one or two vectors of B are loaded, and each row's element of A is multiplied into both
(Goto & van de Geijn 2008, "Anatomy of high-performance matrix multiplication"). A compiler does not keep that many sums
in registers by itself when the number of rows is a variable, so the loop is written in LLVM's language, once for every
number of rows. Distances in memory are given in bytes, any for A; the elements of a row of B and C lie side by side.
So a convolution can use it on images as they are, and nothing needs to be copied together first.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_INT, _INT32, _BIT = ir.IntType(64), ir.IntType(32), ir.IntType(1)


def _registers() -> tuple[int, int]:
    """Return the bytes of this CPU's widest vector register, and how many of them there are."""
    features = llvmlite.binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 64, 32
    if features.get("avx") and features.get("fma"):
        return 32, 16
    return 16, 32 if features.get("neon") else 16


VECTOR_BYTES, _NUMBER_OF_REGISTERS = _registers()

MOST_ROWS = 14 if _NUMBER_OF_REGISTERS == 32 else 6
"""Rows of a tile of two vectors, so that all sums, two vectors of B and one element of A fit into registers."""


def make_tile(scalar: str, vectors: int, masked: bool) -> Any:
    """Return a function for compiled kernels that computes one tile.

    Its arguments, all integers: rows (1 to MOST_ROWS), the address of A and the distances between its rows and its
    columns, the address of B and the distance between its rows, the same of C, depth, whether to add to C, and how many
    elements the last vector has (only looked at if `masked`).

    Args:
        scalar: "float32" or "float64".
        vectors: how many vectors wide the tile is.
        masked: whether the last vector is cut off.
    """

    @intrinsic
    def tile(
        typing_context: Any,
        rows: Any,
        a: Any,
        a_row: Any,
        a_column: Any,
        b: Any,
        b_row: Any,
        c: Any,
        c_row: Any,
        depth: Any,
        add: Any,
        last: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            name = f"tile_{scalar}_{vectors}{'_masked' if masked else ''}"
            function = builder.module.globals.get(name) or _Tile(builder.module, name, scalar, vectors, masked).function
            builder.call(function, arguments)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 11), generate

    return tile


class _Tile:
    """Writes the function of one kind of tile into an LLVM module: a switch, and a loop for each number of rows."""

    def __init__(self, module: Any, name: str, scalar: str, vectors: int, masked: bool) -> None:
        self.size = 4 if scalar == "float32" else 8
        self.lanes = VECTOR_BYTES // self.size
        self.scalar = ir.FloatType() if scalar == "float32" else ir.DoubleType()
        self.vector = ir.VectorType(self.scalar, self.lanes)
        self.zero = ir.Constant(self.vector, [0.0] * self.lanes)
        self.vectors, self.masked = vectors, masked
        self.module = module
        self.function = ir.Function(module, ir.FunctionType(ir.VoidType(), [_INT] * 11), name)
        self.function.linkage = "internal"
        self.function.attributes.add("noinline")
        rows, *_, last = self.function.args
        entry = ir.IRBuilder(self.function.append_basic_block("entry"))
        done = self.function.append_basic_block("done")
        self.mask = self._mask(entry, last) if masked else None
        switch = entry.switch(rows, done)
        for number in range(1, MOST_ROWS + 1):
            switch.add_case(_number(number), self._rows(number, done))
        ir.IRBuilder(done).ret_void()

    def _rows(self, rows: int, done: Any) -> Any:
        """Write the loop for one number of rows, and return its first block."""
        _, a, a_row, a_column, b, b_row, c, c_row, depth, add, _ = self.function.args
        start, loop, after, adding, storing = (
            self.function.append_basic_block(f"{part}_{rows}") for part in ("start", "loop", "after", "add", "store")
        )
        columns = range(self.vectors)

        at = ir.IRBuilder(start)
        # The addresses of three rows are one register plus nothing, one or two times the distance.
        firsts = [at.add(a, at.mul(a_row, _number(row))) for row in range(0, rows, 3)]
        twice = at.add(a_row, a_row)
        at.cbranch(at.icmp_signed(">", depth, _number(0)), loop, after)

        at = ir.IRBuilder(loop)
        left, b_now = self._phi(at, _INT, depth, start), self._phi(at, _INT, b, start)
        a_now = [self._phi(at, _INT, first, start) for first in firsts]
        sums = [[self._phi(at, self.vector, self.zero, start) for _ in columns] for _ in range(rows)]
        factors = [self._load(at, b_now, column) for column in columns]
        new = []
        for row in range(rows):
            address = a_now[row // 3]
            if row % 3:
                address = at.add(address, a_row if row % 3 == 1 else twice)
            element = self._spread(at, at.load(at.inttoptr(address, self.scalar.as_pointer()), align=self.size))
            new.append([at.call(self._fma(), [element, factors[column], sums[row][column]]) for column in columns])
        for phi, step in ((b_now, b_row), *((address, a_column) for address in a_now)):
            phi.add_incoming(at.add(phi, step), loop)
        for row in range(rows):
            for column in columns:
                sums[row][column].add_incoming(new[row][column], loop)
        rest = at.sub(left, _number(1))
        left.add_incoming(rest, loop)
        at.cbranch(at.icmp_signed(">", rest, _number(0)), loop, after)

        at = ir.IRBuilder(after)
        totals = [[self._phi(at, self.vector, self.zero, start) for _ in columns] for _ in range(rows)]
        for row in range(rows):
            for column in columns:
                totals[row][column].add_incoming(new[row][column], loop)
        at.cbranch(at.icmp_signed("!=", add, _number(0)), adding, storing)

        at = ir.IRBuilder(adding)
        added = []
        for row in range(rows):
            address = at.add(c, at.mul(c_row, _number(row)))
            added.append([at.fadd(self._load(at, address, column), totals[row][column]) for column in columns])
        at.branch(storing)

        at = ir.IRBuilder(storing)
        results = [
            [self._phi(at, self.vector, totals[row][column], after) for column in columns] for row in range(rows)
        ]
        for row in range(rows):
            address = at.add(c, at.mul(c_row, _number(row)))
            for column in columns:
                results[row][column].add_incoming(added[row][column], adding)
                self._store(at, results[row][column], address, column)
        at.branch(done)
        return start

    def _phi(self, at: Any, kind: Any, value: Any, block: Any) -> Any:
        phi = at.phi(kind)
        phi.add_incoming(value, block)
        return phi

    def _place(self, at: Any, address: Any, column: int) -> Any:
        return at.inttoptr(at.add(address, _number(column * VECTOR_BYTES)), self.vector.as_pointer())

    def _load(self, at: Any, address: Any, column: int) -> Any:
        place = self._place(at, address, column)
        if self.masked and column == self.vectors - 1:
            arguments = [place, ir.Constant(_INT32, self.size), self.mask, self.zero]
            return at.call(self._llvm("masked.load", ".p0", self.vector, arguments), arguments)
        return at.load(place, align=self.size)

    def _store(self, at: Any, value: Any, address: Any, column: int) -> None:
        place = self._place(at, address, column)
        if self.masked and column == self.vectors - 1:
            arguments = [value, place, ir.Constant(_INT32, self.size), self.mask]
            at.call(self._llvm("masked.store", ".p0", ir.VoidType(), arguments), arguments)
        else:
            at.store(value, place, align=self.size)

    def _fma(self) -> Any:
        return self._llvm("fma", "", self.vector, [self.zero] * 3)

    def _llvm(self, operation: str, ending: str, result: Any, arguments: list[Any]) -> Any:
        """Return LLVM's own function of that name for this kind of vector."""
        name = f"llvm.{operation}.v{self.lanes}f{self.size * 8}{ending}"
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        return self.module.globals.get(name) or ir.Function(self.module, kind, name)

    def _spread(self, at: Any, element: Any) -> Any:
        """Return a vector with the element in every lane."""
        vector = ir.VectorType(element.type, self.lanes)
        undefined = ir.Constant(vector, ir.Undefined)
        first = at.insert_element(undefined, element, ir.Constant(_INT32, 0))
        return at.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_INT32, self.lanes), [0] * self.lanes))

    def _mask(self, at: Any, last: Any) -> Any:
        """Return a vector that is true in the first `last` lanes."""
        lanes = ir.Constant(ir.VectorType(_INT32, self.lanes), list(range(self.lanes)))
        return at.icmp_signed("<", lanes, self._spread(at, at.trunc(last, _INT32)))


def _number(value: int) -> Any:
    return ir.Constant(_INT, value)
