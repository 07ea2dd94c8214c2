"""Velocity, acceleration and jerk of the commanded motion: the last guard before the robot.

Commands are way-points, one per control period. This guard lets a way-point pass when a trajectory leads there from the
present commanded velocity and acceleration, in one period and inside the limits (Ruckig computes it). It prefers to arrive
with the speed of the step, so that a steady motion stays steady, and otherwise at rest. What cannot be reached in time is
cut to what can.

Regions (workspace, keep-out zones, orientation) are asked about the whole way and about where the motion would come to
rest if it braked right after it. If they forbid it, it brakes. Braking was found allowed one step before, so by induction
no region is ever left, whatever is commanded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import ruckig

from vla_runtime import limits
from vla_runtime.guards.order import Rank
from vla_runtime.guards.poses import Pose, commanded_pose, no_pose
from vla_runtime.guards.regions import Region, Six, Sweep
from vla_runtime.specs import ActionSpec
from vla_runtime.types import Action, GuardContext, Intervention, Judgement, Verdict

AXES = ("x", "y", "z", "roll", "pitch", "yaw")
OTG: Any = ruckig  # it has no types
ZERO: Six = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
HARDLY = 1e-9  # [m], [rad] difference between way-points that is rounding
AT_REST = 1e-9  # [m/s], [m/s²], [rad/s], [rad/s²]


@dataclass(frozen=True)
class Moving:
    """How the commanded motion goes on at the end of a step.

    Attributes:
        velocity: [m/s] and [rad/s].
        acceleration: [m/s²] and [rad/s²].
    """

    velocity: Six = ZERO
    acceleration: Six = ZERO


@dataclass(frozen=True)
class Leg:
    """One period of a trajectory.

    Attributes:
        displacement: At its end [m], [rad].
        moving: How it goes on.
        sweep: What it passes through, braking included.
        in_time: Whether the way-point that it leads to is reached in this period.
    """

    displacement: Six
    moving: Moving
    sweep: Sweep
    in_time: bool


@final
class Motion:
    """CLAMP a step to a trajectory inside the limits. Braking only ever makes the commanded speed smaller."""

    name = "motion"
    rank = Rank.MOTION

    def __init__(
        self,
        spec: ActionSpec,
        velocity_mps: float,
        acceleration_mps2: float,
        jerk_mps3: float,
        velocity_radps: float,
        acceleration_radps2: float,
        jerk_radps3: float,
    ) -> None:
        """Set the limits, each along or about one axis of the base frame.

        Args:
            spec: Its control frequency is the period, its bounds are the largest step.
            velocity_mps: Of the tool point [m/s].
            acceleration_mps2: Of the tool point [m/s²].
            jerk_mps3: Of the tool point [m/s³].
            velocity_radps: Of the tool's rotation [rad/s].
            acceleration_radps2: Of the tool's rotation [rad/s²].
            jerk_radps3: Of the tool's rotation [rad/s³].
        """
        linear = {
            "velocity_mps": velocity_mps,
            "acceleration_mps2": acceleration_mps2,
            "jerk_mps3": jerk_mps3,
        }
        angular = {
            "velocity_radps": velocity_radps,
            "acceleration_radps2": acceleration_radps2,
            "jerk_radps3": jerk_radps3,
        }
        limits.positive(self.name, **linear, **angular)
        self.period_s = 1.0 / spec.control_hz
        (self.velocity, self.acceleration, self.jerk) = (
            [a] * 3 + [b] * 3 for a, b in zip(linear.values(), angular.values(), strict=True)
        )
        self._low, self._high = spec.low[:6], spec.high[:6]
        self._otg = OTG.Ruckig(6, self.period_s)
        self._towards, self._brake = self._input(), self._input()
        self._towards.synchronization = OTG.Synchronization.Time
        self._towards.minimum_duration = self.period_s
        self._brake.synchronization = OTG.Synchronization.No
        self._brake.control_interface = OTG.ControlInterface.Velocity
        self._brake.target_velocity = [0.0] * 6
        # Braking has an output of its own: Ruckig counts the target position that an output last had as passed through,
        # and braking has none.
        self._out, self._rest = OTG.OutputParameter(6), OTG.OutputParameter(6)
        self._regions: tuple[Region, ...] = ()
        self._last: tuple[tuple[Six, Moving, Pose], tuple[Leg, str]] | None = None

    def bind(self, guards: Sequence[object]) -> None:
        """Take in the other guards of the chain: those that are regions are asked about the way and the braking."""
        self._regions = tuple(guard for guard in guards if isinstance(guard, Region))

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        """Judge one step."""
        pose = commanded_pose(context)
        if pose is None:
            return no_pose(self.name)
        moving: Moving = context.memory.get(self.name, Moving())
        leg, reason = self._allowed(action.values[:6], moving, pose)  # type: ignore[arg-type]
        off = [abs(a - b) for a, b in zip(leg.displacement, action.values, strict=False)]
        if max(off) <= HARDLY:
            return None
        axis = off.index(max(off))
        unit = "m" if axis < 3 else "rad"
        wanted, given = action.values[axis], leg.displacement[axis]
        reason = f"{reason}: {AXES[axis]} {given:.4g} {unit} instead of {wanted:.4g} {unit}"
        cut = Action((*leg.displacement, *action.values[6:]))
        return Intervention(self.name, Verdict.CLAMP, reason, cut, wanted, given, unit)

    def remember(self, context: GuardContext, judgement: Judgement) -> Moving:
        """How the motion goes on after what was let through."""
        pose = commanded_pose(context)
        if judgement.verdict is Verdict.STOP or pose is None:
            return Moving()
        asked = next((why.before for why in judgement.interventions if why.guard == self.name), None)
        moving: Moving = context.memory.get(self.name, Moving())
        return self._allowed((asked or judgement.action).values[:6], moving, pose)[0].moving  # type: ignore[arg-type]

    # --------------------------------------------------------------------------------------------- trajectories

    def _allowed(self, delta: Six, moving: Moving, pose: Pose) -> tuple[Leg, str]:
        """The best leg, and why it is not simply the way-point. Remembers its last answer: it is asked twice a step."""
        question = (delta, moving, pose)
        if self._last is None or self._last[0] != question:
            self._last = (question, self._best(*question))
        return self._last[1]

    def _best(self, delta: Six, moving: Moving, pose: Pose) -> tuple[Leg, str]:
        """The best leg that every region allows."""
        reason = "faster than the limits"
        if _at_rest(moving) and delta == ZERO:
            return Leg(ZERO, moving, Sweep(ZERO, ZERO, ZERO), in_time=True), reason
        cruise: Six = tuple(d / self.period_s for d in delta)  # type: ignore[assignment]
        for arrive_with in (cruise, ZERO):
            leg = self._leg(delta, moving, arrive_with)
            forbidden = self._forbidden(leg, pose)
            if forbidden is None and (leg.in_time or arrive_with is ZERO):
                return leg, reason
            reason = forbidden or reason
        return self._braking(moving), reason

    def _forbidden(self, leg: Leg, pose: Pose) -> str | None:
        """Why a leg, or braking after it, is not allowed."""
        for axis, end, stop, low, high in zip(
            AXES, leg.displacement, leg.sweep.stop, self._low, self._high, strict=True
        ):
            if not (low - HARDLY <= end <= high + HARDLY and low - HARDLY <= stop - end <= high + HARDLY):
                return f"{axis} faster than one step can stop"
        for region in self._regions:
            reason = region.forbids(pose, leg.sweep)
            if reason is not None:
                return reason
        return None

    def _leg(self, delta: Six, moving: Moving, arrive_with: Six) -> Leg:
        """One period on the way to a way-point."""
        asked = self._towards
        asked.current_velocity, asked.current_acceleration = list(moving.velocity), list(moving.acceleration)
        asked.target_position = list(delta)
        asked.target_velocity = [
            min(max(v, -top), top) for v, top in zip(arrive_with, self.velocity, strict=True)
        ]
        self._update(asked, self._out)
        in_time = self._out.trajectory.duration <= self.period_s + HARDLY
        return self._finished_leg(self._out, delta if in_time else None, in_time=in_time)

    def _braking(self, moving: Moving) -> Leg:
        """One period of coming to rest."""
        asked = self._brake
        asked.current_velocity, asked.current_acceleration = list(moving.velocity), list(moving.acceleration)
        self._update(asked, self._rest)
        return self._finished_leg(self._rest, None, in_time=False)

    def _finished_leg(self, out: Any, displacement: Six | None, *, in_time: bool) -> Leg:
        """The leg in an output, and how it would come to rest."""
        extrema = out.trajectory.position_extrema
        low, high = [bound.min for bound in extrema], [bound.max for bound in extrema]
        end: Six = displacement or tuple(out.new_position)
        moving = Moving(tuple(out.new_velocity), tuple(out.new_acceleration))  # type: ignore[arg-type]
        stop = list(end)
        if not _at_rest(moving):
            asked = self._brake
            asked.current_velocity, asked.current_acceleration = out.new_velocity, out.new_acceleration
            self._update(asked, self._rest)
            rest = self._rest.trajectory
            after = rest.position_extrema
            low = [min(a, e + b.min) for a, e, b in zip(low, end, after, strict=True)]
            high = [max(a, e + b.max) for a, e, b in zip(high, end, after, strict=True)]
            stop = [e + r for e, r in zip(end, rest.at_time(rest.duration)[0], strict=True)]
        braking = tuple(s - e for s, e in zip(stop, end, strict=True))
        sweep = Sweep(tuple(low), tuple(high), tuple(stop), braking)  # type: ignore[arg-type]
        return Leg(end, moving, sweep, in_time)

    def _update(self, asked: Any, out: Any) -> None:
        result = self._otg.update(asked, out)
        if result.value < 0:
            raise ArithmeticError(f"no trajectory: {result.name} for {asked}")

    def _input(self) -> Any:
        asked = OTG.InputParameter(6)
        asked.max_velocity, asked.max_acceleration, asked.max_jerk = (
            self.velocity, self.acceleration, self.jerk,
        )  # fmt: skip
        asked.current_position = [0.0] * 6
        return asked


def _at_rest(moving: Moving) -> bool:
    return all(abs(v) <= AT_REST for v in moving.velocity + moving.acceleration)
