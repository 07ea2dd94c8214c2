"""Videos of a few episodes of a benchmark: kept in memory while they go on, written only when they are wanted."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from PIL import Image

from vla_runtime.recording.video import FILE_NAME, VideoRecorder
from vla_runtime.types import EpisodeEnd, Observation, StepRecord

POSTER_HEIGHT = 240  # [px]
JPEG_QUALITY = 80


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

    def write(self, target: Path) -> None:
        """Leave TARGET.mp4 and TARGET.jpg, the last picture; each whole or not at all. Nothing where there are no pictures.

        Raises:
            RecordingFailed: The files cannot be written.
        """
        if self._end is None or not self._end[1].images:
            return
        part = target.with_name(f".{target.name}.{os.getpid()}.partial")
        part.mkdir(parents=True, exist_ok=True)
        try:
            video = VideoRecorder(part, self._hz)
            video.begin(*self._begun)
            for step in self._steps:
                video.record(step)
            video.finish(*self._end)
            views = [Image.fromarray(image) for image in self._end[1].images.values()]
            poster = views[0].resize((round(views[0].width * POSTER_HEIGHT / views[0].height), POSTER_HEIGHT))
            poster.save(part / "poster.jpg", quality=JPEG_QUALITY)
            (part / "poster.jpg").replace(target.with_suffix(".jpg"))
            (part / FILE_NAME).replace(target.with_suffix(".mp4"))
        finally:
            for file in part.iterdir():
                file.unlink()
            part.rmdir()
