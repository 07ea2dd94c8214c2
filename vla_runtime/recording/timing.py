"""timing.jsonl: what each step cost in wall time, apart from steps.jsonl, which equal episodes have in common."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from vla_runtime.errors import RecordingFailed
from vla_runtime.types import EpisodeEnd, Observation, StepRecord

FILE_NAME = "timing.jsonl"


@final
class TimingRecorder:
    """Writes a line per step: milliseconds of each stage, and the observation's age when the action was sent."""

    def __init__(self, folder: Path) -> None:
        """Args: folder: an existing folder."""
        self._path = folder / FILE_NAME
        self._lines: list[str] = []

    def begin(self, instruction: str, seed: int) -> None:
        """Start anew."""
        self._lines = []

    def record(self, step: StepRecord) -> None:
        """Take in one step; it is written at the end, so that the disk delays no tick."""
        stages = {f"{stage}_ms": round(1e3 * seconds, 4) for stage, seconds in step.stage_s.items()}
        age_ms = None if step.age_s is None else round(1e3 * step.age_s, 3)
        late = step.candidate.proposal is None
        line = {
            "step": step.observation.step,
            **stages,
            "observation_age_ms": age_ms,
            "missed_deadline": late,
        }
        self._lines.append(json.dumps(line))

    def finish(self, end: EpisodeEnd, observation: Observation, outcome: Mapping[str, Any]) -> None:
        """Write them."""
        try:
            self._path.write_text("".join(f"{line}\n" for line in self._lines))
        except OSError as error:
            raise RecordingFailed(f"{self._path}: {error.strerror}") from error

    def abandon(self) -> None:
        """Nothing is open."""
