"""Near a singular pose a small motion of the tool is a large one of the joints."""

from typing import final

from vla_runtime import limits
from vla_runtime.guards.joint_limits import required
from vla_runtime.guards.joints import present_joints, reach
from vla_runtime.guards.order import Rank
from vla_runtime.guards.poses import no_pose, scaled
from vla_runtime.kinematics.serial_arm import SerialArm
from vla_runtime.types import Action, GuardContext, Intervention, Verdict

WHEN_LEAVING = 2.0  # both limits are so much higher on the way out, as MoveIt Servo has it


@final
class Singularity:
    """CLAMP to slower motion from one condition number on, HOLD from another; more is allowed on the way out.

    The condition number is that of the Jacobian with 1 m counted like 1 rad, as in MoveIt Servo, from where the usual
    limits of 17 and 30 come.
    """

    name = "singularity"
    rank = Rank.SINGULARITY

    def __init__(self, arm: SerialArm | None, slow_condition: float, stop_condition: float) -> None:
        """Set the limits.

        Args:
            arm: Its kinematics; the composition root passes the configured one.
            slow_condition: Condition number from which motion slows down.
            stop_condition: Condition number from which it holds.
        """
        self._arm = required(self.name, arm)
        limits.within(self.name, 1.0, 1e6, slow_condition=slow_condition, stop_condition=stop_condition)
        limits.ordered(self.name, slow_condition=slow_condition, stop_condition=stop_condition)
        self._slow, self._stop = slow_condition, stop_condition

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        """Judge the pose that the action leads to."""
        joints = present_joints(context)
        found = reach(self._arm, joints, action, context) if joints is not None else None
        if joints is None or found is None:
            return no_pose(self.name)
        after = self._arm.condition_number(found.joints)
        if after <= self._slow:
            return None
        leaving = after < self._arm.condition_number(joints)
        slow, stop = (bound * (WHEN_LEAVING if leaving else 1.0) for bound in (self._slow, self._stop))
        if after <= slow:
            return None
        if after >= stop:
            reason = f"condition number {after:.1f} near a singular pose, at most {stop:g}"
            verdict = Verdict.CLAMP if leaving else Verdict.HOLD
            return Intervention(
                self.name, verdict, reason, scaled(action, 0.1, 0.1), after, stop, "condition"
            )
        share = (stop - after) / (stop - slow)
        reason = f"condition number {after:.1f}, slower from {slow:g}"
        return Intervention(
            self.name, Verdict.CLAMP, reason, scaled(action, share, share), after, slow, "condition"
        )
