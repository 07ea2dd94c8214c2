"""One episode on its way into a data set: a folder of its own, which any process can write.

Frames come one by one; pictures are encoded by a thread behind a bounded queue, so that neither memory nor the caller's
time grows with the episode. `finish` writes staged.json last: a folder without it is unfinished. While its process lives,
it holds the folder's lock.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vla_runtime.datasets.columns import arrow_array
from vla_runtime.datasets.encoding import CameraEncoder
from vla_runtime.datasets.features import (
    Feature,
    check_fps,
    check_instruction,
    check_writable,
    checked_numbers,
)
from vla_runtime.datasets.locks import FileLock
from vla_runtime.datasets.staged import LOCK, MANIFEST, ROWS, video_name, write_manifest
from vla_runtime.datasets.video import VideoCodec
from vla_runtime.errors import InvalidDataset, RecordingFailed
from vla_runtime.types import Image

ROWS_IN_MEMORY = 1024  # [frames]


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
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
        except OSError as error:
            raise RecordingFailed(f"{folder}: {error.strerror}; expected a new folder") from error
        self._lock = FileLock(folder / LOCK, f"episode {folder}")
        self._pending: dict[str, list[Any]] = {name: [] for name in self._columns}
        schema = pa.schema([(name, feature.arrow_type()) for name, feature in self._columns.items()])
        self._rows: pq.ParquetWriter | None = pq.ParquetWriter(folder / ROWS, schema)
        self._cameras = {
            name: CameraEncoder(folder / video_name(name), self.fps, feature, codec or VideoCodec())
            for name, feature in self._features.items()
            if feature.dtype == "video"
        }

    @property
    def features(self) -> dict[str, Feature]:
        """As they were given."""
        return dict(self._features)

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
        write_manifest(
            self.folder, self.fps, self.frames, self.instruction, self._features, pictures, note or {}
        )
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


def _checked_picture(where: str, feature: Feature, value: Any) -> Image:
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8 or value.shape != feature.shape:
        got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        raise InvalidDataset(f"{where}: {got}; expected uint8 {feature.shape}")
    return value.copy()  # it waits for the encoder, and its owner may reuse it
