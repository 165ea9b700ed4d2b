"""Winograd's transforms of tiles, as machine code for compiled kernels.

A convolution of an (m+2, m+2) tile d with a 3x3 kernel g gives m x m outputs. As a product of polynomials, evaluated at
m + 2 points, it needs only (m+2)^2 multiplications for each pair of channels:

    Y = A^T [(G g G^T) * (B^T d B)] A        (Lavin & Gray 2015, "Fast algorithms for convolutional neural networks")

Of the same bilinear form follow the gradients: dg = G^T [(A dY A^T) * (B^T d B)] G. All five transforms are M X M^T on
vectors of channels. The points are 0, plus and minus a few fractions, and infinity. The fractions for m = 4 make half
the rounding error of the usual 1 and 2 (after Barabasz et al. 2020, "Error analysis and improving the accuracy of
Winograd convolution for deep neural networks"), and all matrices but G are exact in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .compiler import compiled_address
from .tile import VECTOR_BYTES
from .vector_code import INT, VectorCode, number

Matrix = list[list[Fraction]]

_POINTS = {2: [Fraction(1)], 4: [Fraction(5, 8), Fraction(3, 2)]}
_SIGNATURE = types.void(*[types.int64] * 9)


def matrices(tile: int) -> dict[str, Matrix]:
    """Return the five matrices M by what they transform, for tiles of 2x2 or 4x4 outputs.

    "input" is B^T (tile+2, tile+2), "weight" is G (tile+2, 3), "output" is A^T (tile, tile+2), "grad" is A and
    "weight_grad" is G^T. Point k's row in "input", "weight" and "grad" is followed by that of minus the point.
    """
    points = [Fraction(0), *(sign * point for point in _POINTS[tile] for sign in (1, -1))]
    spread, kernel, inputs = [], [], []
    for point in points:
        others = [other for other in points if other != point]
        inputs.append([*_polynomial(others), Fraction(0)])
        scale = Fraction(1)
        for other in others:
            scale *= point - other
        kernel.append([point**power / scale for power in range(3)])
        spread.append([point**power for power in range(tile)])
    inputs.append(_polynomial(points))
    kernel.append([Fraction(0), Fraction(0), Fraction(1)])
    spread.append([Fraction(0)] * (tile - 1) + [Fraction(1)])
    return {
        "input": inputs,
        "weight": kernel,
        "grad": spread,
        "output": _transposed(spread),
        "weight_grad": _transposed(kernel),
    }


def _polynomial(roots: Sequence[Fraction]) -> list[Fraction]:
    """Return the coefficients, constant first, of the product of (x - root)."""
    result = [Fraction(1)]
    for root in roots:
        result = [high - root * low for high, low in zip([Fraction(0), *result], [*result, Fraction(0)], strict=True)]
    return result


def _transposed(matrix: Matrix) -> Matrix:
    return [list(column) for column in zip(*matrix, strict=True)]


@cache
def transform_address(scalar: str, kind: str, tile: int, masked: bool) -> int:
    """Return the address of one transform for "float32" or "float64".

    The function takes nine integers: the number of channels; the address of the values, the distances between their
    rows and their columns; the address of the results, and the distances between theirs; the address of the bias, which
    only "output" looks at; and what of the tile lies inside the image: bit i is set for row i, bit 8 + j for column j.
    What lies outside counts as zero in "input" and "grad", and is not written in "output"; the others do not look.
    Distances are in bytes, and channels lie side by side.

    Args:
        kind: a key of `matrices`.
        masked: whether the number of channels may be other than a multiple of the vector's length.
    """
    variant = f"{scalar}-{kind}-{tile}-{masked}"
    return compiled_address(_SIGNATURE, _make_transform(scalar, kind, matrices(tile)[kind], masked), variant)


def _make_transform(scalar: str, kind: str, matrix: Matrix, masked: bool) -> Callable[..., None]:
    def write(
        typing_context: Any,
        channels: Any,
        source: Any,
        source_row: Any,
        source_column: Any,
        target: Any,
        target_row: Any,
        target_column: Any,
        bias: Any,
        inside: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _Transform(builder, scalar, kind, matrix, masked).write(*arguments)
            return context.get_dummy_value()

        return _SIGNATURE, generate

    code: Any = intrinsic(write)

    def transform(
        channels: int,
        source: int,
        source_row: int,
        source_column: int,
        target: int,
        target_row: int,
        target_column: int,
        bias: int,
        inside: int,
    ) -> None:
        code(channels, source, source_row, source_column, target, target_row, target_column, bias, inside)

    return transform


def _call_transform(
    typing_context: Any,
    address: Any,
    channels: Any,
    source: Any,
    source_row: Any,
    source_column: Any,
    target: Any,
    target_row: Any,
    target_column: Any,
    bias: Any,
    inside: Any,
) -> Any:
    """Call the function at `address` (from `transform_address`) with the other arguments."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [INT] * 9).as_pointer()
        builder.call(builder.inttoptr(arguments[0], kind), arguments[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 10), generate


call_transform: Any = intrinsic(_call_transform)


class _Transform:
    """Writes M X M^T for one vector of channels after the other."""

    def __init__(self, builder: Any, scalar: str, kind: str, matrix: Matrix, masked: bool) -> None:
        self.at = builder
        self.code = VectorCode(builder, scalar)
        self.kind, self.matrix, self.masked = kind, matrix, masked

    def write(
        self,
        channels: Any,
        source: Any,
        source_row: Any,
        source_column: Any,
        target: Any,
        target_row: Any,
        target_column: Any,
        bias: Any,
        inside: Any,
    ) -> None:
        """Write the loop over the channels."""
        at, code = self.at, self.code
        reads, writes = self.kind in ("input", "grad"), self.kind == "output"
        elsewhere = code.place_of_zeros()
        start, loop, done = at.block, at.append_basic_block("channels"), at.append_basic_block("done")
        at.cbranch(at.icmp_signed(">", channels, number(0)), loop, done)
        at.position_at_end(loop)
        offset, left = at.phi(INT), at.phi(INT)
        offset.add_incoming(number(0), start)
        left.add_incoming(channels, start)
        mask = code.first_lanes(left) if self.masked else None
        results, width = len(self.matrix), len(self.matrix[0])
        across = []
        for column in range(width):
            first = at.add(at.add(source, offset), at.mul(source_column, number(column)))
            values = []
            for row in range(width):
                address = at.add(first, at.mul(source_row, number(row)))
                address = self._choose(inside, row, column, address, elsewhere) if reads else address
                values.append(code.load(address, mask))
            across.append(self._product(values))
        added = code.load(at.add(bias, offset), mask) if writes else None
        for row in range(results):
            first = at.add(at.add(target, offset), at.mul(target_row, number(row)))
            for column, value in enumerate(self._product([values[row] for values in across])):
                address = at.add(first, at.mul(target_column, number(column)))
                if writes:
                    value = at.fadd(value, added)
                    address = self._choose(inside, row, column, address, elsewhere)
                code.store(value, address, mask)
        offset.add_incoming(at.add(offset, number(VECTOR_BYTES)), loop)
        rest = at.sub(left, number(code.lanes))
        left.add_incoming(rest, loop)
        at.cbranch(at.icmp_signed(">", rest, number(0)), loop, done)
        at.position_at_end(done)

    def _choose(self, inside: Any, row: int, column: int, address: Any, elsewhere: Any) -> Any:
        at = self.at
        bits = number(1 << row | 1 << 8 + column)
        return at.select(at.icmp_signed("==", at.and_(inside, bits), bits), address, elsewhere)

    def _product(self, values: list[Any]) -> list[Any]:
        """Return the matrix times the values; a point and minus that point share their even and odd parts."""
        at, matrix = self.at, self.matrix
        if len(matrix) < len(values):
            terms, columns = [values[0], values[-1]], _transposed(matrix)
            parts = [columns[0], columns[-1]]
            for plus in range(1, len(values) - 1, 2):
                terms += [at.fadd(values[plus], values[plus + 1]), at.fsub(values[plus], values[plus + 1])]
                parts += _even_and_odd(columns[plus], columns[plus + 1])
            return [self._sum(row, terms) for row in _transposed(parts)]
        results = [self._sum(matrix[0], values)]
        for plus in range(1, len(matrix) - 1, 2):
            even, odd = _even_and_odd(matrix[plus], matrix[plus + 1])
            scale = next(factor for factor in reversed(odd) if factor)
            even_sum, odd_sum = self._sum(even, values), self._sum([factor / scale for factor in odd], values)
            results += [self._add_product(sign * scale, odd_sum, even_sum) for sign in (1, -1)]
        return [*results, self._sum(matrix[-1], values)]

    def _sum(self, factors: Sequence[Fraction], values: list[Any]) -> Any:
        terms = sorted(((f, v) for f, v in zip(factors, values, strict=True) if f), key=lambda term: term[0] != 1)
        (factor, value), *rest = terms
        result = value if factor == 1 else self.at.fmul(self.code.constant(float(factor)), value)
        for factor, value in rest:
            result = self._add_product(factor, value, result)
        return result

    def _add_product(self, factor: Fraction, value: Any, result: Any) -> Any:
        if abs(factor) == 1:
            return (self.at.fadd if factor == 1 else self.at.fsub)(result, value)
        return self.code.multiply_add(self.code.constant(float(factor)), value, result)


def _even_and_odd(plus: Sequence[Fraction], minus: Sequence[Fraction]) -> list[list[Fraction]]:
    pairs = list(zip(plus, minus, strict=True))
    return [[(p + m) / 2 for p, m in pairs], [(p - m) / 2 for p, m in pairs]]
