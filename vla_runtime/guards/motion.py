"""Velocity, acceleration and jerk of the commanded motion: the last guard before the robot.

Commands are way-points, one per control period. This guard lets a way-point pass when a trajectory leads there from the
present commanded velocity and acceleration, in one period and inside the limits: a polynomial where that will do, else the
one that Ruckig computes. It prefers to arrive with the speed of the step, so that a steady motion stays steady, and otherwise at rest. What cannot be reached in time is
cut to what can.

Regions (workspace, keep-out zones, orientation) are asked about the whole way and about where the motion would come to
rest if it braked right after it. If they forbid it, it brakes. Braking was found allowed one step before, so by induction
no region is ever left, whatever is commanded.
"""

from collections.abc import Callable, Sequence
from math import sqrt
from operator import add
from typing import Any, NamedTuple, final

import ruckig

from vla_runtime import limits
from vla_runtime.guards.order import Rank
from vla_runtime.guards.poses import no_pose
from vla_runtime.guards.regions import Region, Six, Sweep
from vla_runtime.specs import ActionSpec
from vla_runtime.types import Action, GuardContext, Intervention, Judgement, Pose, Verdict

AXES = ("x", "y", "z", "roll", "pitch", "yaw")
OTG: Any = ruckig  # it has no types
A_LEAST, A_SLOPE, A_CURVATURE, A_INTEGRAL = 0.512, 3.9403, 36.0, 0.19754  # see `_smooth_leg`
ZERO: Six = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
STILL = (0.0, 0.0, 0.0, 0.0)  # the sweep of an axis that does not move
HARDLY = 1e-9  # [m], [rad] difference between way-points that is rounding
AT_REST = 1e-9  # [m/s], [m/s²], [rad/s], [rad/s²]


class Moving(NamedTuple):
    """How the commanded motion goes on at the end of a step.

    Attributes:
        velocity: [m/s] and [rad/s].
        acceleration: [m/s²] and [rad/s²].
    """

    velocity: Six = ZERO
    acceleration: Six = ZERO


AT_START = Moving()


class Leg(NamedTuple):
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


