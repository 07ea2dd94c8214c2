"""Exact quantiles of data that do not fit in memory, by reading them several times.

Finite floats sort like the whole numbers that their bits spell, once the bits of negative ones are flipped. So the value of
a rank is found digit by digit, as in a radix sort: each pass counts one digit of those numbers that agree with what is known
of the value so far. With 16 bits a digit, four passes find every value exactly, whatever the distribution.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vla_runtime.actions.columns import Column, Rows

WORD = 64  # [bits] of a float64
DIGIT = 16  # [bits] that a pass finds at most; more would cost memory and save no pass
COUNTS = 3  # arrays of int64 as large as the counts that are alive at a time
SIGN = np.uint64(1 << 63)

Keys = NDArray[np.uint64]


def exact_quantiles(column: Column, quantiles: Sequence[float], memory_bytes: int) -> NDArray[np.float64]:
    """What np.quantile gives for all rows at once (linear interpolation), to the bit.

    Args:
        column: Read once per pass, or only once if it fits in memory.
        quantiles: Each from 0 to 1.
        memory_bytes: What the counts may take [bytes].

    Returns:
        Shape (quantiles, axes).
    """
    places = [quantile * (column.length - 1) for quantile in quantiles]
    lower = [int(place) for place in places]
    ranks = sorted({*lower, *(min(rank + 1, column.length - 1) for rank in lower)})
    values = dict(zip(ranks, _values_of_ranks(column, ranks, memory_bytes), strict=True))
    return np.stack(
        [
            np.quantile([values[rank], values[min(rank + 1, column.length - 1)]], place - rank, axis=0)
            for place, rank in zip(places, lower, strict=True)
        ]
    )


def passes(column: Column, ranks: int, memory_bytes: int) -> int:
    """How often the column is read for so many ranks."""
    return -(-WORD // _digit_bits(column.axes * ranks, memory_bytes))


def _digit_bits(searches: int, memory_bytes: int) -> int:
    affordable = memory_bytes // (searches * 8 * COUNTS)
    return min(max(affordable.bit_length() - 1, 1), DIGIT)


def _values_of_ranks(column: Column, ranks: Sequence[int], memory_bytes: int) -> Rows:
    """The values that would stand at these places if each axis were sorted, shape (ranks, axes)."""
    bits = _digit_bits(column.axes * len(ranks), memory_bytes)
    known: Keys = np.zeros((len(ranks), column.axes), dtype=np.uint64)  # the digits so far
    within = np.repeat(
        np.asarray(ranks, dtype=np.int64)[:, None], column.axes, axis=1
    )  # rank among equal ones
    left = WORD
    while left > 0:
        step = min(bits, left)
        counts = _count_digits(column, known, left, step)
        left -= step
        totals = np.cumsum(counts, axis=2)
        digits = (totals <= within[..., None]).sum(axis=2)
        before = np.take_along_axis(totals - counts, digits[..., None], axis=2)[..., 0]
        within -= before
        known = known << np.uint64(step) | digits.astype(np.uint64)
    return _floats(known)


def _count_digits(column: Column, known: Keys, left: int, step: int) -> NDArray[np.int64]:
    """How often each next digit follows the known ones, shape (ranks, axes, 2^step)."""
    ranks, axes = known.shape
    counts = np.zeros((ranks, axes, 1 << step), dtype=np.int64)
    for rows in column.pieces():
        for axis in range(axes):
            keys = _keys(rows[:, axis])
            for rank in range(ranks):
                if rank and known[rank, axis] == known[rank - 1, axis]:
                    continue  # counted already
                fitting = keys if left == WORD else keys[keys >> np.uint64(left) == known[rank, axis]]
                digits = fitting >> np.uint64(left - step) & np.uint64((1 << step) - 1)
                counts[rank, axis] += np.bincount(digits.astype(np.int64), minlength=1 << step)
    for rank in range(1, ranks):
        same = known[rank] == known[rank - 1]
        counts[rank, same] = counts[rank - 1, same]
    return counts


def _keys(values: NDArray[np.float64]) -> Keys:
    """Whole numbers that sort as the values do; both zeros are the same."""
    bits = (values + 0.0).view(np.uint64)
    return np.where(bits & SIGN, ~bits, bits | SIGN)


def _floats(keys: Keys) -> Rows:
    return np.where(keys & SIGN, keys ^ SIGN, ~keys).view(np.float64)
