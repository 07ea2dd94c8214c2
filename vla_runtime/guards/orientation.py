"""How far the tool may tilt and turn."""

import math
from itertools import product
from typing import final

from vla_runtime import limits
from vla_runtime.actions.rotations import Quaternion, multiply, normalized, quaternion_from_rpy
from vla_runtime.guards.order import Rank
from vla_runtime.guards.poses import no_pose, scaled
from vla_runtime.guards.regions import Sweep
from vla_runtime.types import Action, GuardContext, Intervention, Pose, Verdict

HALVINGS = 12  # of the turn, to find how much of it is allowed
ROUNDING_RAD = 1e-9

Excess = tuple[float, float, float, str]  # over the limit [rad], value [rad], limit [rad], of what


def tilt_rad(quaternion: Quaternion) -> float:
    """Angle between the tool's z axis and straight down."""
    x, y, _, _ = quaternion
    return math.acos(min(max(2.0 * (x * x + y * y) - 1.0, -1.0), 1.0))


def heading_rad(quaternion: Quaternion) -> float:
    """Direction of the tool's x axis in the table plane; 0 along the base frame's x axis."""
    x, y, z, w = quaternion
    return math.atan2(2.0 * (x * y + w * z), 1.0 - 2.0 * (y * y + z * z))


@final
class Orientation:
    """CLAMP a turn that would leave the cone around straight down, or the range of headings."""

    name = "orientation"
    rank = Rank.ORIENTATION

    def __init__(self, max_tilt_rad: float, max_heading_rad: float) -> None:
        """Set the limits.

        Args:
            max_tilt_rad: Of the tool's z axis from straight down [rad].
            max_heading_rad: Of the tool's x axis from the base frame's x axis, to either side [rad].
        """
        limits.within(self.name, 1e-3, math.pi / 2.0, max_tilt_rad=max_tilt_rad)
        limits.within(self.name, 1e-3, math.pi, max_heading_rad=max_heading_rad)
        self.max_tilt_rad, self.max_heading_rad = max_tilt_rad, max_heading_rad
        self._last: tuple[Quaternion, Excess] | None = None

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        """Judge the rotation that the action leads to."""
        pose = context.commanded_pose
        if pose is None:
            return no_pose(self.name)
        turn = action.values[3:6]
        if self._now(pose[1])[0] + 2.0 * sum(map(abs, turn)) <= 0.0:
            return None  # however the turn goes, it stays inside
        excess, value, limit, what = self._excess(pose[1], turn)
        if excess <= 0.0 or excess <= self._allowed(pose[1]):
            return None
        reason = f"tool {what} {value:.3f} rad, at most {limit:.3f} rad"
        smaller = scaled(action, 1.0, self._allowed_share(pose[1], turn))
        return Intervention(self.name, Verdict.CLAMP, reason, smaller, value, limit, "rad")

    def forbids(self, pose: Pose, sweep: Sweep) -> str | None:
        """Why a sweep is not allowed."""
        low, high = sweep.low[3:], sweep.high[3:]
        now = self._now(pose[1])[0]
        if now + 2.0 * (sum(high) - sum(low)) <= 0.0:
            return None  # a quick yes: low is never above 0, high never below
        furthest = sum(map(max, map(abs, low), map(abs, high)))
        if now + 2.0 * furthest <= 0.0:
            return None  # even all of it in the worst direction stays inside
        allowed = max(now, 0.0) + ROUNDING_RAD
        later = sum(map(abs, sweep.braking[3:]))
        for turn in (*product(*zip(low, high, strict=True)), sweep.stop[3:]):
            excess, value, limit, what = self._excess(pose[1], turn)
            # Turns in two steps do not add up: what is turned by braking, later, may end by so much elsewhere.
            if excess + later * sum(map(abs, turn)) > allowed:
                return f"tool {what} would reach {value:.3f} rad, at most {limit:.3f} rad"
        return None

    def _allowed(self, quaternion: Quaternion) -> float:
        """Excess that is allowed: none; outside the limits, not more than now."""
        return max(self._now(quaternion)[0], 0.0) + ROUNDING_RAD

    def _now(self, quaternion: Quaternion) -> Excess:
        """`_worse` of the present rotation. Remembers its last answer: it is asked twice a step."""
        last = self._last
        if last is None or last[0] is not quaternion:
            self._last = last = (quaternion, self._worse(quaternion))
        return last[1]

    def _excess(self, quaternion: Quaternion, turn: tuple[float, ...]) -> Excess:
        """By how much the worse of tilt and heading is over its limit after a turn: excess, value, limit, name."""
        roll, pitch, yaw = turn
        return self._worse(normalized(multiply(quaternion_from_rpy((roll, pitch, yaw)), quaternion)))

    def _worse(self, quaternion: Quaternion) -> Excess:
        """Excess, value, limit and name of the one of tilt and heading that is further over its limit."""
        tilt, heading = tilt_rad(quaternion), heading_rad(quaternion)
        over_tilt, over_heading = tilt - self.max_tilt_rad, abs(heading) - self.max_heading_rad
        # Written so that what is no number counts as over the limit.
        if not over_tilt <= over_heading:
            return over_tilt, tilt, self.max_tilt_rad, "tilt"
        return over_heading, heading, self.max_heading_rad, "heading"

    def _allowed_share(self, quaternion: Quaternion, turn: tuple[float, ...]) -> float:
        """The largest share of a turn, to 1 in 4096, that is allowed."""
        allowed = self._allowed(quaternion)
        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2.0
            fine = self._excess(quaternion, tuple(middle * angle for angle in turn))[0] <= allowed
            low, high = (middle, high) if fine else (low, middle)
        return low
