"""Writing the index of LeRobotDataset v3, so that lerobot 0.4.4 can append to it: the same columns, types and totals."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from vla_runtime.datasets.durable import write_json, write_parquet
from vla_runtime.datasets.features import DEFAULTS, Feature
from vla_runtime.datasets.layout import (
    CHUNK_SIZE,
    DATA_FILE,
    DATA_FILE_MB,
    EPISODE_FILE,
    INFO,
    STATISTICS,
    TASKS,
    VERSION,
    VIDEO_FILE,
    VIDEO_FILE_MB,
)

PANDAS_INDEX = "__index_level_0__"  # lerobot reads the sentence from the pandas index, not from a column
STATISTIC_NAMES = ("min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99")
ROW_PLACES = ("data/chunk_index", "data/file_index", "dataset_from_index", "dataset_to_index")


def new_info(fps: int, features: Mapping[str, Feature], robot_type: str | None) -> dict[str, Any]:
    """The info.json of a data set without episodes."""
    return {
        "codebase_version": VERSION,
        "robot_type": robot_type,
        "total_episodes": 0,
        "total_frames": 0,
        "total_tasks": 0,
        "chunks_size": CHUNK_SIZE,
        "data_files_size_in_mb": DATA_FILE_MB,
        "video_files_size_in_mb": VIDEO_FILE_MB,
        "fps": fps,
        "splits": {},
        "data_path": DATA_FILE,
        "video_path": VIDEO_FILE if any(feature.dtype == "video" for feature in features.values()) else None,
        "features": {name: feature.as_json() for name, feature in {**features, **DEFAULTS}.items()},
    }


def write_info(
    folder: Path, info: Mapping[str, Any], episodes: int, frames: int, tasks: int
) -> dict[str, Any]:
    """Write info.json with new totals; returns it."""
    new = {
        **info,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "splits": {"train": f"0:{episodes}"} if episodes else {},
    }
    write_json(folder / INFO, new)
    return new


def write_statistics(folder: Path, statistics: Mapping[str, Any]) -> None:
    """Write stats.json."""
    write_json(folder / STATISTICS, statistics)


def write_tasks(folder: Path, tasks: Mapping[int, str]) -> None:
    """Write tasks.parquet so that pandas, and with it lerobot, finds the sentences in its index."""
    pandas = {
        "index_columns": [PANDAS_INDEX],
        "column_indexes": [_column(None, None, "unicode", "object", {"encoding": "UTF-8"})],
        "columns": [
            _column("task_index", "task_index", "int64", "int64", None),
            _column(None, PANDAS_INDEX, "unicode", "object", None),
        ],
        "attributes": {},
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.2.3",
    }
    table = pa.table(
        {
            "task_index": pa.array(list(tasks), pa.int64()),
            PANDAS_INDEX: pa.array(list(tasks.values()), pa.string()),
        }
    )
    write_parquet(folder / TASKS, table.replace_schema_metadata({"pandas": json.dumps(pandas)}))


def write_rows(
    folder: Path, place: tuple[int, int], rows: Sequence[Mapping[str, Any]], schema: pa.Schema
) -> None:
    """Write one file of the index."""
    path = folder / EPISODE_FILE.format(chunk_index=place[0], file_index=place[1])
    numbered = [
        {**row, "meta/episodes/chunk_index": place[0], "meta/episodes/file_index": place[1]} for row in rows
    ]
    write_parquet(path, pa.Table.from_pylist(numbered, schema=schema))


def row_of(
    number: int,
    start: int,
    length: int,
    tasks: Sequence[str],
    data: tuple[int, int],
    videos: Mapping[str, tuple[tuple[int, int], float, float]],
    statistics: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """An episode's row, without the place of the row itself.

    Args:
        number: Of the episode.
        start: Its first frame.
        length: How many frames.
        tasks: Its sentences.
        data: Chunk and file of its rows.
        videos: By feature: chunk and file, beginning and end in it [s].
        statistics: By feature.
    """
    row: dict[str, Any] = {
        "episode_index": number,
        "tasks": list(tasks),
        "length": length,
        **dict(zip(ROW_PLACES, (*data, start, start + length), strict=True)),
    }
    for key, ((chunk, file), begin, end) in videos.items():
        prefix = f"videos/{key}"
        row |= {f"{prefix}/chunk_index": chunk, f"{prefix}/file_index": file}
        row |= {f"{prefix}/from_timestamp": begin, f"{prefix}/to_timestamp": end}
    for name, values in statistics.items():
        row |= {f"stats/{name}/{statistic}": values[statistic] for statistic in STATISTIC_NAMES}
    return row


def row_schema(features: Mapping[str, Feature]) -> pa.Schema:
    """The columns of the index, in the order and with the types of lerobot 0.4.4.

    Args:
        features: All of them, those that every data set has included.
    """
    fields = [("episode_index", pa.int64()), ("tasks", pa.list_(pa.string())), ("length", pa.int64())]
    fields += [(name, pa.int64()) for name in ROW_PLACES]
    for key in (name for name, feature in features.items() if feature.dtype == "video"):
        fields += [(f"videos/{key}/{name}", pa.int64()) for name in ("chunk_index", "file_index")]
        fields += [(f"videos/{key}/{name}", pa.float64()) for name in ("from_timestamp", "to_timestamp")]
    for name, feature in features.items():
        if feature.dtype != "string":
            fields += [
                (f"stats/{name}/{statistic}", _statistic_type(feature, statistic))
                for statistic in STATISTIC_NAMES
            ]
    fields += [(f"meta/episodes/{name}", pa.int64()) for name in ("chunk_index", "file_index")]
    return pa.schema(fields)


def _statistic_type(feature: Feature, statistic: str) -> pa.DataType:
    if statistic == "count":
        return pa.list_(pa.int64())
    if feature.is_picture:
        return pa.list_(pa.list_(pa.list_(pa.float64())))
    if statistic in ("min", "max") and feature.dtype in ("int64", "int32"):
        return pa.list_(pa.int64())
    if statistic in ("min", "max") and feature.dtype == "bool":
        return pa.list_(pa.bool_())
    return pa.list_(pa.float64())


def _column(
    name: str | None, field_name: str | None, pandas_type: str, numpy_type: str, metadata: Any
) -> dict[str, Any]:
    """How pandas describes a column in a parquet file."""
    return {
        "name": name,
        "field_name": field_name,
        "pandas_type": pandas_type,
        "numpy_type": numpy_type,
        "metadata": metadata,
    }
