"""Statistics of columns and pictures: of one episode, and of all of them.

Quantiles of numbers are global: taken over all rows, as `numpy.quantile` does, not averaged over episodes. Those of
pictures are of the mixture of the episodes' distributions, each a line from quantile to quantile.
"""

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from vla_runtime.types import Image

Statistics = dict[str, Any]  # min, max, mean, std, count, q01, q10, q50, q90, q99: lists, as JSON has them
QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
PIXEL_STRIDE = 4  # [px] one pixel in so many, in both directions, is counted


def of_numbers(values: NDArray[Any]) -> Statistics:
    """Statistics of each axis.

    Args:
        values: Shape (rows, n); at least one row.

    Returns:
        Lists of n numbers; min and max of the column's own kind, the others float; count has one number, the rows.
    """
    wide = values.astype(np.float64)
    quantiles = np.quantile(wide, list(QUANTILES.values()), axis=0)
    return {
        "min": values.min(axis=0).tolist(),
        "max": values.max(axis=0).tolist(),
        "mean": wide.mean(axis=0).tolist(),
        "std": wide.std(axis=0).tolist(),
        "count": [len(values)],
        **{name: row.tolist() for name, row in zip(QUANTILES, quantiles, strict=True)},
    }


@final
class PictureCounts:
    """Counts how often each brightness occurs in each channel; memory does not grow with the pictures."""

    def __init__(self) -> None:
        self._counts = np.zeros((3, 256), np.int64)
        self._pictures = 0

    def add(self, picture: Image) -> None:
        """Take in one picture, shape (height, width, 3)."""
        pixels = picture[::PIXEL_STRIDE, ::PIXEL_STRIDE].reshape(-1, 3)
        for channel in range(3):
            self._counts[channel] += np.bincount(pixels[:, channel], minlength=256)
        self._pictures += 1

    def statistics(self) -> Statistics:
        """As lerobot has them: brightness 0 to 1, shape (3, 1, 1); count is the pictures."""
        levels, counts = np.arange(256) / 255.0, self._counts
        total = counts.sum(axis=1)
        mean = counts @ levels / total
        variance = (counts * (levels - mean[:, None]) ** 2).sum(axis=1) / total
        cumulative = counts.cumsum(axis=1)
        found = {
            "min": levels[[int(np.flatnonzero(row)[0]) for row in counts]],
            "max": levels[[int(np.flatnonzero(row)[-1]) for row in counts]],
            "mean": mean,
            "std": np.sqrt(variance),
            **{
                name: levels[[int(np.searchsorted(row, share * row[-1])) for row in cumulative]]
                for name, share in QUANTILES.items()
            },
        }
        shaped = {name: values.reshape(3, 1, 1).tolist() for name, values in found.items()}
        return {**shaped, "count": [self._pictures]}


def mixed(parts: Sequence[Mapping[str, Any]]) -> Statistics:
    """Statistics of several episodes' pictures together; quantiles are those of the mixture.

    Args:
        parts: Of each episode, as `PictureCounts.statistics` gives them.
    """
    read = {
        name: np.array([part[name] for part in parts], np.float64).reshape(len(parts), -1)
        for name in parts[0]
    }
    weights = read["count"] / read["count"].sum()
    mean = (weights * read["mean"]).sum(axis=0)
    variance = (weights * (read["std"] ** 2 + (read["mean"] - mean) ** 2)).sum(axis=0)
    quantiles = _mixture_quantiles(read, weights[:, 0])
    found = {
        "min": read["min"].min(axis=0),
        "max": read["max"].max(axis=0),
        "mean": mean,
        "std": np.sqrt(variance),
    }
    shape = np.shape(parts[0]["mean"])
    shaped = {name: np.reshape(values, shape).tolist() for name, values in {**found, **quantiles}.items()}
    return {**shaped, "count": [int(read["count"].sum())]}


def _mixture_quantiles(read: Mapping[str, NDArray[Any]], weights: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Where the weighted sum of the parts' cumulative distributions reaches each share."""
    shares = np.array([0.0, *QUANTILES.values(), 1.0])
    channels = []
    for channel in range(read["mean"].shape[1]):
        corners = np.array([read[name][:, channel] for name in ("min", *QUANTILES, "max")]).T
        grid = np.unique(corners)
        reached = weights @ np.array(
            [np.interp(grid, row, shares) for row in np.maximum.accumulate(corners, axis=1)]
        )
        channels.append(np.interp(list(QUANTILES.values()), reached, grid))
    return {name: np.array(values) for name, values in zip(QUANTILES, np.transpose(channels), strict=True)}
