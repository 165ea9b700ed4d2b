"""Two algorithms on sequences: the alignment of most similarity, and the heaviest increasing subsequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Scores = Callable[[int, int, int], Any]
"""scores(i, low, high): similarity of element i of the first sequence to each of low, ..., high - 1, int64 >= 0."""

MOST_CELLS = 4_000_000
"""Cells of a table that is held in memory as a whole (32 MB)."""


def align(first: int, second: int, scores: Scores) -> list[tuple[int, int]]:
    """Pair elements of two sequences, in order, so that the sum of the similarities is as large as possible.

    Needleman & Wunsch 1970 without a price for gaps, so that a row of the table is a running maximum; in the linear
    memory of Hirschberg 1975 where the table is large. Elements of no similarity are never paired.

    Args:
        first, second: lengths of the sequences.
        scores: similarities.

    Returns:
        Positions in the first and in the second sequence, both increasing.

    >>> words = "conv", "norm", "relu"
    >>> others = "conv", "relu", "norm", "relu"
    >>> same = lambda i, low, high: np.array([int(words[i] == other) for other in others[low:high]], np.int64)
    >>> align(3, 4, same)
    [(0, 0), (1, 2), (2, 3)]
    """
    pairs: list[tuple[int, int]] = []
    waiting = [(0, first, 0, second)]
    while waiting:
        top, bottom, left, right = waiting.pop()
        if top == bottom or left == right:
            continue
        if bottom - top == 1 or (bottom - top + 1) * (right - left + 1) <= MOST_CELLS:
            pairs += _align_small(top, bottom, left, right, scores)
            continue
        middle = (top + bottom) // 2
        above = np.zeros(right - left + 1, np.int64)
        for i in range(top, middle):
            above = _next_row(above, scores(i, left, right))
        below = np.zeros(right - left + 1, np.int64)
        for i in range(bottom - 1, middle - 1, -1):
            below = _next_row(below, scores(i, left, right)[::-1])
        cut = left + int(np.argmax(above + below[::-1]))
        waiting += [(middle, bottom, cut, right), (top, middle, left, cut)]
    return pairs


def _next_row(row: Any, similarities: Any) -> Any:
    result = row.copy()
    np.maximum(result[1:], row[:-1] + similarities, out=result[1:])
    return np.maximum.accumulate(result, out=result)


def _align_small(top: int, bottom: int, left: int, right: int, scores: Scores) -> list[tuple[int, int]]:
    table = np.zeros((bottom - top + 1, right - left + 1), np.int64)
    for row in range(bottom - top):
        table[row + 1] = _next_row(table[row], scores(top + row, left, right))
    pairs = []
    row, column = bottom - top, right - left
    while row and column:
        if table[row, column] == table[row, column - 1]:
            column -= 1
        elif table[row, column] == table[row - 1, column]:
            row -= 1
        else:
            row, column = row - 1, column - 1
            pairs.append((top + row, left + column))
    return pairs[::-1]


def heaviest_increasing(values: Sequence[int], weights: Sequence[int]) -> list[int]:
    """Return the positions of the heaviest strictly increasing subsequence, in O(n log n) with a Fenwick tree.

    Args:
        values: different numbers.
        weights: a positive weight for each.

    >>> heaviest_increasing([0, 3, 1, 2], [1, 1, 1, 1]), heaviest_increasing([0, 3, 1, 2], [1, 5, 1, 1])
    ([0, 2, 3], [0, 1])
    """
    rank = {value: number for number, value in enumerate(sorted(values), 1)}
    tree: list[tuple[int, int]] = [(0, -1)] * (len(values) + 1)  # of ranges of ranks: the best sum, and where it ends
    before: list[int] = []
    best = (0, -1)
    for position, value in enumerate(values):
        sum_, last = 0, -1
        number = rank[value] - 1
        while number:
            if tree[number][0] > sum_:
                sum_, last = tree[number]
            number &= number - 1
        before.append(last)
        found = (sum_ + weights[position], position)
        number = rank[value]
        while number <= len(values):
            if found[0] > tree[number][0]:
                tree[number] = found
            number += number & -number
        if found[0] > best[0]:
            best = found
    kept = []
    position = best[1]
    while position >= 0:
        kept.append(position)
        position = before[position]
    return kept[::-1]
