"""What the numbers of an action mean, and whether two parties mean the same."""

import math
from dataclasses import dataclass, fields
from typing import Literal

from vla_runtime.errors import ConfigurationError, ConventionMismatch

DELTA_AXES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
DELTA_UNITS = ("m", "m", "m", "rad", "rad", "rad", "opening")


@dataclass(frozen=True)
class ActionSpec:
    """The meaning and the bounds of an action.

    Attributes:
        axes: Name of each number.
        units: Unit of each number; "opening" is 0 closed to 1 open.
        low, high: Bounds in those units.
        frame: Frame in which positions and rotations are expressed.
        rotation: "rpy_fixed_axes": roll, pitch, yaw about the fixed x, y, z axes, applied in this order.
        mode: Whether positions and rotations are changes for one period, or absolute.
        gripper: "opening": 1 open, 0 closed, absolute.
        control_hz: Actions per second [Hz].
    """

    axes: tuple[str, ...]
    units: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    frame: Literal["base", "tool"] = "base"
    rotation: Literal["rpy_fixed_axes", "axis_angle"] = "rpy_fixed_axes"
    mode: Literal["delta", "absolute"] = "delta"
    gripper: Literal["opening"] = "opening"
    control_hz: float = 5.0

    def __post_init__(self) -> None:
        """Refuse lengths that differ and bounds that are not finite or not in order."""
        for name in ("units", "low", "high"):
            count = len(getattr(self, name))
            if count != len(self.axes):
                raise ConfigurationError(f"action spec: {count} {name} for {len(self.axes)} axes")
        for axis, low, high in zip(self.axes, self.low, self.high, strict=True):
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ConfigurationError(
                    f"action spec: {axis} from {low} to {high}; expected finite low < high"
                )
        if not (math.isfinite(self.control_hz) and self.control_hz > 0):
            raise ConfigurationError(f"action spec: control_hz {self.control_hz}; expected more than 0 [Hz]")


def check_compatible(policy: ActionSpec, environment: ActionSpec) -> None:
    """Refuse a policy whose actions mean something else than the environment expects.

    Bounds may differ: guards take care of them. Everything else must be equal.

    Raises:
        ConventionMismatch: Names each convention that differs, with both values.
    """
    differing = [
        f"{field.name}: policy {getattr(policy, field.name)!r}, environment {getattr(environment, field.name)!r}"
        for field in fields(ActionSpec)
        if field.name not in ("low", "high")
        and getattr(policy, field.name) != getattr(environment, field.name)
    ]
    if differing:
        raise ConventionMismatch("policy and environment disagree on " + "; ".join(differing))
