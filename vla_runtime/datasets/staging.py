"""One episode on its way into a data set: a folder of its own, which any process can write.

Frames come one by one; pictures are encoded by a thread behind a bounded queue, so that neither memory nor the caller's
time grows with the episode. `finish` writes staged.json last: a folder without it is unfinished. While its process lives,
it holds the folder's lock.
"""

import json
import queue
import secrets
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vla_runtime.datasets.durable import sync_file, sync_folder, write_json
from vla_runtime.datasets.features import (
    DEFAULTS,
    Feature,
    check_writable,
    checked_numbers,
    features_from_json,
)
from vla_runtime.datasets.locks import FileLock, is_held
from vla_runtime.datasets.moments import PictureCounts, Statistics, of_numbers
from vla_runtime.datasets.video import VideoCodec, VideoWriter, coding
from vla_runtime.errors import InvalidDataset, RecordingFailed
from vla_runtime.types import Image

MANIFEST, ROWS, LOCK = "staged.json", "rows.parquet", ".episode.lock"
ROWS_IN_MEMORY = 1024  # [frames]
PICTURES_WAITING = 32  # [pictures] between the caller and the encoder of a camera


@final
class EpisodeWriter:
    """Stages one episode."""

    def __init__(
        self,
        folder: Path,
        features: Mapping[str, Feature],
        fps: int,
        instruction: str,
        codec: VideoCodec | None = None,
    ) -> None:
        """Begin.

        Args:
            folder: A new folder; best under `.staging` of the data set, on the same file system.
            features: Those of the data set, without the ones that every data set has.
            fps: Frames per second, a whole number [Hz].
            instruction: The sentence.
            codec: How pictures are coded.

        Raises:
            InvalidDataset: A feature that cannot be written, an empty instruction, an fps that is no whole number.
            RecordingFailed: The folder is there already, or cannot be made.
        """
        check_writable(features)
        check_fps(fps)
        check_instruction(instruction)
        self.folder, self.fps, self.instruction = folder, int(fps), instruction
        self._features, self.frames = dict(features), 0
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise RecordingFailed(f"{folder}: {error.strerror}; expected a new folder") from error
        self._lock = FileLock(folder / LOCK, f"episode {folder}")
        self._pending: dict[str, list[Any]] = {name: [] for name in self._columns}
        schema = pa.schema([(name, feature.arrow_type()) for name, feature in self._columns.items()])
        self._rows: pq.ParquetWriter | None = pq.ParquetWriter(folder / ROWS, schema)
        self._cameras = {
            name: _Camera(folder / video_name(name), self.fps, feature, codec or VideoCodec())
            for name, feature in self._features.items()
            if feature.dtype == "video"
        }

    @property
    def _columns(self) -> dict[str, Feature]:
        return {name: feature for name, feature in self._features.items() if not feature.is_picture}

    def append(self, values: Mapping[str, Any]) -> None:
        """Add one frame.

        Args:
            values: By feature: numbers of its shape, a text, or a picture of shape (height, width, 3) uint8.

        Raises:
            InvalidDataset: A feature is missing or unknown, has another shape, or a number is not finite.
            RecordingFailed: The disk is full, or the encoder failed.
        """
        if self._rows is None:
            raise RecordingFailed(f"{self.folder}: the episode was finished or discarded")
        if values.keys() != self._features.keys():
            wrong = ", ".join(sorted(values.keys() ^ self._features.keys()))
            raise InvalidDataset(
                f"frame {self.frames}: {wrong} missing or unknown; expected {', '.join(self._features)}"
            )
        checked = {
            name: self._checked(name, feature, values[name]) for name, feature in self._features.items()
        }
        for name, camera in self._cameras.items():
            camera.add(checked[name])
        for name, column in self._pending.items():
            column.append(checked[name])
        self.frames += 1
        if self.frames % ROWS_IN_MEMORY == 0:
            self._write_rows()

    def finish(self, note: Mapping[str, Any] | None = None) -> Path:
        """Make the episode whole and durable.

        Args:
            note: What is to be remembered of it beside its frames, plain values: seed, policy, success.

        Returns:
            Its folder, for `DatasetWriter.add`.

        Raises:
            InvalidDataset: It has no frames.
        """
        if not self.frames:
            self.discard()
            raise InvalidDataset(f"episode {self.folder}: has no frames; expected at least one")
        self._write_rows()
        assert self._rows is not None
        self._rows.close()
        self._rows = None
        pictures = {name: camera.finish() for name, camera in self._cameras.items()}
        for name in (ROWS, *(video_name(camera) for camera in self._cameras)):
            sync_file(self.folder / name)
        manifest = {
            "format": "vla-runtime staged episode 1",
            "token": secrets.token_hex(8),  # so that it is never added twice
            "fps": self.fps,
            "frames": self.frames,
            "instruction": self.instruction,
            "features": {name: feature.as_json() for name, feature in self._features.items()},
            "coding": {name: coding(self.folder / video_name(name)) for name in self._cameras},
            "pictures": pictures,
            "note": dict(note or {}),
        }
        write_json(self.folder / MANIFEST, manifest)
        sync_folder(self.folder.parent)
        self._lock.release()
        return self.folder

    def discard(self) -> None:
        """Remove the folder. Does nothing after `finish`; may be called twice."""
        if (self.folder / MANIFEST).exists() or self._lock.released:
            return
        for camera in self._cameras.values():
            camera.abandon()
        if self._rows is not None:
            self._rows.close()
            self._rows = None
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()

    def _checked(self, name: str, feature: Feature, value: Any) -> Any:
        where = f"frame {self.frames}, {name}"
        if feature.is_picture:
            return _checked_picture(where, feature, value)
        if feature.dtype == "string":
            if not isinstance(value, str):
                raise InvalidDataset(f"{where}: {type(value).__name__}; expected a text")
            return value
        return checked_numbers(where, feature, value)

    def _write_rows(self) -> None:
        """Hand the pending rows to the file."""
        if not next(iter(self._pending.values()), [True]):
            return
        assert self._rows is not None
        arrays = [arrow_array(feature, self._pending[name]) for name, feature in self._columns.items()]
        try:
            self._rows.write_table(pa.Table.from_arrays(arrays, schema=self._rows.schema))
        except OSError as error:
            raise RecordingFailed(f"{self.folder / ROWS}: {error.strerror or error}") from error
        self._pending = {name: [] for name in self._pending}


