"""Episodes as a LeRobotDataset: what was seen, done and proposed, and what the guards said of it."""

import math
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, final

from vla_runtime.datasets import DatasetWriter, EpisodeWriter, Feature, VideoCodec
from vla_runtime.datasets.features import camera_feature, check_fps, check_instruction
from vla_runtime.datasets.layout import ACTION, CAMERA, STAGING, STATE
from vla_runtime.specs import ActionSpec
from vla_runtime.types import Action, EpisodeEnd, Observation, StepRecord

POSE_NAMES = ("x", "y", "z", "qx", "qy", "qz", "qw")
PROPOSED, EXECUTED, VERDICT, DONE = "action.proposed", "action.executed", "verdict", "next.done"
LOCK_WAIT_S = 60.0  # [s] for other runs that add to the same data set
FOLDER = "lerobot"
NOTED = ("policy", "task")  # what is remembered of a run's description


@final
class StagingRecorder:
    """Stages an episode for a data set; `staged` is its folder once it is whole."""

    def __init__(
        self,
        root: Path,
        action_spec: ActionSpec,
        description: Mapping[str, Any] | None = None,
        codec: VideoCodec | None = None,
    ) -> None:
        """Nothing is written yet.

        Args:
            root: Of the data set.
            action_spec: Names the axes of actions, and the rate.
            description: Of the run, plain values: policy and task are noted.
            codec: How pictures are coded.
        """
        check_fps(action_spec.control_hz)
        self.root, self.staged = root, None
        self._spec, self._codec = action_spec, codec
        self._noted = {name: (description or {}).get(name) for name in NOTED}
        self._episode: EpisodeWriter | None = None
        self._waiting: dict[str, Any] | None = (
            None  # the last row: whether it ends the episode is known later
        )
        self._last: Action | None = None  # what was executed before
        self._instruction, self._seed = "", 0

    @property
    def features(self) -> dict[str, Feature]:
        """Of the episode that was staged."""
        assert self._episode is not None
        return self._episode.features

    def begin(self, instruction: str, seed: int) -> None:
        """An episode starts."""
        check_instruction(instruction)
        self.abandon()
        self._instruction, self._seed = instruction, seed
        self._episode = self.staged = self._last = None

    def record(self, step: StepRecord) -> None:
        """Add a frame."""
        if self._episode is None:
            folder = self.root / STAGING / f"seed_{self._seed:06d}_{os.getpid()}_{time.monotonic_ns()}"
            features = features_of(step.observation, self._spec)
            fps = int(self._spec.control_hz)
            self._episode = EpisodeWriter(folder, features, fps, self._instruction, self._codec)
        self._flush(done=False)
        self._waiting = row_of(step, still(step, self._last, self._spec))
        self._last = step.executed or self._last

    def finish(self, end: EpisodeEnd, observation: Observation, outcome: Mapping[str, Any]) -> None:
        """Make the episode whole."""
        if self._episode is None:
            return
        self._flush(done=True)
        success = bool(outcome.get("success_at_end"))
        note = {"seed": self._seed, "success": success, "ended_by": end.ended_by.name.lower(), **self._noted}
        self.staged = self._episode.finish(note)

    def abandon(self) -> None:
        """Leave nothing of an unfinished episode."""
        self._waiting = None
        if self._episode is not None and self.staged is None:
            self._episode.discard()
            self._episode = None
            for folder in (self.root / STAGING, self.root):
                with suppress(OSError):  # not empty: others are at work there
                    folder.rmdir()

    def _flush(self, *, done: bool) -> None:
        if self._waiting is not None and self._episode is not None:
            self._episode.append({**self._waiting, DONE: done})
        self._waiting = None


