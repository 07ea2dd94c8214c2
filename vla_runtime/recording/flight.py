"""The flight recorder: the last seconds before a stop or a crash, in a folder that outlives the episode's own.

It keeps pictures in a ring of fixed size, and writes nothing while all goes well. When a guard says STOP, when actions
were held for too long or none came in time, and when an exception ends the episode, it writes OUT/flight/NAME with
steps.jsonl, a video for each camera and flight.json (last), whole or not at all.
"""

import json
import os
import shutil
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, final

import av
import numpy as np

from vla_runtime.errors import ConfigurationError, RecordingFailed
from vla_runtime.recording.guard_record import intervention_as_json
from vla_runtime.recording.steps import step_as_json
from vla_runtime.specs import ActionSpec
from vla_runtime.types import EndedBy, EpisodeEnd, Image, Observation, StepRecord

BAD_ENDS = (EndedBy.GUARD_STOP, EndedBy.HELD_TOO_LONG, EndedBy.NO_ACTION_IN_TIME)
FOLDER, RECORD = "flight", "flight.json"


@final
class FlightRecorder:
    """Remembers the last seconds; memory is bounded by `seconds` and by `megabytes`, whichever is less."""

    def __init__(
        self,
        folder: Path,
        action_spec: ActionSpec,
        out: Path | None = None,
        seconds: float = 10.0,
        megabytes: float = 512.0,
    ) -> None:
        """Nothing is written yet.

        Args:
            folder: Of the episode's files, which vanishes when the episode breaks off.
            action_spec: Says how many steps a second has.
            out: Of the run's results; None: beside `folder`.
            seconds: How long it remembers [s].
            megabytes: How much memory pictures may take [MB]; the remembered time gets shorter where it is not enough.
        """
        for name, value in (("seconds", seconds), ("megabytes", megabytes)):
            if not value > 0:
                raise ConfigurationError(f"flight.{name}={value}: expected a number above 0")
        self._folder = (out or folder.parent) / FOLDER
        self._hz, self._bytes = action_spec.control_hz, megabytes * 1e6
        self._capacity = max(1, round(seconds * self._hz))
        self._steps: deque[StepRecord] = deque(maxlen=self._capacity)
        self._rings: dict[str, _Ring] = {}
        self._instruction, self._seed, self._count, self._watching = "", 0, 0, False

    def begin(self, instruction: str, seed: int) -> None:
        """Start anew."""
        self._instruction, self._seed, self._count, self._watching = instruction, seed, 0, True
        self._steps.clear()
        self._rings = {}

    def record(self, step: StepRecord) -> None:
        """Remember a step, and forget the oldest when there is no room."""
        if not self._count:
            self._make_room(step.observation.images)
        for camera, picture in step.observation.images.items():
            if camera in self._rings:
                self._rings[camera].put(picture)
        self._steps.append(replace(step, observation=replace(step.observation, images={})))
        self._count += 1

    def finish(self, end: EpisodeEnd, observation: Observation, outcome: Mapping[str, Any]) -> None:
        """Write when the episode ended badly; what was seen last is in the last step."""
        self._watching = False
        if end.ended_by in BAD_ENDS:
            self._write(end.ended_by.name.lower(), end.reason)
        self._forget()

    def abandon(self) -> None:
        """Write when the episode was not finished: something raised."""
        watching, self._watching = self._watching, False
        if watching:
            error = sys.exc_info()[1]
            self._write("crash", "unknown" if error is None else f"{type(error).__name__}: {error}")
        self._forget()

    def _make_room(self, images: Mapping[str, Image]) -> None:
        """Rings for the cameras of the first step, within the memory that is allowed."""
        of_a_step = sum(picture.nbytes for picture in images.values())
        capacity = min(self._capacity, int(self._bytes // of_a_step)) if of_a_step else self._capacity
        if capacity:
            self._rings = {camera: _Ring(picture, capacity) for camera, picture in images.items()}

    def _forget(self) -> None:
        self._steps.clear()
        self._rings = {}

    def _write(self, ended_by: str, reason: str) -> None:
        """Write all that is remembered into a folder of its own."""
        target = _free(self._folder / f"seed_{self._seed:06d}_{ended_by}")
        partial = target.with_name(f".{target.name}.partial")
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            lines = [json.dumps(flight_step(step), allow_nan=False) + "\n" for step in self._steps]
            (partial / "steps.jsonl").write_text("".join(lines))
            for camera, ring in self._rings.items():
                write_video(partial / f"{camera}.mp4", ring.pictures(), self._hz)
            content = {
                "ended_by": ended_by,
                "reason": reason,
                "seed": self._seed,
                "instruction": self._instruction,
                "steps": self._count,
                "steps_kept": len(self._steps),
                "pictures_kept": {camera: len(ring.pictures()) for camera, ring in self._rings.items()},
                "control_hz": self._hz,
            }
            (partial / RECORD).write_text(json.dumps(content, indent=2) + "\n")
            _sync(partial)
            partial.rename(target)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise RecordingFailed(f"{target}: {error.strerror or error}") from error


@final
class _Ring:
    """The last pictures of a camera, in memory of fixed size."""

    def __init__(self, like: Image, capacity: int) -> None:
        self._memory = np.empty((capacity, *like.shape), np.uint8)
        self._count = 0

    def put(self, picture: Image) -> None:
        self._memory[self._count % len(self._memory)] = picture
        self._count += 1

    def pictures(self) -> Sequence[Image]:
        """Oldest first."""
        size = len(self._memory)
        return [self._memory[at % size] for at in range(max(0, self._count - size), self._count)]


def flight_step(step: StepRecord) -> dict[str, Any]:
    """A line: that of steps.jsonl, and what only an inquiry wants to know."""
    robot = step.observation.robot
    return {
        **step_as_json(step),
        "reason": step.candidate.reason,
        "give_up": step.candidate.give_up,
        "judgements": [intervention_as_json(why) for why in step.judgement.interventions],
        "observation_age_s": step.age_s,
        "stage_s": dict(step.stage_s),
        "robot": None if robot is None else _finite(vars(robot)),
    }


def write_video(path: Path, pictures: Sequence[Image], fps: float) -> None:
    """Write pictures of equal size as H.264. A row or column that makes a side odd is left out: the codec wants it even."""
    height, width = (side // 2 * 2 for side in pictures[0].shape[:2])
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "18", "preset": "veryfast"}
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _finite(value: Any) -> Any:
    """The same with strings for numbers that JSON has none for."""
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (tuple, list)) else value


def _free(path: Path) -> Path:
    """The path, or with a number behind it when an earlier run has left one there."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name}_{number}")
    return found


def _sync(folder: Path) -> None:
    """Wait until the files of a folder are on the disk."""
    for file in folder.iterdir():
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