@dataclass(frozen=True)
class StagedEpisode:
    """A finished one, as `DatasetWriter` sees it.

    Attributes:
        folder: Where it lies.
        token: No other episode has it.
        fps: [Hz].
        frames: How many.
        instruction: The sentence.
        features: Of its frames, with the coding of its videos.
        rows: Its columns but those that every data set has.
        statistics: By feature, of this episode.
        note: What is to be remembered of it.
    """

    folder: Path
    token: str
    fps: int
    frames: int
    instruction: str
    features: Mapping[str, Feature]
    rows: pa.Table
    statistics: Mapping[str, Statistics]
    note: Mapping[str, Any]


def read_staged(folder: Path) -> StagedEpisode:
    """A staged episode.

    Raises:
        InvalidDataset: It is unfinished or damaged.
    """
    if not (folder / MANIFEST).is_file():
        raise InvalidDataset(f"episode {folder}: unfinished, {MANIFEST} is missing")
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        features = features_from_json(manifest["features"])
        for name, details in manifest["coding"].items():
            features[name] = Feature(
                features[name].dtype, features[name].shape, features[name].names, details
            )
        with pq.ParquetFile(folder / ROWS) as file:
            rows = file.read()
        numbers = {
            name: as_matrix(rows[name], feature) for name, feature in features.items() if feature.is_number
        }
        statistics = {name: of_numbers(values) for name, values in numbers.items()} | manifest["pictures"]
        if rows.num_rows != manifest["frames"]:
            raise InvalidDataset(f"episode {folder}: {rows.num_rows} rows; expected {manifest['frames']}")
        return StagedEpisode(
            folder,
            manifest["token"],
            manifest["fps"],
            manifest["frames"],
            manifest["instruction"],
            features,
            rows,
            statistics,
            manifest["note"],
        )
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise InvalidDataset(f"episode {folder}: damaged ({error})") from error


def is_alive(folder: Path) -> bool:
    """Whether the process that stages an episode there still lives."""
    return is_held(folder / LOCK)


