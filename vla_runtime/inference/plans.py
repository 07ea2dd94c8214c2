"""Chunks as plans: what to do at which time.

A chunk comes late. Deltas that are dropped because their time has passed take their displacement with them, so an anchored
plan adds them up first, on the pose at which the observation was taken: dropping a late way-point loses nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from vla_runtime.actions.rotations import (
    Quaternion,
    Vector,
    inverse,
    multiply,
    normalized,
    quaternion_from_rpy,
    rpy_from_quaternion,
)
from vla_runtime.specs import ActionSpec
from vla_runtime.types import Action, Observation, Proposal

ON_TIME = 1e-6  # [periods] earlier than a tick by this much is rounding


@dataclass(frozen=True)
class WayPoint:
    """Where the tool should be at the end of a period.

    Attributes:
        position: Base frame [m].
        quaternion: xyzw.
        gripper: Opening, 0 to 1.
    """

    position: Vector
    quaternion: Quaternion
    gripper: float

    def after(self, delta: Action) -> "WayPoint":
        """The way-point that a delta leads to."""
        x, y, z, roll, pitch, yaw, gripper = delta.values
        turned = normalized(multiply(quaternion_from_rpy((roll, pitch, yaw)), self.quaternion))
        here = self.position
        return WayPoint((here[0] + x, here[1] + y, here[2] + z), turned, gripper)

    def from_here(self, here: "WayPoint", spec: ActionSpec) -> Action:
        """The delta that leads here from another way-point; as much of it as one step allows, in its direction."""
        linear = [a - b for a, b in zip(self.position, here.position, strict=True)]
        turn = rpy_from_quaternion(multiply(self.quaternion, inverse(here.quaternion)))
        return Action((*_bounded(linear, spec.high[:3]), *_bounded(turn, spec.high[3:6]), self.gripper))


def present(observation: Observation) -> WayPoint | None:
    """The pose that the next delta is added to: where the controller was last told to go, else the measured one."""
    robot, felt = observation.robot, observation.proprioception
    if felt is None:
        return None
    x, y, z, i, j, k, w = robot.commanded_pose if robot is not None else felt.end_effector_pose
    return WayPoint((x, y, z), (i, j, k, w), felt.gripper_opening)


class Plan(Protocol):
    """What to do at which time."""

    @property
    def planned_from_s(self) -> float:
        """When the observation was taken [s]."""
        ...

    def has_begun(self, now_s: float) -> bool:
        """Whether its first period has."""
        ...

    def action(self, now_s: float, here: WayPoint | None) -> tuple[Action, Proposal] | None:
        """The delta for the period that begins now, and where it comes from; None when the plan is over."""
        ...

    def remaining_s(self, now_s: float) -> float:
        """For how long it still has actions [s]."""
        ...


@dataclass
class RawPlan:
    """Deltas that are played one after the other from the moment on at which the plan arrived.

    Attributes:
        deltas: With the proposals that they come from.
        planned_from_s: When the observation was taken [s].
        period_s: Of control [s].
        next: Index of the next one.
    """

    deltas: Sequence[tuple[Action, Proposal]]
    planned_from_s: float
    period_s: float
    next: int = 0

    def has_begun(self, now_s: float) -> bool:
        """Always: it begins when it comes."""
        return True

    def action(self, now_s: float, here: WayPoint | None) -> tuple[Action, Proposal] | None:
        """The next delta."""
        if self.next >= len(self.deltas):
            return None
        self.next += 1
        return self.deltas[self.next - 1]

    def remaining_s(self, now_s: float) -> float:
        """For how long it still has actions [s]."""
        return (len(self.deltas) - self.next) * self.period_s


@dataclass(frozen=True)
class AnchoredPlan:
    """Way-points in time, anchored at the pose from which they were planned.

    Attributes:
        way_points: One for the end of each period, with the proposals that they come from.
        planned_from_s: When the observation was taken [s].
        begins_s: When the first period begins [s].
        spec: Bounds of one step, and the control frequency.
    """

    way_points: Sequence[tuple[WayPoint, Proposal]]
    planned_from_s: float
    begins_s: float
    spec: ActionSpec

    def has_begun(self, now_s: float) -> bool:
        """Whether its first period has."""
        return (now_s - self.begins_s) * self.spec.control_hz + ON_TIME >= 0.0

    def way_point(self, now_s: float) -> tuple[WayPoint, Proposal] | None:
        """Where to be at the end of the period that begins now."""
        index = math.floor((now_s - self.begins_s) * self.spec.control_hz + ON_TIME)
        return self.way_points[index] if 0 <= index < len(self.way_points) else None

    def action(self, now_s: float, here: WayPoint | None) -> tuple[Action, Proposal] | None:
        """The delta to the way-point of this period."""
        found = self.way_point(now_s)
        if found is None or here is None:
            return None
        return found[0].from_here(here, self.spec), found[1]

    def remaining_s(self, now_s: float) -> float:
        """For how long it still has way-points [s]."""
        return self.begins_s + len(self.way_points) / self.spec.control_hz - now_s


def anchored(
    deltas: Sequence[tuple[Action, Proposal]],
    anchor: WayPoint,
    planned_from_s: float,
    begins_s: float,
    spec: ActionSpec,
) -> AnchoredPlan:
    """Add deltas up to way-points.

    Args:
        deltas: With the proposals that they come from, one per period.
        anchor: Where the first one starts.
        planned_from_s: When the observation was taken [s].
        begins_s: When the first period begins [s].
        spec: Bounds of one step, and the control frequency.
    """
    way_points: list[tuple[WayPoint, Proposal]] = []
    here = anchor
    for delta, proposal in deltas:
        here = here.after(delta)
        way_points.append((here, proposal))
    return AnchoredPlan(way_points, planned_from_s, begins_s, spec)


def averaged(way_points: Sequence[WayPoint], weights: Sequence[float]) -> WayPoint:
    """Weighted mean of way-points. Rotations: the normalised sum of quaternions on one side of the sphere."""
    total = sum(weights)
    shares = [weight / total for weight in weights]
    position = [sum(s * w.position[i] for s, w in zip(shares, way_points, strict=True)) for i in range(3)]
    first = way_points[0].quaternion
    summed = [0.0] * 4
    for share, point in zip(shares, way_points, strict=True):
        same_side = sum(a * b for a, b in zip(first, point.quaternion, strict=True)) >= 0.0
        for i in range(4):
            summed[i] += (share if same_side else -share) * point.quaternion[i]
    gripper = sum(s * w.gripper for s, w in zip(shares, way_points, strict=True))
    x, y, z, w = summed
    return WayPoint((position[0], position[1], position[2]), normalized((x, y, z, w)), gripper)


def _bounded(values: Sequence[float], highest: Sequence[float]) -> list[float]:
    """As much of a vector as its bounds allow, in its direction."""
    share = min((top / abs(v) for v, top in zip(values, highest, strict=True) if abs(v) > top), default=1.0)
    return [min(max(v * share, -top), top) for v, top in zip(values, highest, strict=True)]
