"""Adding staged episodes to a data set: one process at a time, each episode durable before the index names it.

An episode becomes one data file and one video per camera, whole before they get their names, the videos first. Then the
index: tasks, row, info.json last. A process that is killed anywhere leaves a data set that the next writer puts in order:
what was finished is there, what was not is still staged or gone.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import pyarrow as pa

from vla_runtime.datasets import index_v3, index_writing
from vla_runtime.datasets.columns import as_matrix, default_columns, with_defaults
from vla_runtime.datasets.durable import place, write_json, write_parquet
from vla_runtime.datasets.features import DEFAULTS, Feature, check_fps, check_writable, difference
from vla_runtime.datasets.index import DatasetIndex, Episode, VideoPart
from vla_runtime.datasets.layout import (
    EPISODE_FILE,
    INFO,
    LOCK,
    ROWS_PER_INDEX_FILE,
    STAGING,
    VERSION,
    after,
)
from vla_runtime.datasets.locks import FileLock
from vla_runtime.datasets.moments import of_numbers
from vla_runtime.datasets.notes import append_note, read_notes
from vla_runtime.datasets.opening import read_info
from vla_runtime.datasets.places import Place, data_path, next_data, next_video, video_path
from vla_runtime.datasets.recovery import recover
from vla_runtime.datasets.staged import StagedEpisode, read_staged, video_name
from vla_runtime.datasets.totals import bring_statistics_up_to_date
from vla_runtime.errors import InvalidDataset


@final
class DatasetWriter:
    """Adds episodes. Use it as a context, or call `close`."""

    def __init__(
        self,
        folder: Path,
        features: Mapping[str, Feature],
        fps: int,
        robot_type: str | None = None,
        wait_s: float = 0.0,
    ) -> None:
        """Begin a data set, or go on with one; what a killed process left is put in order first.

        Args:
            folder: Of the data set.
            features: By name, without those that every data set has.
            fps: Frames per second, a whole number [Hz].
            robot_type: Name of the robot.
            wait_s: How long to wait for another process that writes to it [s].

        Raises:
            InvalidDataset: There is a data set of other features, fps or version, or it is damaged.
            DatasetBusy: Another process writes to it.
        """
        check_writable(features)
        check_fps(fps)
        self.folder, self._features, self._fps = folder, dict(features), int(fps)
        self._lock = FileLock(folder / LOCK, f"data set {folder}", wait_s)
        try:
            if not (folder / INFO).exists():
                write_json(folder / INFO, index_writing.new_info(self._fps, features, robot_type))
            self._check_same(read_info(folder))
            index: DatasetIndex = recover(folder).index
        except BaseException:
            self._lock.release()
            raise
        self._tasks = dict(index.tasks)
        self._episodes: list[Episode] = list(index.episodes)
        self._info = dict(index.info)
        self._half_added = False
        self._tokens = {
            str(note.get("token")): number
            for number, note in read_notes(folder).items()
            if number < len(self._episodes)
        }

    def __enter__(self) -> "DatasetWriter":
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    @property
    def episodes(self) -> int:
        """How many there are."""
        return len(self._episodes)

    @property
    def frames(self) -> int:
        """How many there are."""
        return self._episodes[-1].stop if self._episodes else 0

    def new_staging(self, name: str) -> Path:
        """A folder for an `EpisodeWriter`, on the data set's own file system."""
        return self.folder / STAGING / name

    def add(self, staged: Path) -> int:
        """Add a staged episode; its staging folder is gone afterwards.

        Returns:
            Its number in the data set. One that is there already (its process was killed before the staging folder was
            removed) keeps its number.

        Raises:
            InvalidDataset: It is unfinished or damaged, or does not fit the data set.
            RecordingFailed: The disk is full; the data set is as it was.
        """
        episode = read_staged(staged)
        known = self._known(episode)
        if known is not None:
            shutil.rmtree(staged, ignore_errors=True)
            return known
        self._check_staged(episode)
        self._half_added = True
        number, task = len(self._episodes), self._task(episode.instruction)
        self._declare_coding(episode)
        append_note(
            self.folder,
            number,
            {**episode.note, "frames": episode.frames, "token": episode.token, "staged": staged.name},
        )
        videos = self._place_videos(episode)
        table, statistics = self._rows(episode, number, task)
        data = next_data(self._episodes)
        write_parquet(data_path(self.folder, self._info, data), table)
        self._enter(episode, number, data, videos, statistics)
        self._tokens[episode.token] = number
        self._half_added = False
        shutil.rmtree(staged, ignore_errors=True)
        return number

    def close(self, *, exact: bool = True) -> None:
        """Bring stats.json up to date, and let go of the data set. May be called twice.

        Args:
            exact: Whether to take all rows into account now. If not, they are as long as stats.json covers 95 % of them.
        """
        if self._lock.released:
            return
        try:
            if self._half_added:
                recover(self.folder)
            bring_statistics_up_to_date(self.folder, exact=exact)
        finally:
            self._lock.release()

    # --------------------------------------------------------------------------------------------- checking

    def _check_same(self, info: Mapping[str, Any]) -> None:
        """Refuse to go on with a data set of another kind."""
        where = f"data set {self.folder}"
        if info["codebase_version"] != VERSION:
            raise InvalidDataset(
                f"{where}: version {info['codebase_version']} can be read only; expected {VERSION}"
            )
        if info["fps"] != self._fps:
            raise InvalidDataset(
                f"{where}: has {info['fps']:g} frames per second; the new episodes have {self._fps}"
            )
        there = index_v3.features_from_json(info["features"])
        own = {name: feature for name, feature in there.items() if name not in DEFAULTS}
        found = difference(own, self._features)
        if found:
            raise InvalidDataset(f"{where}: {found}")

    def _check_staged(self, episode: StagedEpisode) -> None:
        where = f"episode {episode.folder}"
        if episode.fps != self._fps:
            raise InvalidDataset(f"{where}: {episode.fps} frames per second; the data set has {self._fps}")
        found = difference(self._features, episode.features)
        if found:
            raise InvalidDataset(f"{where}: {found}")

    def _known(self, episode: StagedEpisode) -> int | None:
        """The number of an episode that is in the data set already."""
        return self._tokens.get(episode.token)

    # --------------------------------------------------------------------------------------------- the steps of adding

    def _task(self, instruction: str) -> int:
        """The sentence's number; a new sentence is written down first."""
        for number, sentence in self._tasks.items():
            if sentence == instruction:
                return number
        number = max(self._tasks, default=-1) + 1
        tasks = {**self._tasks, number: instruction}
        index_writing.write_tasks(self.folder, tasks)
        self._tasks = tasks
        return number

    def _declare_coding(self, episode: StagedEpisode) -> None:
        """Take over how videos are coded from the first episode; it reaches the disk with info.json."""
        features = self._info["features"]
        new = {
            name: {**features[name], "info": dict(feature.details)}
            for name, feature in episode.features.items()
            if feature.dtype == "video" and not features[name].get("info")
        }
        self._info = {**self._info, "features": {**features, **new}}

    def _place_videos(self, episode: StagedEpisode) -> dict[str, tuple[Place, float, float]]:
        """Give the videos their names in the data set; by feature their place, beginning and end [s]."""
        placed = {}
        for name in (name for name, feature in episode.features.items() if feature.dtype == "video"):
            at = next_video(self._episodes, name)
            place(episode.folder / video_name(name), video_path(self.folder, self._info, name, at))
            placed[name] = (at, 0.0, episode.frames / self._fps)
        return placed

    def _rows(self, episode: StagedEpisode, number: int, task: int) -> tuple[pa.Table, dict[str, Any]]:
        """The rows of the data file, in the order of info.json, and the statistics of all its features."""
        columns = default_columns(number, self.frames, episode.frames, self._fps, task)
        table = with_defaults(episode.rows, columns)
        names = [name for name, node in self._info["features"].items() if node["dtype"] != "video"]
        statistics = dict(episode.statistics)
        statistics |= {name: of_numbers(as_matrix(table[name], DEFAULTS[name])) for name in DEFAULTS}
        return table.select(names), statistics

    def _enter(
        self,
        episode: StagedEpisode,
        number: int,
        data: Place,
        videos: Mapping[str, tuple[Place, float, float]],
        statistics: Mapping[str, Any],
    ) -> None:
        """Write the index: the row, then info.json."""
        start, stop = self.frames, self.frames + episode.frames
        tasks = (episode.instruction,)
        row = index_writing.row_of(number, start, episode.frames, tasks, data, videos, statistics)
        at = self._append_row(row)
        self._info = index_writing.write_info(self.folder, self._info, number + 1, stop, len(self._tasks))
        parts = {
            name: VideoPart(video_path(self.folder, self._info, name, file), begin, end)
            for name, (file, begin, end) in videos.items()
        }
        path = data_path(self.folder, self._info, data)
        self._episodes.append(Episode(number, start, stop, path, parts, tasks, {}, at))

    def _append_row(self, row: Mapping[str, Any]) -> tuple[int, int]:
        """Add a row to the index's last file, or begin a new file when that is full; where it went."""
        schema = index_writing.row_schema(index_v3.features_from_json(self._info["features"]))
        last = self._episodes[-1].index_file if self._episodes else None
        if last is None:
            index_writing.write_rows(self.folder, (0, 0), [row], schema)
            return (0, 0)
        path = self.folder / EPISODE_FILE.format(chunk_index=last[0], file_index=last[1])
        table = index_v3.read_table(path)
        before = table["episode_index"].to_numpy() < row["episode_index"]
        table = table.filter(pa.array(before))  # without a row whose adding failed after it was written
        if table.num_rows >= ROWS_PER_INDEX_FILE or set(table.column_names) != set(schema.names):
            last = after(*last)
            index_writing.write_rows(self.folder, last, [row], schema)
            return last
        numbered = {**row, "meta/episodes/chunk_index": last[0], "meta/episodes/file_index": last[1]}
        added = pa.Table.from_pylist([numbered], schema=schema)
        old = table.select(schema.names).cast(schema)
        write_parquet(path, pa.concat_tables([old, added]).combine_chunks())
        return last
