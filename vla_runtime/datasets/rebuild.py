"""Rows of the index made anew from the files of finished episodes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, final

import numpy as np

from vla_runtime.datasets import index_v3, index_writing
from vla_runtime.datasets.decoding import OpenVideo, frame_times
from vla_runtime.datasets.features import Feature
from vla_runtime.datasets.index import Episode
from vla_runtime.datasets.layout import files_under, place_in
from vla_runtime.datasets.moments import PictureCounts, Statistics, of_numbers
from vla_runtime.datasets.rows import Columns, columns_of
from vla_runtime.errors import InvalidDataset

PICTURES = 32  # [pictures] of an episode that are decoded for its statistics

Row = dict[str, Any]


@dataclass
class Found:
    """What was made of the files.

    Attributes:
        rows: One for each episode, in order.
        unused: Data files that are no finished episodes, and why.
    """

    rows: list[Row] = field(default_factory=list)
    unused: dict[Path, str] = field(default_factory=dict)


def rows_from_files(
    folder: Path,
    info: Mapping[str, Any],
    tasks: Mapping[int, str],
    kept: Sequence[Episode],
    paths: Sequence[Path],
) -> Found:
    """Rows for the episodes of some data files, which follow those that the index has.

    Args:
        folder: Of the data set.
        info: Its info.json.
        tasks: Its sentences.
        kept: The episodes of the index before them.
        paths: The data files, in order.
    """
    features = index_v3.features_from_json(info["features"])
    fps = float(info["fps"])
    cameras = {
        name: _Cursor(folder, name, fps, kept)
        for name, feature in features.items()
        if feature.dtype == "video"
    }
    found = Found()
    number, start = len(kept), kept[-1].stop if kept else 0
    for path in paths:
        try:
            rows = list(_rows_of_file(path, features, tasks, cameras, fps, (number, start)))
        except InvalidDataset as error:
            found.unused[path] = str(error)
            for camera in cameras.values():
                camera.back()
            continue
        for camera in cameras.values():
            camera.keep()
        found.rows += rows
        number, start = number + len(rows), start + sum(row["length"] for row in rows)
    return found


def _rows_of_file(
    path: Path,
    features: Mapping[str, Feature],
    tasks: Mapping[int, str],
    cameras: "Mapping[str, _Cursor]",
    fps: float,
    begin: tuple[int, int],
) -> Iterator[Row]:
    """The rows of all episodes of a data file, which must begin with this episode and frame."""
    columns_wanted = {name: feature for name, feature in features.items() if feature.dtype != "video"}
    columns = columns_of(index_v3.read_table(path), columns_wanted, path)
    numbers, place = columns["episode_index"][:, 0], place_in(path)
    number, start = begin
    if not len(numbers) or place is None:
        raise InvalidDataset(f"{path}: has no rows, or no name of a data file")
    if not np.array_equal(columns["index"][:, 0], start + np.arange(len(numbers))):
        raise InvalidDataset(
            f"{path}: its frames do not follow the ones before; expected frame {start} first"
        )
    for offset, (first, last) in enumerate(_runs(numbers)):
        if numbers[first] != number + offset:
            raise InvalidDataset(f"{path}: episode {numbers[first]} where {number + offset} is expected")
        part = {name: values[first:last] for name, values in columns.items()}
        yield _row(path, place, features, part, tasks, cameras, number + offset)


def _row(
    path: Path,
    place: tuple[int, int],
    features: Mapping[str, Feature],
    part: Columns,
    tasks: Mapping[int, str],
    cameras: "Mapping[str, _Cursor]",
    number: int,
) -> Row:
    length = len(part["index"])
    used = dict.fromkeys(int(task) for task in part["task_index"][:, 0])
    unknown = [task for task in used if task not in tasks]
    if unknown:
        raise InvalidDataset(f"{path}: task {unknown[0]} of episode {number} is not in tasks.parquet")
    statistics: dict[str, Statistics] = {
        name: of_numbers(part[name]) for name, feature in features.items() if feature.is_number
    }
    videos = {}
    for name, camera in cameras.items():
        videos[name], statistics[name] = camera.take(length)
    return index_writing.row_of(
        number, int(part["index"][0, 0]), length, [tasks[task] for task in used], place, videos, statistics
    )


def _runs(numbers: np.ndarray) -> Iterator[tuple[int, int]]:
    """First and one past the last of each run of equal numbers."""
    edges = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
    yield from pairwise(edges)


@final
class _Cursor:
    """Walks through the videos of a camera, episode by episode."""

    def __init__(self, folder: Path, feature: str, fps: float, kept: Sequence[Episode]) -> None:
        files = files_under(folder / "videos" / feature, ".mp4")
        last = kept[-1].videos[feature] if kept else None
        place = place_in(last.path) if last else None
        self._fps = fps
        self._files = [(key, path) for key, path in files.items() if place is None or key >= place]
        self._at = self._kept = (0, round(last.to_s * fps) if last else 0)

    def take(self, length: int) -> tuple[tuple[tuple[int, int], float, float], Statistics]:
        """Place, beginning and end [s] of the next `length` frames, and their statistics."""
        file, offset = self._at
        while file < len(self._files) and offset >= len(frame_times(self._files[file][1])):
            file, offset = file + 1, 0
        if file >= len(self._files):
            raise InvalidDataset(f"a video of {length} frames is missing")
        place, path = self._files[file]
        there = len(frame_times(path)) - offset
        if there < length:
            raise InvalidDataset(f"{path}: {there} frames where {length} are expected")
        self._at = (file, offset + length)
        statistics = picture_statistics(path, offset, length, self._fps)
        return (place, offset / self._fps, (offset + length) / self._fps), statistics

    def keep(self) -> None:
        """What was taken is used."""
        self._kept = self._at

    def back(self) -> None:
        """Forget what was taken since the last `keep`."""
        self._at = self._kept


def picture_statistics(path: Path, first: int, length: int, fps: float) -> Statistics:
    """Statistics of `length` pictures of a video from the `first` on; PICTURES of them are decoded."""
    counts, video = PictureCounts(), OpenVideo(path, fps)
    try:
        for step in np.unique(np.linspace(0, length - 1, min(length, PICTURES)).round().astype(int)):
            counts.add(video.at((first + int(step)) / fps))
    finally:
        video.close()
    return counts.statistics()
