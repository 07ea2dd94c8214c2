"""Many actions at a time: normalised, and cut into chunks."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vla_runtime.actions.statistics import EPSILON, ActionStatistics
from vla_runtime.errors import InvalidStatistics

Rows = NDArray[np.float64]


def normalized_rows(actions: Rows, statistics: ActionStatistics) -> Rows:
    """What `ActionStatistics.normalize` gives for each row, shape (..., axes)."""
    low, high, mask = _limits(actions, statistics)
    scaled = np.clip(2.0 * (actions - low) / (high - low + EPSILON) - 1.0, -1.0, 1.0)
    return np.where(low == high, 0.0, np.where(mask, scaled, actions))


def unnormalized_rows(values: Rows, statistics: ActionStatistics) -> Rows:
    """What `ActionStatistics.unnormalize` gives for each row, shape (..., axes)."""
    low, high, mask = _limits(values, statistics)
    return np.where(mask, 0.5 * (values + 1.0) * (high - low) + low, values)


def windows(rows: Rows, periods: int, stride: int) -> Iterator[Rows]:
    """Every `stride`-th run of `periods` consecutive rows of an episode, each of shape (periods, axes)."""
    for start in range(0, len(rows) - periods + 1, stride):
        yield rows[start : start + periods]


def _limits(rows: Rows, statistics: ActionStatistics) -> tuple[Rows, Rows, NDArray[np.bool_]]:
    if rows.shape[-1] != len(statistics.q01):
        raise InvalidStatistics(f"actions of {rows.shape[-1]} numbers, statistics of {len(statistics.q01)}")
    return np.asarray(statistics.q01), np.asarray(statistics.q99), np.asarray(statistics.mask)
