"""steps.jsonl: one line per step, plain JSON. Wall times are left out, so that equal episodes give equal files."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from vla_runtime.errors import RecordingFailed
from vla_runtime.types import EpisodeEnd, Observation, StepRecord

FILE_NAME = "steps.jsonl"


@final
class StepsRecorder:
    """Writes steps.jsonl. `docs/conventions.md` lists its keys and their units."""

    def __init__(self, folder: Path) -> None:
        """Args: folder: an existing folder."""
        self._path = folder / FILE_NAME
        self._file = None

    def begin(self, instruction: str, seed: int) -> None:
        """Open the file."""
        try:
            self._file = self._path.open("w")
        except OSError as error:
            raise RecordingFailed(f"{self._path}: {error.strerror}") from error

    def record(self, step: StepRecord) -> None:
        """Write one line."""
        assert self._file is not None
        self._file.write(json.dumps(step_as_json(step), allow_nan=False) + "\n")

    def finish(self, end: EpisodeEnd, observation: Observation, outcome: Mapping[str, Any]) -> None:
        """Close the file."""
        self._close()

    def abandon(self) -> None:
        """Close the file; its folder goes as a whole."""
        self._close()

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()


def step_as_json(step: StepRecord) -> dict[str, Any]:
    """A step as plain values; numbers that are not finite become strings, which JSON has no numbers for."""
    seen = step.observation
    felt = seen.proprioception
    proposal = step.candidate.proposal
    tokens = proposal.tokens if proposal else None
    normalized = proposal.action if proposal else None
    return {
        "step": seen.step,
        "capture_time_s": seen.capture_time_s,
        "token_ids": tokens.ids if tokens else None,
        "token_log_probabilities": tokens.log_probabilities if tokens else None,
        "token_entropies": tokens.entropies if tokens else None,
        "normalized_action": _numbers(normalized.values if normalized else None),
        "action": _numbers(step.candidate.action.values if step.candidate.action else None),
        "planned_from_s": step.candidate.planned_from_s,
        "executed_action": _numbers(step.executed.values if step.executed else None),
        "verdict": step.judgement.verdict.name,
        "interventions": [
            {"guard": why.guard, "verdict": why.verdict.name, "reason": why.reason}
            for why in step.judgement.interventions
        ],
        "joint_positions": felt.joint_positions if felt else None,
        "end_effector_pose": felt.end_effector_pose if felt else None,
        "gripper_opening": felt.gripper_opening if felt else None,
    }


def _numbers(values: tuple[float, ...] | None) -> list[float | str] | None:
    if values is None:
        return None
    return [value if math.isfinite(value) else str(value) for value in values]
