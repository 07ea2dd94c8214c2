"""Videos of a few episodes of a benchmark: kept in memory while they go on, written only when they are wanted."""

import io
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from PIL import Image

from vla_runtime.errors import RecordingFailed
from vla_runtime.recording.video import FILE_NAME, VideoRecorder
from vla_runtime.types import EpisodeEnd, Observation, StepRecord

POSTER_HEIGHT = 240  # [px]
JPEG_QUALITY = 80


@dataclass(frozen=True)
class Film:
    """Of an episode.

    Attributes:
        video: mp4.
        poster: Its last picture, jpeg.
    """

    video: bytes
    poster: bytes


@final
class FilmWatch:
    """A recorder that remembers everything of one episode."""

    def __init__(self, control_hz: float) -> None:
        """Args: control_hz: steps per second [Hz]."""
        self._hz = control_hz
        self._steps: list[StepRecord] = []
        self._begun: tuple[str, int] = ("", 0)
        self._end: tuple[EpisodeEnd, Observation, Mapping[str, Any]] | None = None

    def begin(self, instruction: str, seed: int) -> None:
        """An episode starts."""
        self._begun, self._steps, self._end = (instruction, seed), [], None

    def record(self, step: StepRecord) -> None:
        """Remember a step."""
        self._steps.append(step)

    def finish(self, end: EpisodeEnd, observation: Observation, outcome: Mapping[str, Any]) -> None:
        """Remember the end."""
        self._end = (end, observation, outcome)

    def abandon(self) -> None:
        """Forget."""
        self._steps = []

    def developed(self) -> Film | None:
        """The video and its last picture; None where there are no pictures.

        Raises:
            RecordingFailed: There is no room for it.
        """
        if self._end is None or not self._end[1].images:
            return None
        with tempfile.TemporaryDirectory() as folder:
            video = VideoRecorder(Path(folder), self._hz)
            video.begin(*self._begun)
            for step in self._steps:
                video.record(step)
            video.finish(*self._end)
            film = (Path(folder) / FILE_NAME).read_bytes()
        view = Image.fromarray(next(iter(self._end[1].images.values())))
        poster = io.BytesIO()
        size = (round(view.width * POSTER_HEIGHT / view.height), POSTER_HEIGHT)
        view.resize(size).save(poster, "jpeg", quality=JPEG_QUALITY)
        return Film(film, poster.getvalue())


def write_film(target: Path, film: Film) -> None:
    """Leave TARGET.mp4 and TARGET.jpg, each whole or not at all. Raises RecordingFailed: they cannot be written."""
    for suffix, content in ((".jpg", film.poster), (".mp4", film.video)):
        path = target.with_suffix(suffix)
        part = path.with_name(f".{path.name}.partial")
        try:
            path.parent.mkdir(exist_ok=True)
            part.write_bytes(content)
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise RecordingFailed(f"{path}: {error.strerror}") from error
