"""Where motion is allowed, as the guard of motion asks it: also on the way, and also while braking."""

from typing import NamedTuple, Protocol, runtime_checkable

from vla_runtime.types import Pose

Six = tuple[float, float, float, float, float, float]


class Sweep(NamedTuple):
    """What a motion and the braking after it may pass through.

    Attributes:
        low, high: Smallest and largest displacement on each axis: x, y, z [m], roll, pitch, yaw [rad].
        stop: Where it comes to rest if it brakes after this step, as a displacement.
        braking: How much of that it does after this step.
    """

    low: Six
    high: Six
    stop: Six
    braking: Six = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@runtime_checkable
class Region(Protocol):
    """A guard that knows where the tool may be."""

    def forbids(self, pose: Pose, sweep: Sweep) -> str | None:
        """Why a sweep from a pose is not allowed; None when it is. Leaving a forbidden place is allowed."""
        ...
