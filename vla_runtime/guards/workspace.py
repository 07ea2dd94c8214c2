"""The box that the tool point stays in. The way back inside is always open."""

from typing import Any, final

from vla_runtime import limits
from vla_runtime.guards.order import Rank
from vla_runtime.guards.poses import no_pose
from vla_runtime.guards.regions import Sweep
from vla_runtime.types import Action, GuardContext, Intervention, Pose, Verdict

AXES = ("x", "y", "z")
ROUNDING_M = 1e-9


@final
class Workspace:
    """CLAMP at the faces, so that motion slides along them; HOLD when far outside and moving outward.

    Where the motion comes to rest when it brakes is judged as well: by the guard of motion, which asks `forbids`.
    """

    name = "workspace"
    rank = Rank.WORKSPACE

    def __init__(self, x_m: Any, y_m: Any, z_m: Any, hold_outside_m: float) -> None:
        """Set the box.

        Args:
            x_m: Low and high, base frame [m].
            y_m: The same for y [m].
            z_m: The same for z [m].
            hold_outside_m: Further outside than this, outward motion is not clamped but held [m].
        """
        self.box = limits.box(self.name, {"x_m": x_m, "y_m": y_m, "z_m": z_m})
        limits.positive(self.name, hold_outside_m=hold_outside_m)
        self._hold_outside = hold_outside_m

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        """Judge where the action leads."""
        pose = context.commanded_pose
        if pose is None:
            return no_pose(self.name)
        (x, y, z), (dx, dy, dz, *_) = pose[0], action.values
        (x0, x1), (y0, y1), (z0, z1) = self.box
        if x0 <= x + dx <= x1 and y0 <= y + dy <= y1 and z0 <= z + dz <= z1:
            return None
        return self._clamp(pose[0], action)

    def forbids(self, pose: Pose, sweep: Sweep) -> str | None:
        """Why a sweep is not allowed."""
        (x, y, z), low, high = pose[0], sweep.low, sweep.high
        (x0, x1), (y0, y1), (z0, z1) = self.box
        if (
            x0 <= x + low[0] and x + high[0] <= x1
            and y0 <= y + low[1] and y + high[1] <= y1
            and z0 <= z + low[2] and z + high[2] <= z1
        ):  # fmt: skip
            return None  # a quick yes: most sweeps are inside
        for axis, here, down, up, (low, high) in zip(
            AXES, pose[0], sweep.low, sweep.high, self.box, strict=False
        ):
            if here + down < min(low, here) - ROUNDING_M:
                return f"{axis} would reach {here + down:.4f} m, at least {low:.4f} m"
            if here + up > max(high, here) + ROUNDING_M:
                return f"{axis} would reach {here + up:.4f} m, at most {high:.4f} m"
        return None

    def _clamp(self, position: tuple[float, ...], action: Action) -> Intervention | None:
        cut = list(action.values)
        worst: tuple[float, str, float, float] = (0.0, "", 0.0, 0.0)
        for i, (here, (low, high)) in enumerate(zip(position, self.box, strict=True)):
            there = here + cut[i]
            face = low if there < low else high if there > high else there
            over = abs(there - face)
            if over == 0.0 or ((there - here) * (face - there) >= 0.0 and abs(here - face) >= over):
                continue  # inside, or on the way back inside, or not moving along this axis
            outside = max(low - here, here - high, 0.0)
            if outside > self._hold_outside:
                reason = f"tool is {outside:.3f} m outside the workspace ({AXES[i]} {here:.3f} m) and moves on outward"
                return Intervention(self.name, Verdict.HOLD, reason, None, here, face, "m")
            cut[i] = 0.0 if outside > 0.0 else face - here
            worst = max(worst, (over, AXES[i], there, face))
        if worst[0] == 0.0:
            return None
        _, axis, there, face = worst
        reason = f"{axis} would be {there:.4f} m, limit {face:.4f} m"
        return Intervention(self.name, Verdict.CLAMP, reason, Action(tuple(cut)), there, face, "m")
