"""Bins along each axis: uniform ones, or with equally many of a data set's actions in each."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_runtime.errors import ConfigurationError, InvalidTokens

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Bins:
    """What a bin stands for is its centre; a value goes to the nearest centre of its axis.

    Nearest and not "between two edges": where bins are uniform it is the same, and elsewhere the error is no larger.

    Attributes:
        centres: By axis, ascending, normalised.
    """

    centres: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        """Refuse axes without a centre, and centres that are not finite and ascending."""
        for axis, centres in enumerate(self.centres):
            steps = np.diff(centres)
            if not centres or not np.isfinite(centres).all() or (steps <= 0).any():
                raise ConfigurationError(
                    f"bins of axis {axis}: expected one or more ascending, finite centres"
                )
        if not self.centres:
            raise ConfigurationError("bins without an axis: expected one or more axes")

    @classmethod
    def uniform(cls, bins: int, axes: int) -> "Bins":
        """Equal ones over [-1, 1]."""
        if bins < 1:
            raise ConfigurationError(f"bins {bins}: expected 1 or more")
        centres = (np.arange(bins) + 0.5) * (2.0 / bins) - 1.0
        return cls((tuple(centres.tolist()),) * axes)

    @classmethod
    def between(cls, edges: Sequence[Sequence[float]]) -> "Bins":
        """Between edges, by axis, ascending; a value that is several edges at once is the centre of a bin of its own."""
        ends = [np.asarray(axis, dtype=np.float64) for axis in edges]
        return cls(tuple(tuple(np.unique((axis[1:] + axis[:-1]) / 2.0).tolist()) for axis in ends))

    @property
    def most(self) -> int:
        """Of the axis with the most bins."""
        return max(map(len, self.centres))

    def numbers(self, values: ArrayLike) -> NDArray[np.int64]:
        """The bin of each value, counted from 0; values outside [-1, 1] are clipped first.

        Args:
            values: Shape (..., axes), normalised.

        Raises:
            InvalidTokens: NaN, or a wrong number of axes.
        """
        rows = np.clip(checked_rows(values, len(self.centres)), -1.0, 1.0)
        columns = [np.searchsorted(limits, rows[..., axis]) for axis, limits in enumerate(self._limits)]
        return np.stack(columns, axis=-1).astype(np.int64)

    def values(self, numbers: ArrayLike) -> Rows:
        """Centres of bins, of the same shape (..., axes). Raises InvalidTokens for a bin that an axis has not."""
        found = np.asarray(numbers, dtype=np.int64)
        if found.ndim == 0 or found.shape[-1] != len(self.centres):
            raise InvalidTokens(f"{found.shape[-1:] or 1} bins: expected {len(self.centres)}, one per axis")
        for axis, centres in enumerate(self.centres):
            wrong = found[..., axis][(found[..., axis] < 0) | (found[..., axis] >= len(centres))]
            if wrong.size:
                raise InvalidTokens(f"bin {wrong.flat[0]} of axis {axis}: expected 0 to {len(centres) - 1}")
        return np.stack([table[found[..., axis]] for axis, table in enumerate(self._tables)], axis=-1)

    @cached_property
    def _tables(self) -> list[Rows]:
        return [np.asarray(centres) for centres in self.centres]

    @cached_property
    def _limits(self) -> list[Rows]:
        return [(table[1:] + table[:-1]) / 2.0 for table in self._tables]


def checked_rows(values: ArrayLike, axes: int) -> Rows:
    """Values as floats of shape (..., axes). Raises InvalidTokens for NaN and for a wrong number of axes."""
    rows = np.asarray(values, dtype=np.float64)
    if rows.ndim == 0 or rows.shape[-1] != axes:
        raise InvalidTokens(f"action of {rows.shape[-1] if rows.ndim else 1} numbers: expected {axes}")
    if np.isnan(rows).any():
        raise InvalidTokens("NaN has no action token: expected numbers")
    return rows
