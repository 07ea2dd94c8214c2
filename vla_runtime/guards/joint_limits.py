"""The arm can get there: a solution exists, inside the joint limits, and not far from the present joints."""

from typing import final

from vla_runtime import limits
from vla_runtime.errors import ConfigurationError
from vla_runtime.guards.joints import Joints, present_joints, reach
from vla_runtime.guards.order import Rank
from vla_runtime.guards.poses import no_pose, scaled
from vla_runtime.kinematics.serial_arm import SerialArm
from vla_runtime.types import Action, GuardContext, Intervention, Verdict

SHARES = (0.5, 0.25, 0.125)  # of a step that are tried when the whole is not possible
HARDLY = 1e-9  # [rad]

Problem = tuple[str, float, float, str]  # what, value, limit, unit


@final
class JointLimits:
    """CLAMP to a part of the step that the arm can do; HOLD when there is none. The way back is always open."""

    name = "joint_limits"
    rank = Rank.JOINTS

    def __init__(
        self,
        arm: SerialArm | None,
        margin_rad: float,
        max_jump_rad: float,
        max_error_m: float,
        max_error_rad: float,
    ) -> None:
        """Set the limits.

        Args:
            arm: Its kinematics; the composition root passes the configured one.
            margin_rad: Distance that is kept from each joint's limits [rad].
            max_jump_rad: Largest change of one joint in one step [rad].
            max_error_m: Largest distance from the wanted pose that the arm may be left with [m].
            max_error_rad: The same for its rotation [rad].
        """
        self._arm = required(self.name, arm)
        limits.positive(
            self.name,
            margin_rad=margin_rad,
            max_jump_rad=max_jump_rad,
            max_error_m=max_error_m,
            max_error_rad=max_error_rad,
        )
        self._margin, self._max_jump = margin_rad, max_jump_rad
        self._max_error_m, self._max_error_rad = max_error_m, max_error_rad

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        """Judge where the action brings the joints."""
        joints = present_joints(context)
        if joints is None:
            return Intervention(self.name, Verdict.HOLD, "the environment reports no joint positions")
        if context.commanded_pose is None:
            return no_pose(self.name)
        problem = self._problem(joints, action, context)
        if problem is None:
            return None
        reason, value, limit, unit = problem
        for share in SHARES:
            smaller = scaled(action, share, share)
            if self._problem(joints, smaller, context) is None:
                return Intervention(self.name, Verdict.CLAMP, reason, smaller, value, limit, unit)
        return Intervention(self.name, Verdict.HOLD, reason, None, value, limit, unit)

    def _problem(self, joints: Joints, action: Action, context: GuardContext) -> Problem | None:
        """What is wrong with the joints that an action leads to."""
        found = reach(self._arm, joints, action, context)
        if found is None:
            return "the environment reports no tool pose", 0.0, 0.0, "m"
        if found.position_error_m > self._max_error_m:
            error, limit = found.position_error_m, self._max_error_m
            return (
                f"out of reach: {1e3 * error:.1f} mm are missing, at most {1e3 * limit:g} mm",
                error,
                limit,
                "m",
            )
        if found.rotation_error_rad > self._max_error_rad:
            error, limit = found.rotation_error_rad, self._max_error_rad
            return f"out of reach: {error:.3f} rad are missing, at most {limit:g} rad", error, limit, "rad"
        return self._limit(joints, found.joints) or self._jump(joints, found.joints)

    def _limit(self, before: Joints, after: Joints) -> Problem | None:
        margins = self._arm.limit_margins_rad(after)
        for number, (margin, was) in enumerate(
            zip(margins, self._arm.limit_margins_rad(before), strict=True), start=1
        ):
            if margin < self._margin and margin < was - HARDLY:
                reason = (
                    f"joint {number} would be {margin:.3f} rad from its limit, at least {self._margin:g} rad"
                )
                return reason, margin, self._margin, "rad"
        return None

    def _jump(self, before: Joints, after: Joints) -> Problem | None:
        jumps = [abs(b - a) for a, b in zip(before, after, strict=True)]
        if max(jumps) <= self._max_jump:
            return None
        number = jumps.index(max(jumps)) + 1
        reason = (
            f"joint {number} would jump by {max(jumps):.3f} rad in one step, at most {self._max_jump:g} rad"
        )
        return reason, max(jumps), self._max_jump, "rad"


def required(guard: str, arm: SerialArm | None) -> SerialArm:
    """The arm, or one clear line when none is configured."""
    if arm is None:
        raise ConfigurationError(f"guards.{guard} needs the arm's kinematics: set arm=panda, or leave it out")
    return arm
