"""What commands that read a data set share."""

from pathlib import Path
from typing import Any

import numpy as np

from vla_runtime.actions.columns import Read
from vla_runtime.actions.dataset_statistics import axis_names, normalised_axes
from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.actions.token_costs import Rows, statistics_of
from vla_runtime.datasets import LeRobotDataset, open_dataset
from vla_runtime.datasets.layout import ACTION, STATE
from vla_runtime.errors import ConfigurationError
from vla_runtime.specs import DELTA_AXES, DELTA_UNITS

SHOWN_UNITS = {"m": ("mm", 1e3), "rad": ("mrad", 1e3)}  # how small errors are shown


def opened(folder: str | None) -> LeRobotDataset:
    """The data set that a setting names. Raises ConfigurationError, InvalidDataset."""
    if folder is None:
        raise ConfigurationError("dataset=null: expected the folder of a data set, dataset=FOLDER")
    return open_dataset(folder)


def names_of_axes(source: LeRobotDataset, count: int) -> tuple[str, ...]:
    """As the data set calls them; else the runtime's."""
    names = source.features[ACTION].names
    return axis_names(count, names if isinstance(names, list) and len(names) == count else None)


def states_of(source: LeRobotDataset) -> Read | None:
    """A fast way to its proprioception, where it has some."""
    if STATE not in source.features:
        return None
    return lambda start, stop: source.column(STATE, start, stop).astype(np.float64)


def units_of_axes(names: tuple[str, ...]) -> tuple[str, ...]:
    """Units of the runtime's own axes; others have none that is known."""
    return DELTA_UNITS if names == DELTA_AXES else ("",) * len(names)


def as_axis(gripper: Any) -> str | int | None:
    """A setting that names an axis, or gives its number."""
    return int(gripper) if isinstance(gripper, str) and gripper.lstrip("-").isdigit() else gripper


def statistics_for(config: Any, learned: list[Rows], names: tuple[str, ...]) -> ActionStatistics:
    """From the file that the settings name, or from episodes. Raises InvalidStatistics."""
    if config.statistics is not None:
        return ActionStatistics.load(Path(config.statistics), config.key)
    return statistics_of(learned, normalised_axes(names, as_axis(config.gripper)))


def chunk_periods(chunk_s: float, fps: float) -> int:
    """Control periods of a chunk. Raises ConfigurationError for less than two."""
    periods = round(chunk_s * fps)
    if periods < 2:
        raise ConfigurationError(f"chunk_s={chunk_s}: {periods} actions at {fps:g} Hz; expected two or more")
    return periods