def video_name(feature: str) -> str:
    """The name of a camera's video in a staging folder."""
    return f"{feature}.mp4"


def check_fps(fps: float) -> None:
    """Refuse a rate that lerobot cannot hold.

    Raises:
        InvalidDataset: It is no whole number above 0.
    """
    if fps != int(fps) or fps < 1:
        raise InvalidDataset(f"fps={fps:g}: expected a whole number above 0 [Hz]")


def check_instruction(instruction: str) -> None:
    """Refuse an empty sentence.

    Raises:
        InvalidDataset: It is empty.
    """
    if not isinstance(instruction, str) or not instruction.strip():
        raise InvalidDataset(f"instruction {instruction!r}: is empty; expected a sentence")


def arrow_array(feature: Feature, values: list[Any]) -> pa.Array:
    """Values as a column.

    Args:
        feature: What they are.
        values: Texts, or arrays of shape (n,).
    """
    if feature.dtype == "string":
        return pa.array(values, pa.string())
    flat = pa.array(np.concatenate(values) if values else np.empty(0, feature.dtype))
    return flat if feature.shape == (1,) else pa.FixedSizeListArray.from_arrays(flat, feature.shape[0])


def as_matrix(column: pa.ChunkedArray, feature: Feature) -> np.ndarray:
    """A column's numbers, shape (rows, n)."""
    array = column.combine_chunks()
    flat = array if feature.shape == (1,) else array.flatten()
    return flat.to_numpy(zero_copy_only=False).reshape(-1, feature.shape[0])


def default_columns(number: int, start: int, frames: int, fps: int, task: int) -> dict[str, np.ndarray]:
    """The columns that every data set has, for one episode."""
    steps = np.arange(frames)
    return {
        "timestamp": (steps / fps).astype(np.float32),
        "frame_index": steps,
        "episode_index": np.full(frames, number),
        "index": start + steps,
        "task_index": np.full(frames, task),
    }


def with_defaults(rows: pa.Table, columns: Mapping[str, np.ndarray]) -> pa.Table:
    """A table of an episode with the columns that every data set has behind its own."""
    for name, values in columns.items():
        rows = rows.append_column(name, pa.array(values, DEFAULTS[name].arrow_type()))
    return rows.replace_schema_metadata(None).combine_chunks()


@final
class _Camera:
    """Encodes the pictures of one camera in a thread, and counts their brightness."""

    def __init__(self, path: Path, fps: int, feature: Feature, codec: VideoCodec) -> None:
        height, width = feature.shape[:2]
        self._video, self._counts = VideoWriter(path, fps, height, width, codec), PictureCounts()
        self._waiting: queue.Queue[Image | None] = queue.Queue(PICTURES_WAITING)
        self._failed: BaseException | None = None
        self._path, self._keep = path, True
        self._thread = threading.Thread(target=self._encode, name=f"encoder of {path.name}", daemon=True)
        self._thread.start()

    def add(self, picture: Image) -> None:
        """Hand over a picture; waits while the encoder is far behind."""
        self._check()
        self._waiting.put(picture)

    def finish(self) -> Statistics:
        """Wait for the encoder, close the file; the statistics of the pictures."""
        self._end()
        self._check()
        return self._counts.statistics()

    def abandon(self) -> None:
        """Stop early."""
        self._keep = False
        self._end()

    def _end(self) -> None:
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join()

    def _check(self) -> None:
        if self._failed is not None:
            raise RecordingFailed(f"{self._path}: the encoder failed ({self._failed})") from self._failed

    def _encode(self) -> None:
        """The thread: after a failure it goes on taking pictures, so that nobody waits for it."""
        while (picture := self._waiting.get()) is not None:
            if self._keep and self._failed is None:
                self._attempt(lambda picture=picture: self._take(picture))
        if self._keep and self._failed is None:
            self._attempt(self._video.finish)
        self._attempt(self._video.close)

    def _take(self, picture: Image) -> None:
        self._video.add(picture)
        self._counts.add(picture)

    def _attempt(self, work: Any) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  it is raised where the caller can see it
            self._failed = self._failed or error


def _checked_picture(where: str, feature: Feature, value: Any) -> Image:
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8 or value.shape != feature.shape:
        got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        raise InvalidDataset(f"{where}: {got}; expected uint8 {feature.shape}")
    return value
