"""The index of LeRobotDataset v3: meta/info.json, tasks.parquet and episodes/, as lerobot 0.4.4 reads it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vla_runtime.datasets.features import features_from_json
from vla_runtime.datasets.index import DatasetIndex, Episode, VideoPart
from vla_runtime.datasets.layout import (
    EPISODES,
    TASKS,
    VERSION,
    files_under,
    place_in,
)
from vla_runtime.errors import InvalidDataset


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
