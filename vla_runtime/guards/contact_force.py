"""Forces between the robot and the world."""

import math
from typing import final

from vla_runtime import limits
from vla_runtime.guards.order import Rank
from vla_runtime.types import Action, GuardContext, Intervention, RobotState, Verdict

RELEASE_M = -1e-9  # [m] against the force, up to which a motion counts as moving away


@final
class ContactForce:
    """CLAMP motion against a force, STOP above the limit or when the robot has stopped itself.

    Motion away from the contact is always allowed while the force is below the stopping limit.
    """

    name = "contact_force"
    rank = Rank.CONTACT

    def __init__(self, slow_n: float, stop_n: float) -> None:
        """Set the limits.

        Args:
            slow_n: From this force on, motion against it is removed [N].
            stop_n: Above this force since the last step, the episode ends [N].
        """
        limits.positive(self.name, slow_n=slow_n, stop_n=stop_n)
        limits.ordered(self.name, slow_n=slow_n, stop_n=stop_n)
        self.slow_n, self.stop_n = slow_n, stop_n

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        """Judge the forces of the last step."""
        robot = context.observation.robot
        if robot is None:
            return None
        if robot.protective_stop is not None:
            return Intervention(self.name, Verdict.STOP, f"the robot stopped itself: {robot.protective_stop}")
        if not math.isfinite(robot.peak_force_n + sum(robot.external_force)):
            reason = f"force sensor says {robot.external_force} N, peak {robot.peak_force_n} N, expected finite numbers"
            return Intervention(self.name, Verdict.STOP, reason)
        if robot.peak_force_n > self.stop_n:
            reason = f"contact force {robot.peak_force_n:.1f} N, at most {self.stop_n:g} N"
            return Intervention(self.name, Verdict.STOP, reason, None, robot.peak_force_n, self.stop_n, "N")
        force_n = math.dist(robot.external_force, (0.0, 0.0, 0.0))
        return None if force_n < self.slow_n else self._release(action, robot, force_n)

    def _release(self, action: Action, robot: RobotState, force_n: float) -> Intervention | None:
        """Remove what goes against the force; the rest of the motion, and any motion away, stays."""
        delta, direction = action.values[:3], [f / force_n for f in robot.external_force]
        along = sum(d * f for d, f in zip(delta, direction, strict=True))
        if along >= RELEASE_M:
            return None
        freed = tuple(d - f * along for d, f in zip(delta, direction, strict=True))
        if not all(map(math.isfinite, freed)):
            return Intervention(self.name, Verdict.HOLD, f"a step of {delta} m is too large to judge")
        reason = f"contact force {force_n:.1f} N against the motion, slow from {self.slow_n:g} N"
        cut = Action((*freed, *action.values[3:]))
        return Intervention(self.name, Verdict.CLAMP, reason, cut, force_n, self.slow_n, "N")
