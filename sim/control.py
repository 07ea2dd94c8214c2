"""From actions to tool poses: limits of one action, and the target pose that actions move.

An action is 7 numbers: x, y, z [m] and roll, pitch, yaw [rad] about the fixed axes of the base frame, both as changes
for one control period, and the gripper opening (1 open, 0 closed). Changes add up on the *target* pose, not on the
measured one, so a lag of the arm does not eat motion. The target may lead the measured tool by a bounded distance.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.errors import InvalidAction, InvalidSetting
from sim.rotations import rpy_between, turned
from sim.world import Quaternion, Vector

CONTROL_RATES_HZ = (3, 5, 10, 20)  # all divide the 240 physics steps a second
WORKSPACE = ((0.20, 0.78), (-0.45, 0.45), (0.008, 0.60))  # [m] of the tool point: x, y, z
LARGEST_LEAD_M = 0.12  # [m] of the target before the measured tool
LARGEST_LEAD_RAD = 0.60  # [rad]
AXES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")


@dataclass(frozen=True)
class ActionLimits:
    """The largest change that one action may ask for.

    Attributes:
        step_m: Of each of x, y, z [m].
        turn_rad: Of each of roll, pitch, yaw [rad].
        period_s: One control period, in which it is made [s].
    """

    step_m: float
    turn_rad: float
    period_s: float

    @classmethod
    def at_rate(cls, control_hz: int, speed_mps: float, speed_radps: float) -> "ActionLimits":
        """Limits of one period at a control frequency, from speeds along each axis. Raises InvalidSetting."""
        if control_hz not in CONTROL_RATES_HZ:
            rates = ", ".join(map(str, CONTROL_RATES_HZ))
            raise InvalidSetting(f"control_hz {control_hz!r}: expected one of {rates} [Hz]")
        for name, value, top in (("speed_mps", speed_mps, 1.0), ("speed_radps", speed_radps, 3.0)):
            if not 0.0 < value <= top:
                raise InvalidSetting(f"{name} {value!r}: expected more than 0 and at most {top}")
        return cls(speed_mps / control_hz, speed_radps / control_hz, 1.0 / control_hz)

    @property
    def low(self) -> NDArray[np.float64]:
        """Shape (7,)."""
        return np.array([-self.step_m] * 3 + [-self.turn_rad] * 3 + [0.0])

    @property
    def high(self) -> NDArray[np.float64]:
        """Shape (7,)."""
        return np.array([self.step_m] * 3 + [self.turn_rad] * 3 + [1.0])


@dataclass(frozen=True)
class Target:
    """Where the tool should be. Position [m], quaternion xyzw, gripper opening 0 to 1."""

    position: Vector
    quaternion: Quaternion
    gripper: float


def checked(action: object, limits: ActionLimits) -> tuple[NDArray[np.float64], list[str]]:
    """An action as 7 numbers inside the limits, and the names of the axes that had to be limited.

    Raises:
        InvalidAction: Wrong shape, or not finite.
    """
    try:
        values = np.asarray(action, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidAction(f"action {action!r}: expected 7 numbers ({', '.join(AXES)})") from None
    if values.shape != (7,):
        raise InvalidAction(f"action of shape {values.shape}: expected (7,) ({', '.join(AXES)})")
    if not np.isfinite(values).all():
        bad = ", ".join(
            f"{axis} = {value}" for axis, value in zip(AXES, values, strict=True) if not math.isfinite(value)
        )
        raise InvalidAction(f"action with {bad}: expected finite numbers")
    limited = np.minimum(np.maximum(values, limits.low), limits.high)
    return limited, [axis for axis, a, b in zip(AXES, values, limited, strict=True) if abs(a - b) > 1e-9]


def moved(
    target: Target, action: NDArray[np.float64], tool: tuple[Vector, Quaternion]
) -> tuple[Target, list[str]]:
    """The next target, and the names of the limits that cut it short.

    Args:
        target: The present target.
        action: From `checked`.
        tool: Measured tool position [m] and quaternion xyzw.
    """
    wished = [here + delta for here, delta in zip(target.position, action[:3].tolist(), strict=True)]
    led = _no_further(wished, tool[0])
    inside = [min(max(value, low), high) for value, (low, high) in zip(led, WORKSPACE, strict=True)]
    quaternion = turned(target.quaternion, tuple(action[3:6].tolist()))
    reasons = []
    if led != wished:
        reasons.append("lead")
    if inside != led:
        reasons.append("workspace")
    if max(map(abs, rpy_between(tool[1], quaternion))) > LARGEST_LEAD_RAD:
        quaternion = target.quaternion
        reasons.append("lead_rotation")
    return Target((inside[0], inside[1], inside[2]), quaternion, float(action[6])), reasons


def _no_further(wished: list[float], measured: Vector) -> list[float]:
    """A position not further from the measured one than the largest lead."""
    offset = [a - b for a, b in zip(wished, measured, strict=True)]
    distance = math.sqrt(sum(o * o for o in offset))
    if distance <= LARGEST_LEAD_M:
        return wished
    return [b + o * (LARGEST_LEAD_M / distance) for b, o in zip(measured, offset, strict=True)]