@final
class LeRobotRecorder:
    """Adds each finished episode to a data set. Several runs, one after the other or at once, may share it."""

    def __init__(
        self,
        folder: Path,
        action_spec: ActionSpec,
        description: Mapping[str, Any] | None = None,
        out: Path | None = None,
        root: str | None = None,
        only_success: bool = False,  # noqa: FBT001, FBT002  a YAML key
        codec: str = "libx264",
        group: int = 2,
        codec_options: Mapping[str, str] | None = None,
    ) -> None:
        """Nothing is written yet.

        Args:
            folder: Of the episode's other files.
            action_spec: Names the axes of actions, and the rate; the environment's.
            description: Of the run: policy, task and robot are remembered.
            out: Of the run's results.
            root: Of the data set; None: the folder `lerobot` in `out`.
            only_success: Whether episodes without success are left out.
            codec: Any video encoder that PyAV has.
            group: Frames from one that stands alone to the next [frames].
            codec_options: The encoder's own.
        """
        self.root = Path(root).expanduser() if root else (out or folder.parent) / FOLDER
        video = VideoCodec(codec, group, options=dict(codec_options or {}))
        self._staging = StagingRecorder(self.root, action_spec, description, video)
        self._fps, self._only_success = int(action_spec.control_hz), only_success
        self._robot = ((description or {}).get("chosen") or {}).get("robot")

    def begin(self, instruction: str, seed: int) -> None:
        """An episode starts."""
        self._staging.begin(instruction, seed)

    def record(self, step: StepRecord) -> None:
        """Add a frame."""
        self._staging.record(step)

    def finish(self, end: EpisodeEnd, observation: Observation, outcome: Mapping[str, Any]) -> None:
        """Add the episode to the data set."""
        if self._only_success and not outcome.get("success_at_end"):
            self._staging.abandon()
            return
        self._staging.finish(end, observation, outcome)
        if self._staging.staged is None:
            return
        writer = DatasetWriter(self.root, self._staging.features, self._fps, self._robot, LOCK_WAIT_S)
        try:
            writer.add(self._staging.staged)
        finally:
            writer.close(exact=False)

    def abandon(self) -> None:
        """Leave nothing of an unfinished episode."""
        self._staging.abandon()


def features_of(observation: Observation, spec: ActionSpec) -> dict[str, Feature]:
    """The columns of a recording, from what is seen at its first step and what actions mean."""
    axes = list(spec.axes)
    features = {name: Feature("float32", (len(axes),), axes) for name in (ACTION, PROPOSED, EXECUTED)}
    features |= {VERDICT: Feature("int64", (1,)), DONE: Feature("bool", (1,))}
    seen: dict[str, Feature] = {}
    felt = observation.proprioception
    if felt is not None:
        joints = [f"joint_{number}" for number in range(1, len(felt.joint_positions) + 1)]
        names = [*joints, *POSE_NAMES, "gripper"]
        seen[STATE] = Feature("float32", (len(names),), names)
    for camera, picture in observation.images.items():
        seen[f"{CAMERA}{camera}"] = camera_feature(*picture.shape[:2])
    return seen | features


def row_of(step: StepRecord, rest: Action) -> dict[str, Any]:
    """A step's row, all but whether the episode ends with it.

    `action.executed` is what was sent; with STOP, when nothing is sent, `rest`. `action.proposed` is what the engine
    wanted; where there is none, or it is not finite, what was executed: the verdict says so (HOLD or STOP). `action` is what
    a policy should learn: the teacher's label where there is one, else what was executed.
    """
    executed = step.executed or rest
    felt = step.observation.proprioception
    row: dict[str, Any] = {
        ACTION: _first_finite(step.candidate.label, executed).values,
        PROPOSED: _first_finite(step.candidate.action, executed).values,
        EXECUTED: executed.values,
        VERDICT: int(step.judgement.verdict),
    }
    if felt is not None:
        row[STATE] = (*felt.joint_positions, *felt.end_effector_pose, felt.gripper_opening)
    return row | {f"{CAMERA}{camera}": picture for camera, picture in step.observation.images.items()}


def still(step: StepRecord, last: Action | None, spec: ActionSpec) -> Action:
    """What stands for an action at a STOP: no motion, the gripper as it was last told (or is felt).

    With absolute actions, the last one again.
    """
    if last is not None and spec.mode == "absolute":
        return last
    felt = step.observation.proprioception
    opening = last.values[-1] if last is not None else felt.gripper_opening if felt is not None else 1.0
    return Action((*(0.0,) * (len(spec.axes) - 1), opening))


def _first_finite(action: Action | None, instead: Action) -> Action:
    finite = action is not None and all(map(math.isfinite, action.values))
    return action if finite and action is not None else instead
