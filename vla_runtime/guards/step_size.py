"""No step is larger than the data that the model learned from, nor than a hard cap."""

from operator import le
from typing import final

from vla_runtime import limits
from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.guards.order import Rank
from vla_runtime.types import Action, GuardContext, Intervention, Verdict

NAMES = ("x", "y", "z", "roll", "pitch", "yaw")
ROUNDING = 1e-9  # [m], [rad] a step that is larger by this much only is not cut


@final
class StepSize:
    """CLAMP each axis to the statistics' q01 and q99, and to the caps. Motion towards 0 is always allowed."""

    name = "step_size"
    rank = Rank.STEP_SIZE

    def __init__(self, step_m: float, turn_rad: float, statistics: ActionStatistics | None = None) -> None:
        """Set the limits.

        Args:
            step_m: Largest change of x, y and z in one step [m].
            turn_rad: Largest change of roll, pitch and yaw in one step [rad].
            statistics: Of the checkpoint; the composition root passes them.
        """
        limits.positive(self.name, step_m=step_m, turn_rad=turn_rad)
        caps = (step_m,) * 3 + (turn_rad,) * 3
        self._low, self._high = tuple(-cap for cap in caps), caps
        if statistics is not None:
            bounds = list(zip(statistics.q01, statistics.q99, statistics.mask, strict=True))[:6]
            self._low = tuple(
                max(cap, min(low, 0.0)) if known else cap
                for cap, (low, _, known) in zip(self._low, bounds, strict=True)
            )
            self._high = tuple(
                min(cap, max(high, 0.0)) if known else cap
                for cap, (_, high, known) in zip(self._high, bounds, strict=True)
            )
        self._least = tuple(low - ROUNDING for low in self._low)
        self._most = tuple(high + ROUNDING for high in self._high)

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        """Judge one action."""
        values = (
            action.values
        )  # the gripper, which is last, is compared with nothing: map ends with the shorter one
        if all(map(le, self._least, values)) and all(map(le, values, self._most)):
            return None
        *motion, gripper = values
        return self._clamp(motion, gripper)

    def _clamp(self, motion: list[float], gripper: float) -> Intervention:
        cut = tuple(
            min(max(value, low), high) for value, low, high in zip(motion, self._low, self._high, strict=True)
        )
        axis = max(range(6), key=lambda i: abs(motion[i] - cut[i]))
        unit = "m" if axis < 3 else "rad"
        reason = f"step of {NAMES[axis]} {motion[axis]:.4g} {unit}, limit {cut[axis]:.4g} {unit}"
        return Intervention(
            self.name, Verdict.CLAMP, reason, Action((*cut, gripper)), motion[axis], cut[axis], unit
        )
