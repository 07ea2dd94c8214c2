"""stats.json: statistics over all episodes, with global quantiles."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vla_runtime.datasets.features import Feature
from vla_runtime.datasets.index import DatasetIndex
from vla_runtime.datasets.index_v3 import read_table
from vla_runtime.datasets.index_writing import write_statistics
from vla_runtime.datasets.layout import STATISTICS
from vla_runtime.datasets.moments import mixed, of_numbers
from vla_runtime.datasets.opening import read_index, read_info
from vla_runtime.datasets.rows import columns_of

MEMORY_BYTES = 256 * 2**20  # [bytes] of rows that are taken at once; above, one feature after the other
FRESH = 0.95  # [share of frames] that stats.json must cover where it need not be exact


def bring_statistics_up_to_date(folder: Path, *, exact: bool = True) -> None:
    """Compute stats.json anew when it does not cover the frames that there are.

    Args:
        folder: Of a v3 data set.
        exact: Whether all frames must be covered, or only FRESH of them.
    """
    frames, covered = int(read_info(folder)["total_frames"]), frames_covered(folder)
    if frames == covered or (not exact and FRESH * frames <= covered <= frames):
        return
    write_statistics(folder, dataset_statistics(read_index(folder, statistics=True)))


def frames_covered(folder: Path) -> int:
    """How many frames stats.json is computed from; 0 where there is none that can be read."""
    try:
        return int(json.loads((folder / STATISTICS).read_text())["index"]["count"][0])
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return 0


def dataset_statistics(index: DatasetIndex) -> dict[str, Any]:
    """Statistics of all numbers, and of the pictures where the episodes have them."""
    found: dict[str, Any] = {}
    for group in _groups(index):
        columns: dict[str, list[np.ndarray]] = {name: [] for name in group}
        for path in data_files(index):
            for name, values in columns_of(read_table(path, list(group)), group, path).items():
                columns[name].append(values)
        found |= {name: of_numbers(np.concatenate(parts)) for name, parts in columns.items()}
    for name, feature in index.features.items():
        parts = [episode.statistics.get(name) for episode in index.episodes]
        if feature.is_picture and all(is_complete(part) for part in parts):
            found[name] = mixed([part for part in parts if part])
    return {name: found[name] for name in index.features if name in found}


def data_files(index: DatasetIndex) -> Sequence[Path]:
    """The data files, each once, in order."""
    return list(dict.fromkeys(episode.data for episode in index.episodes))


def _groups(index: DatasetIndex) -> Iterator[Mapping[str, Feature]]:
    """Features whose rows are read together: all, or one at a time where there are many rows."""
    numbers = {name: feature for name, feature in index.features.items() if feature.is_number}
    if index.frames * sum(8 * int(np.prod(feature.shape)) for feature in numbers.values()) <= MEMORY_BYTES:
        yield numbers
        return
    for name, feature in numbers.items():
        yield {name: feature}


def is_complete(statistics: Mapping[str, Any] | None) -> bool:
    """Whether statistics are there, and none of them is missing."""
    return bool(statistics) and all(value is not None for value in statistics.values())
