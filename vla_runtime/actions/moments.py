"""Mean, spread and extremes of rows that come in pieces."""

from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from vla_runtime.actions.columns import Column, Rows


@dataclass(frozen=True)
class Moments:
    """Of all rows so far; arrays of shape (axes,).

    Attributes:
        count: Rows.
        mean: In the rows' units.
        squares: Sum of squared distances from the mean.
        low, high: Smallest and largest value.
        at_low, at_high: How many rows are exactly there.
    """

    count: int
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    at_low: NDArray[np.int64]
    at_high: NDArray[np.int64]

    @property
    def std(self) -> NDArray[np.float64]:
        """Standard deviation over all rows (divided by their number, as the original does)."""
        return np.sqrt(self.squares / self.count)


def moments(column: Column) -> Moments:
    """Of a whole column, in one pass."""
    return reduce(merged, map(_of_piece, column.pieces()))


def merged(first: Moments, second: Moments) -> Moments:
    """Of two sets of rows together. Formula: Chan, Golub, LeVeque 1979, "Updating formulae", for means and squares."""
    count = first.count + second.count
    apart = second.mean - first.mean
    low, high = np.minimum(first.low, second.low), np.maximum(first.high, second.high)
    return Moments(
        count,
        first.mean + apart * (second.count / count),
        first.squares + second.squares + apart**2 * (first.count * second.count / count),
        low,
        high,
        first.at_low * (first.low == low) + second.at_low * (second.low == low),
        first.at_high * (first.high == high) + second.at_high * (second.high == high),
    )


def _of_piece(rows: Rows) -> Moments:
    mean, low, high = rows.mean(axis=0), rows.min(axis=0), rows.max(axis=0)
    squares = ((rows - mean) ** 2).sum(axis=0)
    return Moments(len(rows), mean, squares, low, high, (rows == low).sum(axis=0), (rows == high).sum(axis=0))
