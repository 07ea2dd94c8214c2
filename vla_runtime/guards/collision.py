"""The arm keeps away from itself and from the table: it approaches the more slowly the nearer it is.

The arm is capsules (see `kinematics.capsules`), which are a little larger than it is. The approach is a velocity damper,
v <= gain (d - d_min), as in dm_robotics: it never reaches d_min.
"""

from typing import final

from vla_runtime import limits
from vla_runtime.guards.joint_limits import required
from vla_runtime.guards.joints import present_joints, reach
from vla_runtime.guards.order import Rank
from vla_runtime.guards.poses import no_pose, scaled
from vla_runtime.kinematics.serial_arm import SerialArm
from vla_runtime.specs import ActionSpec
from vla_runtime.types import Action, GuardContext, Intervention, Verdict

HARDLY = 1e-6  # [m] nearer, that is rounding


@final
class Collision:
    """CLAMP an approach that is too fast, HOLD one from too near. Motion away is always allowed."""

    name = "collision"
    rank = Rank.COLLISION

    def __init__(
        self,
        arm: SerialArm | None,
        spec: ActionSpec,
        self_m: float,
        table_m: float,
        table_z_m: float,
        gain_per_s: float,
    ) -> None:
        """Set the limits.

        Args:
            arm: Its kinematics and its shape; the composition root passes the configured one.
            spec: Its control frequency is the period.
            self_m: Least distance of the arm from itself [m].
            table_m: Least distance of the arm, without the fingers, from the table [m].
            table_z_m: Height of the table top, base frame [m].
            gain_per_s: Of the velocity damper [1/s].
        """
        self._arm = required(self.name, arm)
        limits.positive(self.name, self_m=self_m, table_m=table_m, gain_per_s=gain_per_s)
        limits.within(self.name, -2.0, 2.0, table_z_m=table_z_m)
        self._self_m, self._table_m, self._table_z = self_m, table_m, table_z_m
        self._share = min(gain_per_s / spec.control_hz, 1.0)  # of what is left, in one step

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        """Judge the pose that the action leads to."""
        joints = present_joints(context)
        found = reach(self._arm, joints, action, context) if joints is not None else None
        if joints is None or found is None:
            return no_pose(self.name)
        after = self._arm.clearances(found.joints, self._table_z)
        if (
            after.self_distance_m * self._share > self._self_m
            and after.table_distance_m * self._share > self._table_m
        ):
            return None  # so far away that no allowed speed is too fast
        before = self._arm.clearances(joints, self._table_z)
        return self._judged(
            action, before.self_distance_m, after.self_distance_m, self._self_m, " and ".join(after.self_pair)
        ) or self._judged(
            action,
            before.table_distance_m,
            after.table_distance_m,
            self._table_m,
            f"{after.table_capsule} and the table",
        )

    def _judged(
        self, action: Action, before: float, after: float, least: float, what: str
    ) -> Intervention | None:
        """One distance before and after a step [m]."""
        approach = before - after
        allowed = self._share * (before - least)
        if approach <= HARDLY or approach <= allowed:
            return None
        reason = f"{what} would be {1e3 * after:.0f} mm apart, at least {1e3 * (before - max(allowed, 0.0)):.0f} mm after this step"
        if allowed <= 0.0:
            return Intervention(self.name, Verdict.HOLD, reason, None, after, least, "m")
        share = allowed / approach
        return Intervention(self.name, Verdict.CLAMP, reason, scaled(action, share, share), after, least, "m")
