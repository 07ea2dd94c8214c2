"""The rows of data files: read once, kept as long as there is room."""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vla_runtime.datasets.features import Feature
from vla_runtime.datasets.index import Episode
from vla_runtime.datasets.index_v3 import read_table
from vla_runtime.errors import InvalidDataset

CACHE_BYTES = 128 * 2**20  # [bytes] of rows that a reader keeps

Columns = dict[
    str, Any
]  # name to an array of shape (rows, n), or to a list of texts or of pictures' structures


@final
class Rows:
    """The columns of an episode, from a cache of whole data files."""

    def __init__(self, features: Mapping[str, Feature], fps: float, limit: int = CACHE_BYTES) -> None:
        """Args: features: of the data set; fps: its rate [Hz]; limit: of the cache [bytes]."""
        self._features = {name: feature for name, feature in features.items() if feature.dtype != "video"}
        self._fps, self._limit, self._size = fps, limit, 0
        self._files: OrderedDict[Path, tuple[Columns, int]] = OrderedDict()
        self._last: tuple[Episode, Columns] | None = None  # several frames of an episode are read in a row

    def of(self, episode: Episode) -> Columns:
        """The columns of an episode.

        Raises:
            InvalidDataset: The file is missing, damaged, has other columns, or not these frames.
        """
        if self._last is not None and self._last[0] is episode:
            return self._last[1]
        columns = self._file(episode.data)
        first = int(columns["index"][0, 0]) if len(columns["index"]) else 0
        part = slice(episode.start - first, episode.stop - first)
        found = {name: values[part] for name, values in columns.items()}
        check_episode(episode, found, self._fps)
        self._last = (episode, found)
        return found

    def _file(self, path: Path) -> Columns:
        held = self._files.pop(path, None)
        if held is None:
            table = read_table(path)
            held = columns_of(table, self._features, path), table.nbytes
            self._size += held[1]
        self._files[path] = held
        while self._size > self._limit and len(self._files) > 1:
            self._size -= self._files.popitem(last=False)[1][1]
        return held[0]


def columns_of(table: pa.Table, features: Mapping[str, Feature], path: Path) -> Columns:
    """A table's columns as arrays of shape (rows, n).

    Raises:
        InvalidDataset: A column is missing, or has another type or shape than info.json says.
    """
    missing = [name for name in features if name not in table.column_names]
    if missing:
        raise InvalidDataset(f"{path}: column {', '.join(missing)} missing; info.json declares it")
    columns: Columns = {}
    for name, feature in features.items():
        column = table[name].combine_chunks()
        columns[name] = _numbers(column, name, feature, path) if feature.is_number else column.to_pylist()
    return columns


def check_episode(episode: Episode, columns: Columns, fps: float) -> None:
    """Refuse rows that are not those of an episode, or at other times than its rate says.

    Raises:
        InvalidDataset: It names the file.
    """
    index = columns["index"][:, 0]
    expected = np.arange(episode.start, episode.stop)
    if len(index) != episode.length or not np.array_equal(index, expected):
        raise InvalidDataset(
            f"{episode.data}: episode {episode.number} should have frames {episode.start} to {episode.stop - 1}; "
            f"{len(index)} rows are there" + (f", from {index[0]} to {index[-1]}" if len(index) else "")
        )
    if not (columns["episode_index"] == episode.number).all():
        raise InvalidDataset(
            f"{episode.data}: rows of other episodes where episode {episode.number} should be"
        )
    times = columns["timestamp"][:, 0].astype(np.float64)
    late = np.abs(times - np.arange(episode.length) / fps) > 0.1 / fps
    if late.any():
        step = int(np.flatnonzero(late)[0])
        raise InvalidDataset(
            f"{episode.data}: frame {step} of episode {episode.number} is at {times[step]:.4f} s; "
            f"expected {step / fps:.4f} s, as info.json says fps {fps:g}"
        )


def _numbers(column: pa.Array, name: str, feature: Feature, path: Path) -> NDArray[Any]:
    """Shape (rows, n)."""
    width = int(np.prod(feature.shape))
    flat: Any = column
    try:
        while pa.types.is_list(flat.type) or pa.types.is_fixed_size_list(flat.type):
            flat = flat.flatten()
        values = flat.to_numpy(zero_copy_only=False)
    except (pa.ArrowException, AttributeError) as error:
        raise InvalidDataset(f"{path}: column {name} is {column.type}; expected {feature.dtype}") from error
    if len(values) != width * len(column):
        got = len(values) / len(column) if len(column) else 0
        raise InvalidDataset(f"{path}: {name} has {got:g} numbers; expected {width}, as info.json says")
    if values.dtype.kind not in "fiub":
        raise InvalidDataset(f"{path}: column {name} is {column.type}; expected {feature.dtype}")
    return values.reshape(len(column), width)
