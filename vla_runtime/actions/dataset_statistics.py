"""Statistics of a whole data set, in the layout of OpenVLA's dataset_statistics.json.

Quantiles are those of all frames together, exactly, however large the data set is; they are not averages of per-episode
ones. Keys and meaning: openvla/openvla, prismatic/vla/datasets/rlds/utils/data_utils.py (get_dataset_statistics).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vla_runtime.actions.columns import Column, Progress, Read, action_column, proprio_column
from vla_runtime.actions.moments import moments
from vla_runtime.actions.quantiles import exact_quantiles, passes
from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.errors import InvalidStatistics
from vla_runtime.interfaces import FrameSource
from vla_runtime.specs import DELTA_AXES

QUANTILES = (0.01, 0.99)
RANKS = 4  # places in the sorted rows that two quantiles lie between, at most
MEMORY_BYTES = 128 * 2**20  # [bytes]
FAINT_SHARE = 1e-3  # of the widest axis' range, below which an axis is likely to be nothing but noise
CLIPPED_SHARE = 0.05  # [share] of frames exactly at an extreme, from which on an axis looks clipped


@dataclass(frozen=True)
class ColumnStatistics:
    """Of each axis of a column, in its units; the last two are shares of all frames that are exactly at the extreme."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    max: tuple[float, ...]
    min: tuple[float, ...]
    q01: tuple[float, ...]
    q99: tuple[float, ...]
    share_at_min: tuple[float, ...]
    share_at_max: tuple[float, ...]

    def as_mapping(self) -> dict[str, list[float]]:
        """What OpenVLA's file says of a column, without the mask."""
        return {name: list(getattr(self, name)) for name in ("mean", "std", "max", "min", "q01", "q99")}


@dataclass(frozen=True)
class DatasetStatistics:
    """What is known of a data set.

    Attributes:
        action, proprio: Of each column.
        axes: Names of the action's axes.
        mask: Which axes of the action are to be normalised.
        transitions: Frames.
        trajectories: Episodes.
    """

    action: ColumnStatistics
    proprio: ColumnStatistics
    axes: tuple[str, ...]
    mask: tuple[bool, ...]
    transitions: int
    trajectories: int

    @property
    def normalisation(self) -> ActionStatistics:
        """For normalising actions."""
        return ActionStatistics(self.action.q01, self.action.q99, self.mask)

    def as_mapping(self) -> dict[str, Any]:
        """One entry of OpenVLA's dataset_statistics.json."""
        return {
            "action": {**self.action.as_mapping(), "mask": list(self.mask)},
            "proprio": self.proprio.as_mapping(),
            "num_transitions": self.transitions,
            "num_trajectories": self.trajectories,
        }

    def warnings(self, clipped_share: float = CLIPPED_SHARE) -> list[str]:
        """What looks wrong, in words: dead axes (the gripper too: the original makes them 0), faint and clipped ones.

        Args:
            clipped_share: [share] of frames exactly at the smallest or largest value, from which on it is told.
        """
        lines: list[str] = []
        ranges = np.subtract(self.action.q99, self.action.q01)
        widest = max((ranges[axis] for axis in range(len(self.axes)) if self.mask[axis]), default=0.0)
        for axis, name in enumerate(self.axes):
            low, high = self.action.q01[axis], self.action.q99[axis]
            if low == high:
                lines.append(f"{name}: dead, 1 % and 99 % quantile are both {low:g}; it is normalised to 0")
            if low == high or not self.mask[axis]:
                continue
            if ranges[axis] < FAINT_SHARE * widest:
                lines.append(
                    f"{name}: faint, from {low:g} to {high:g} is under 1/1000 of the widest axis; as noise it would be "
                    "normalised to full size"
                )
                continue
            for end in ("min", "max"):
                share = getattr(self.action, f"share_at_{end}")[axis]
                if share >= clipped_share:
                    value = getattr(self.action, end)[axis]
                    lines.append(
                        f"{name}: clipped, {share:.1%} of the frames are exactly its {end}, {value:g}"
                    )
        return lines


def compute_statistics(
    source: FrameSource,
    axes: Sequence[str] | None = None,
    gripper: str | int | None = None,
    memory_bytes: int = MEMORY_BYTES,
    progress: Progress | None = None,
    read_proprio: Read | None = None,
) -> DatasetStatistics:
    """Statistics of all frames of a data set.

    Args:
        source: The data set.
        axes: Names of the action's axes; None: those of the runtime for 7 numbers, else "axis 0" and so on.
        gripper: The axis that is left as it is, by name or number (negative: from the end). None: the axis named
            "gripper", or the last one. "": every axis is normalised.
        memory_bytes: About what reading and counting may take [bytes], whatever the length of the data set.
        progress: Told how many frames are read, and of how many; passes count.
        read_proprio: From first frame and one past the last to proprioception; None: frame by frame, which is slow.

    Raises:
        InvalidStatistics: No frames, a number that is not finite (with episode and frame), axes that do not fit.
    """
    half = memory_bytes // 2  # for what is read, and for counting
    columns = [action_column(source, half), proprio_column(source, half, read_proprio)]
    names = axis_names(columns[0].axes, axes)
    mask = normalised_axes(names, gripper)
    rounds = [1 + passes(column, RANKS, half) for column in columns]
    told = _Told(progress, len(source) * sum(rounds))
    action, proprio = (_summary(column, half, told) for column in columns)
    return DatasetStatistics(action, proprio, names, mask, len(source), len(source.episode_bounds))


def dataset_statistics_file(entries: Mapping[str, DatasetStatistics]) -> dict[str, Any]:
    """The content of a dataset_statistics.json, by the names of the data sets."""
    return {key: statistics.as_mapping() for key, statistics in entries.items()}


def axis_names(count: int, names: Sequence[str] | None = None) -> tuple[str, ...]:
    """Names of so many axes. Raises InvalidStatistics when the given ones are not so many, or not different."""
    if names is None:
        return DELTA_AXES if count == len(DELTA_AXES) else tuple(f"axis {axis}" for axis in range(count))
    if len(names) != count or len(set(names)) != count:
        raise InvalidStatistics(f"axes {', '.join(names)}: expected {count} different names")
    return tuple(names)


def normalised_axes(names: Sequence[str], gripper: str | int | None = None) -> tuple[bool, ...]:
    """False for the gripper, True for all others. `gripper` is as in compute_statistics."""
    if gripper == "":
        return (True,) * len(names)
    if gripper is None:
        gripper = "gripper" if "gripper" in names else -1
    if isinstance(gripper, int) and -len(names) <= gripper < len(names):
        gripper = names[gripper]
    if gripper not in names:
        raise InvalidStatistics(f"gripper {gripper!r}: no such axis; expected one of {', '.join(names)}")
    return tuple(name != gripper for name in names)


class _Told:
    """Adds up the frames that were read over all passes."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def advance(self, frames: int) -> None:
        self._done = min(self._done + frames, self._total)
        if self._progress is not None:
            self._progress(self._done, self._total)


def _summary(column: Column, memory_bytes: int, told: _Told) -> ColumnStatistics:
    column.watch(told.advance)
    found = moments(column)
    q01, q99 = exact_quantiles(column, QUANTILES, memory_bytes)
    parts = (found.mean, found.std, found.high, found.low, q01, q99)
    shares = (found.at_low / found.count, found.at_high / found.count)
    return ColumnStatistics(*(tuple(map(float, np.asarray(part))) for part in (*parts, *shares)))