class _Axis(NamedTuple):
    """What smooth legs keep to along or about one axis. Worked out once; [m] or [rad], [s].

    Attributes:
        back, forth: Between these lies the end of a step after which the braking too is no larger than a step.
        change: Largest change of velocity from one step to the next.
        top: Largest velocity.
        acceleration, jerk: Largest of both.
        knee: Velocity from which on braking takes the largest deceleration.
        bulge: How far a change of velocity of 1 leads beyond the straight way.
    """

    back: float
    forth: float
    change: float
    top: float
    acceleration: float
    jerk: float
    knee: float
    bulge: float

    @classmethod
    def of(
        cls, low: float, high: float, top: float, acceleration: float, jerk: float, period_s: float
    ) -> "_Axis":
        """From the bounds of a step and the limits of motion."""
        back, forth = (
            min(bound + HARDLY, min(top, _fastest_to_stop_in(bound, acceleration, jerk)) * period_s)
            for bound in (-low, high)
        )
        change = min(acceleration * period_s / A_SLOPE, jerk * period_s**2 / A_CURVATURE)
        knee = acceleration * acceleration / jerk
        return cls(-back, forth, change, top, acceleration, jerk, knee, A_INTEGRAL * period_s)


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
        self._axes = tuple(
            _Axis.of(low, high, v, a, j, self.period_s)
            for low, high, v, a, j in zip(
                self._low, self._high, self.velocity, self.acceleration, self.jerk, strict=True
            )
        )
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
        self._forbids: tuple[Callable[[Pose, Sweep], str | None], ...] = ()
        self._last: tuple[tuple[Six, Moving, Pose], tuple[Leg, str]] | None = None
        self._judged: GuardContext | None = None  # for which `check` asked for the last leg

    def bind(self, guards: Sequence[object]) -> None:
        """Take in the other guards of the chain: those that are regions are asked about the way and the braking."""
        self._forbids = tuple(guard.forbids for guard in guards if isinstance(guard, Region))

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        """Judge one step."""
        pose = context.commanded_pose
        if pose is None:
            return no_pose(self.name)
        moving: Moving = context.memory.get(self.name) or AT_START
        delta: Six = action.values[:6]  # type: ignore[assignment]
        leg, reason = self._allowed(delta, moving, pose)
        self._judged = context
        if leg.displacement == delta:
            return None
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
        if self._judged is context and self._last is not None and not judgement.interventions:
            return self._last[1][0].moving  # nothing came between: most steps
        pose = context.commanded_pose
        if judgement.verdict is Verdict.STOP or pose is None:
            return Moving()
        asked = None
        if judgement.interventions:
            asked = next((why.before for why in judgement.interventions if why.guard == self.name), None)
        moving: Moving = context.memory.get(self.name) or AT_START
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
        if delta == ZERO and _at_rest(moving):
            return Leg(ZERO, moving, Sweep(ZERO, ZERO, ZERO), in_time=True), reason
        (x, y, z, roll, pitch, yaw), period = delta, self.period_s
        cruise = (x / period, y / period, z / period, roll / period, pitch / period, yaw / period)
        leg = self._smooth_leg(delta, moving, cruise)
        if leg is not None and self._outside(leg, pose) is None:
            return leg, reason
        for arrive_with in (cruise, ZERO):
            leg = self._leg(delta, moving, arrive_with)
            forbidden = self._forbidden(leg, pose)
            if forbidden is None and (leg.in_time or arrive_with is ZERO):
                return leg, reason
            reason = forbidden or reason
        return self._braking(moving), reason

    def _forbidden(self, leg: Leg, pose: Pose) -> str | None:
        """Why a leg, or braking after it, is not allowed."""
        for axis, end, braking, low, high in zip(
            AXES, leg.displacement, leg.sweep.braking, self._low, self._high, strict=True
        ):
            if not (low - HARDLY <= end <= high + HARDLY and low - HARDLY <= braking <= high + HARDLY):
                return f"{axis} faster than one step can stop"
        return self._outside(leg, pose)

    def _outside(self, leg: Leg, pose: Pose) -> str | None:
        """Why a region forbids a leg, or braking after it."""
        for forbids in self._forbids:
            reason = forbids(pose, leg.sweep)
            if reason is not None:
                return reason
        return None

    def _smooth_leg(self, delta: Six, moving: Moving, cruise: Six) -> Leg | None:
        """The way-point by a polynomial of fifth order, where it stays inside the limits: most steps, at a tenth of the cost.

        Inside the limits it is also when braking after it needs no more than the largest step.

        From velocity v0 to the mean velocity m of the step, both without acceleration, in a period T:
        v(u) = m + (v0 - m) A(u), A = 1 - 18 u² + 32 u³ - 15 u⁴, u = t / T. The constants below are the extrema of A, of
        its derivatives, and of its integral.
        """
        if moving.acceleration != ZERO and max(map(abs, moving.acceleration)) > AT_REST:
            return None
        sweeps: list[tuple[float, float, float, float]] = []
        for mean, end, velocity, (back, forth, change_most, top, acceleration, jerk, knee, share) in zip(
            cruise, delta, moving.velocity, self._axes, strict=True
        ):
            change = velocity - mean
            if change == mean == 0.0:
                sweeps.append(STILL)
                continue
            # Plain comparisons: calls of abs, min and max would cost more than all the rest.
            if not (back <= end <= forth and -change_most <= change <= change_most):
                return None
            if not -top <= mean - A_LEAST * change <= top:
                return None
            speed, bulge = mean if mean > 0.0 else -mean, share * change
            if speed < knee:  # as `_way_to_stop`
                way = mean * sqrt(speed / jerk)
            else:
                way = mean * (speed / acceleration + acceleration / jerk) / 2.0
            rest = end + way
            if end < 0.0:
                low, high = end + bulge if bulge < way else rest, bulge if bulge > 0.0 else 0.0
            else:
                low, high = bulge if bulge < 0.0 else 0.0, end + bulge if bulge > way else rest
            sweeps.append((low, high, rest, way))
        return Leg(delta, Moving(cruise, ZERO), Sweep(*zip(*sweeps, strict=True)), in_time=True)  # type: ignore[arg-type]

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
        end: Six = displacement or tuple(out.new_position)
        moving = Moving(tuple(out.new_velocity), tuple(out.new_acceleration))  # type: ignore[arg-type]
        extrema = out.trajectory.position_extrema
        low, high = [bound.min for bound in extrema], [bound.max for bound in extrema]
        if _at_rest(moving):
            return Leg(end, moving, Sweep(tuple(low), tuple(high), end, ZERO), in_time)  # type: ignore[arg-type]
        braking, back, forth = self._way_to_rest(moving)
        low = list(map(min, low, map(add, end, back)))
        high = list(map(max, high, map(add, end, forth)))
        stop = tuple(map(add, end, braking))
        return Leg(end, moving, Sweep(tuple(low), tuple(high), stop, braking), in_time)  # type: ignore[arg-type]

    def _way_to_rest(self, moving: Moving) -> tuple[Six, Sequence[float], Sequence[float]]:
        """Displacement of braking, and its smallest and largest values on the way."""
        if max(map(abs, moving.acceleration)) <= AT_REST:
            braking: Six = tuple(map(_way_to_stop, moving.velocity, self.acceleration, self.jerk))  # type: ignore[assignment]
            return braking, [min(way, 0.0) for way in braking], [max(way, 0.0) for way in braking]
        asked = self._brake
        asked.current_velocity, asked.current_acceleration = list(moving.velocity), list(moving.acceleration)
        self._update(asked, self._rest)
        rest = self._rest.trajectory
        after = rest.position_extrema
        braking = tuple(rest.at_time(rest.duration)[0])
        return braking, [bound.min for bound in after], [bound.max for bound in after]

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
    return max(map(abs, moving.velocity)) <= AT_REST and max(map(abs, moving.acceleration)) <= AT_REST


def _way_to_stop(velocity: float, acceleration: float, jerk: float) -> float:
    """How far it goes on [m] or [rad] when it brakes as fast as it may, from a velocity and no acceleration.

    Jerk up to the largest deceleration, on with it, jerk back; without the middle part when the velocity is small. The
    motion is symmetrical in time, so its mean velocity is half of what it started with.
    """
    speed = abs(velocity)
    if speed < acceleration * acceleration / jerk:
        return velocity * sqrt(speed / jerk)
    return velocity * (speed / acceleration + acceleration / jerk) / 2.0


def _fastest_to_stop_in(way: float, acceleration: float, jerk: float) -> float:
    """The speed whose `_way_to_stop` is so long: its inverse."""
    if way <= 0.0:
        return 0.0
    speed = (way * way * jerk) ** (1.0 / 3.0)
    if speed < acceleration * acceleration / jerk:
        return speed
    half = acceleration * acceleration / jerk / 2.0
    return sqrt(half * half + 2.0 * acceleration * way) - half
