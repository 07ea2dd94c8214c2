"""guards.jsonl: everything that guards were shown and what they said, written before the action is let through.

The first line holds the guards' configuration, so that `scripts/replay_guards.py` can judge the same again. Each line
carries a digest over itself and all lines before it: what was changed or cut out is found.
"""

import json
import math
import os
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, final

from vla_runtime.errors import RecordingFailed
from vla_runtime.types import Action, Candidate, GuardContext, Intervention, Judgement, RobotState

FILE_NAME = "guards.jsonl"
FORMAT = "vla-runtime guard record 1"
DIGEST_BYTES = 8
ENCODE = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
NO_DIGEST = "0" * 2 * DIGEST_BYTES


@final
class GuardRecord:
    """Appends lines, each handed to the operating system at once."""

    def __init__(self, folder: Path, header: Mapping[str, Any]) -> None:
        """Args: folder: an existing folder; header: what replaying needs to know of the guards, plain values."""
        path = folder / FILE_NAME
        self._digest, self._broken = NO_DIGEST, False
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        except OSError as error:
            raise RecordingFailed(f"{path}: {error.strerror}") from error
        self._append({"format": FORMAT, **header})

    def write(self, context: GuardContext, candidate: Candidate, judgement: Judgement) -> None:
        """Append one step. Raises OSError when it cannot be written."""
        self._append(step_as_json(context, candidate, judgement))

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _append(self, content: Mapping[str, Any]) -> None:
        try:
            text = ENCODE(content)
        except ValueError:  # a number that is not finite: rare, so it is not looked for beforehand
            text = ENCODE(_plain(content))
        digest = chained(self._digest, text)
        line = f'{text[:-1]},"digest":"{digest}"}}\n'.encode()
        if self._broken:
            raise OSError("an earlier line is incomplete")
        self._broken = True  # until the whole line is out
        while line:
            line = line[os.write(self._file, line) :]
        self._digest, self._broken = digest, False


def chained(before: str, text: str) -> str:
    """The digest of a line, given the one of the line before."""
    return blake2b(f"{before}{text}".encode(), digest_size=DIGEST_BYTES).hexdigest()


def step_as_json(context: GuardContext, candidate: Candidate, judgement: Judgement) -> dict[str, Any]:
    """One step as plain values. Numbers that are not finite will become strings, which JSON has no numbers for."""
    seen, felt = context.observation, context.observation.proprioception
    return {
        "step": seen.step,
        "now_s": context.now_s,
        "capture_time_s": seen.capture_time_s,
        "planned_from_s": candidate.planned_from_s,
        "joint_positions": felt.joint_positions if felt else None,
        "end_effector_pose": felt.end_effector_pose if felt else None,
        "gripper_opening": felt.gripper_opening if felt else None,
        "robot": _robot(seen.robot),
        "frames": {name: [frame.digest, frame.brightness] for name, frame in context.frames.items()},
        "token_ids": context.tokens.ids if context.tokens else None,
        "token_entropies": context.tokens.entropies if context.tokens else None,
        "refused": candidate.proposal is not None and candidate.action is None,
        "give_up": candidate.give_up,
        "reason": candidate.reason,
        "action": numbers(candidate.action),
        "hold": numbers(context.hold),
        "verdict": judgement.verdict.name,
        "executed": numbers(judgement.action),
        "interventions": [intervention_as_json(why) for why in judgement.interventions],
    }


def intervention_as_json(why: Intervention) -> dict[str, Any]:
    """Why a guard did not simply let an action pass."""
    return {
        "guard": why.guard,
        "verdict": why.verdict.name,
        "reason": why.reason,
        "value": _plain(why.value),
        "limit": _plain(why.limit),
        "unit": why.unit,
        "action_in": numbers(why.before),
        "action_out": numbers(why.action),
    }


def numbers(action: Action | None) -> list[float | str] | None:
    """An action's values; what is not finite as a string."""
    return None if action is None else [_plain(value) for value in action.values]


def _plain(value: Any) -> Any:
    """The same with strings for numbers that are not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _robot(robot: RobotState | None) -> dict[str, Any] | None:
    return None if robot is None else vars(robot)
