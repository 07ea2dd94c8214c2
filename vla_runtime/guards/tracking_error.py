"""The robot must be about where it was told to be."""

import math
from operator import sub
from typing import final

from vla_runtime import limits
from vla_runtime.guards.order import Rank
from vla_runtime.types import Action, GuardContext, Intervention, Judgement, Verdict


@final
class TrackingError:
    """STOP when the tool or a joint has been too far from its command for too long."""

    name = "tracking_error"
    rank = Rank.TRACKING

    def __init__(self, max_error_m: float, max_error_rad: float, duration_s: float) -> None:
        """Set the limits.

        Args:
            max_error_m: Of the tool point [m].
            max_error_rad: Of any joint [rad].
            duration_s: For how long [s].
        """
        limits.positive(self.name, max_error_m=max_error_m, max_error_rad=max_error_rad)
        limits.within(self.name, 0.0, 60.0, duration_s=duration_s)
        self._max_m, self._max_rad, self._duration_s = max_error_m, max_error_rad, duration_s
        self._fine: GuardContext | None = None  # the last that `check` found on track

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        """Judge what is measured against what was commanded."""
        if self._on_track(context):
            self._fine = context
            return None
        since_s = self.remember(context, None)
        if since_s is not None and not math.isfinite(self._worst(context)[0]):
            reason = "where the robot is, or was told to be, is no finite number"
            return Intervention(self.name, Verdict.STOP, reason)
        if since_s is None or context.now_s - since_s < self._duration_s:
            return None
        worst, limit, what, unit = self._worst(context)
        reason = f"{what} {worst:.3f} {unit} from its command for {context.now_s - since_s:.2f} s, at most {limit:g} {unit}"
        return Intervention(self.name, Verdict.STOP, reason, None, worst, limit, unit)

    def remember(self, context: GuardContext, judgement: Judgement | None) -> float | None:
        """Since when [s] the error has been too large without a break; None: it is not."""
        if self._fine is context or self._on_track(context):
            return None
        worst, limit, _, _ = self._worst(context)
        if worst <= limit:
            return None
        since_s: float | None = context.memory.get(self.name)
        return context.now_s if since_s is None else since_s

    def _on_track(self, context: GuardContext) -> bool:
        """A quick yes: tool and joints are so near that no axis can be off. Not so is no answer."""
        robot, felt = context.observation.robot, context.observation.proprioception
        return (
            robot is not None
            and felt is not None
            and len(robot.commanded_joints) == len(felt.joint_positions)
            and math.dist(robot.commanded_joints, felt.joint_positions) <= self._max_rad
            and math.dist(robot.commanded_pose[:3], felt.end_effector_pose[:3]) <= self._max_m
        )

    def _worst(self, context: GuardContext) -> tuple[float, float, str, str]:
        """The error that is largest beside its limit: value, limit, what it is of, unit."""
        robot, felt = context.observation.robot, context.observation.proprioception
        if robot is None or felt is None:
            return 0.0, self._max_m, "tool", "m"
        tool = math.dist(robot.commanded_pose[:3], felt.end_effector_pose[:3])
        errors = tuple(map(abs, map(sub, robot.commanded_joints, felt.joint_positions)))
        joint = max(errors, default=0.0)
        if not math.isfinite(tool + sum(errors)):
            return math.inf, self._max_m, "tool", "m"  # the largest of numbers that are none is any of them
        if len(robot.commanded_joints) != len(felt.joint_positions):
            raise ValueError(
                f"{len(robot.commanded_joints)} commanded joints, {len(felt.joint_positions)} measured"
            )
        if tool * self._max_rad > joint * self._max_m:
            return tool, self._max_m, "tool", "m"
        return (joint, self._max_rad, "a joint", "rad") if joint > 0.0 else (tool, self._max_m, "tool", "m")
