"""The picture of a data set's statistics: how each axis of its actions is spread."""

from pathlib import Path
from typing import Any

import numpy as np

from vla_runtime.actions.columns import action_column
from vla_runtime.actions.dataset_statistics import DatasetStatistics
from vla_runtime.commands.pictures import save_figure
from vla_runtime.interfaces import FrameSource

BARS = 80  # of each histogram
ACROSS = 4  # histograms in a row


def plot_statistics(
    source: FrameSource, found: DatasetStatistics, units: tuple[str, ...], memory_bytes: int, file: Path
) -> bool:
    """Draw a histogram of each axis with its 1 % and 99 % quantile. Returns False where matplotlib is not installed.

    Args:
        source: The data set; read once more.
        found: Its statistics.
        units: Of each axis.
        memory_bytes: What reading may take [bytes].
        file: Of the picture; it appears whole.
    """
    try:
        import matplotlib as mpl
    except ImportError:
        return False
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    counts = _histograms(source, found, memory_bytes)
    down = -(-len(found.axes) // ACROSS)
    figure, places = plt.subplots(down, ACROSS, figsize=(3.4 * ACROSS, 2.6 * down), squeeze=False)
    for place in places.flat[len(found.axes) :]:
        place.set_axis_off()
    for axis, (place, name) in enumerate(zip(places.flat, found.axes, strict=False)):
        _histogram(place, found, axis, counts[axis])
        place.set(title=name, xlabel=f"[{units[axis]}]" if units[axis] else "")
    figure.suptitle(
        f"actions of {found.transitions} frames in {found.trajectories} episodes; lines: 1 % and 99 % quantile"
    )
    save_figure(figure, file)
    return True


def _histograms(source: FrameSource, found: DatasetStatistics, memory_bytes: int) -> np.ndarray:
    counts = np.zeros((len(found.axes), BARS), dtype=np.int64)
    for rows in action_column(source, memory_bytes).pieces():
        for axis in range(len(found.axes)):
            ends = (found.action.min[axis], found.action.max[axis])
            counts[axis] += np.histogram(rows[:, axis], BARS, ends)[0]
    return counts


def _histogram(place: Any, found: DatasetStatistics, axis: int, counts: np.ndarray) -> None:
    low, high = found.action.min[axis], found.action.max[axis]
    edges = np.histogram_bin_edges([], BARS, (low, high))
    place.stairs(counts, edges, fill=True, color="tab:blue" if found.mask[axis] else "tab:grey")
    place.set_yscale("symlog", linthresh=1.0)
    for quantile in (found.action.q01[axis], found.action.q99[axis]):
        place.axvline(quantile, color="tab:red", linewidth=1.2)
    place.tick_params(labelsize=7)
