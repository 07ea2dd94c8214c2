"""The index of LeRobotDataset v3: meta/info.json, tasks.parquet and episodes/, read and written as lerobot 0.4.4 does."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vla_runtime.datasets.durable import write_json, write_parquet
from vla_runtime.datasets.features import DEFAULTS, Feature, features_from_json
from vla_runtime.datasets.index import DatasetIndex, Episode, VideoPart
from vla_runtime.datasets.layout import (
    CHUNK_SIZE,
    DATA_FILE,
    DATA_FILE_MB,
    EPISODE_FILE,
    EPISODES,
    INFO,
    STATISTICS,
    TASKS,
    VERSION,
    VIDEO_FILE,
    VIDEO_FILE_MB,
    files_under,
    place_in,
)
from vla_runtime.errors import InvalidDataset

PANDAS_INDEX = "__index_level_0__"  # lerobot reads the sentence from the pandas index, not from a column
STATISTIC_NAMES = ("min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99")
ROW_PLACES = ("data/chunk_index", "data/file_index", "dataset_from_index", "dataset_to_index")


# ------------------------------------------------------------------------------------------------------------ reading


def read_index(folder: Path, info: Mapping[str, Any], *, statistics: bool = False) -> DatasetIndex:
    """The index of a v3 data set.

    Args:
        folder: Of the data set.
        info: Its info.json.
        statistics: Whether to read the episodes' statistics too.

    Raises:
        InvalidDataset: Something is missing or damaged, or the frames have a gap.
    """
    features = features_from_json(info["features"])
    videos = [name for name, feature in features.items() if feature.dtype == "video"]
    rows = [row for path in index_files(folder) for row in read_rows(path, statistics=statistics)]
    episodes = [episode_of(folder, info, row, videos) for row in rows]
    if len(episodes) != info["total_episodes"]:
        raise InvalidDataset(
            f"data set {folder}: the index has {len(episodes)} episodes, info.json says {info['total_episodes']}; "
            f"run: vla-dataset repair {folder}"
        )
    check_contiguous(folder, episodes)
    tasks = read_tasks(folder) if episodes else {}
    return DatasetIndex(
        folder, VERSION, float(info["fps"]), features, tasks, episodes, info.get("robot_type"), info
    )


def index_files(folder: Path) -> list[Path]:
    """The files of the index, in order."""
    return list(files_under(folder / EPISODES, ".parquet").values())


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A parquet file.

    Raises:
        InvalidDataset: It is missing, damaged, or has not these columns.
    """
    try:
        with pq.ParquetFile(path) as file:
            return file.read(columns=None if columns is None else list(columns))
    except FileNotFoundError as error:
        raise InvalidDataset(f"{path}: the file is missing") from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InvalidDataset(
            f"{path}: cannot be read as parquet ({str(error).splitlines()[0]}); it is damaged"
        ) from error


def read_tasks(folder: Path) -> dict[int, str]:
    """The sentences by `task_index`.

    Raises:
        InvalidDataset: tasks.parquet is missing or damaged.
    """
    table = read_table(folder / TASKS)
    texts = [name for name in table.column_names if name != "task_index"]
    if "task_index" not in table.column_names or len(texts) != 1:
        raise InvalidDataset(
            f"{folder / TASKS}: columns {table.column_names}; expected task_index and the sentences"
        )
    return dict(zip(table["task_index"].to_pylist(), map(str, table[texts[0]].to_pylist()), strict=True))


def check_contiguous(folder: Path, episodes: Sequence[Episode]) -> None:
    """Refuse an index with a gap: rows and pictures behind it would not belong together.

    Raises:
        InvalidDataset: It names the episode.
    """
    expected = 0
    for number, episode in enumerate(episodes):
        if episode.number != number or episode.start != expected or episode.length < 1:
            raise InvalidDataset(
                f"data set {folder}: the index's row {number} is episode {episode.number} with frames {episode.start} to "
                f"{episode.stop}; expected episode {number} from frame {expected}; run: vla-dataset repair {folder}"
            )
        expected = episode.stop


def read_rows(path: Path, *, statistics: bool) -> Iterator[dict[str, Any]]:
    """The rows of one file of the index.

    Raises:
        InvalidDataset: It is damaged.
    """
    try:
        names = pq.read_schema(path).names
    except (pa.ArrowException, OSError) as error:
        raise InvalidDataset(
            f"{path}: cannot be read as parquet ({str(error).splitlines()[0]}); it is damaged"
        ) from error
    kept = [name for name in names if statistics or not name.startswith("stats/")]
    for row in read_table(path, kept).to_pylist():
        yield {**row, "index file": place_in(path)}


def episode_of(
    folder: Path, info: Mapping[str, Any], row: Mapping[str, Any], videos: Sequence[str]
) -> Episode:
    """An episode from its row.

    Raises:
        InvalidDataset: A column is missing.
    """
    try:
        parts = {}
        for key in videos:
            chunk, file, begin, end = (
                row[f"videos/{key}/{what}"]
                for what in ("chunk_index", "file_index", "from_timestamp", "to_timestamp")
            )
            path = info["video_path"].format(video_key=key, chunk_index=chunk, file_index=file)
            parts[key] = VideoPart(folder / path, float(begin), float(end))
        data = info["data_path"].format(
            chunk_index=row["data/chunk_index"], file_index=row["data/file_index"]
        )
        return Episode(
            int(row["episode_index"]),
            int(row["dataset_from_index"]),
            int(row["dataset_to_index"]),
            folder / data,
            parts,
            tuple(row["tasks"]),
            _statistics(row),
            row["index file"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidDataset(
            f"data set {folder}: the index's row {row.get('episode_index')} lacks {error}"
        ) from error


def _statistics(row: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for column, value in row.items():
        if column.startswith("stats/"):
            name, _, statistic = column.removeprefix("stats/").rpartition("/")
            found.setdefault(name, {})[statistic] = value
    return found


# ------------------------------------------------------------------------------------------------------------ writing


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
