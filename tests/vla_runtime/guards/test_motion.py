"""Whatever is commanded, the commanded motion stays inside its limits and its regions, and comes to rest."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
import ruckig
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import SPEC
from vla_runtime.actions.rotations import rotate
from vla_runtime.guards.chain import GuardChain
from vla_runtime.guards.keep_out import KeepOut
from vla_runtime.guards.motion import ZERO, Motion, Moving, _fastest_to_stop_in, _way_to_stop
from vla_runtime.guards.orientation import Orientation, heading_rad, tilt_rad
from vla_runtime.guards.poses import moved
from vla_runtime.guards.workspace import Workspace
from vla_runtime.interfaces import Guard
from vla_runtime.specs import ActionSpec
from vla_runtime.types import (
    Action,
    Candidate,
    GuardContext,
    Judgement,
    Observation,
    Pose,
    Proprioception,
    Verdict,
)

ROUNDING = 1.0 + 1e-6
START: Pose = ((0.5, 0.0, 0.2), (1.0, 0.0, 0.0, 0.0))
PROFILES = {  # velocity, acceleration, jerk along an axis, then about one
    "simulation": (0.6, 13.0, 1000.0, 2.5, 25.0, 5000.0),
    "slow": (0.25, 2.0, 20.0, 1.0, 5.0, 50.0),
    "very slow": (0.1, 0.3, 3.0, 0.3, 0.8, 8.0),
    "jerk is all": (1.0, 50.0, 5.0, 4.0, 100.0, 20.0),
}
BOX = ((0.40, 0.60), (-0.10, 0.10), (0.15, 0.30))
ZONE = ((0.53, 0.60), (-0.10, 0.10), (0.10, 0.16))
SPHERES = {"tool": (0.0, 0.0, 0.0, 0.01), "hand": (0.0, 0.03, -0.06, 0.03)}
TILT_RAD, HEADING_RAD = 0.3, 0.5


def spec_at(hz: float) -> ActionSpec:
    step, turn = 0.25 / hz, 1.25 / hz
    return replace(
        SPEC,
        low=(-step,) * 3 + (-turn,) * 3 + (0.0,),
        high=(step,) * 3 + (turn,) * 3 + (1.0,),
        control_hz=hz,
    )


def regions() -> dict[str, Guard]:
    zone: Any = dict(zip(("x_m", "y_m", "z_m"), map(list, ZONE), strict=True))
    return {
        "workspace": Workspace(*map(list, BOX), hold_outside_m=0.02),
        "orientation": Orientation(TILT_RAD, HEADING_RAD),
        "keep_out": KeepOut({"box": zone}, SPHERES, 0.01),
    }


@dataclass
class Arm:
    """A robot that goes exactly where it is told."""

    guards: GuardChain
    pose: Pose = START
    step: int = 0
    memory: Any = None

    def __post_init__(self) -> None:
        self.memory = {}

    def does(self, asked: Action | None) -> Judgement:
        position, quaternion = self.pose
        felt = Proprioception((), (*position, *quaternion), 1.0)
        seen = Observation({}, felt, "", float(self.step), self.step)
        now = GuardContext(seen, float(self.step), None, Action((0.0,) * 6 + (1.0,)), memory=self.memory)
        judgement = self.guards.fold(Candidate(asked), now)
        self.memory = self.guards.remember(now, judgement)
        self.pose = moved(self.pose, judgement.action)
        self.step += 1
        return judgement


def motion(profile: str, hz: float) -> Motion:
    return Motion(spec_at(hz), *PROFILES[profile])


wanted = st.one_of(st.sampled_from([-1.0, 0.0, 1.0]), st.floats(-1.5, 1.5, width=32))
wishes = st.lists(
    st.one_of(st.none(), st.tuples(*[wanted] * 6)), min_size=30, max_size=30
)  # in shares of the largest step; None: no action
rates = st.sampled_from([5.0, 10.0, 20.0])


def as_action(wish: tuple[float, ...] | None, spec: ActionSpec) -> Action | None:
    return (
        None if wish is None else Action((*(w * top for w, top in zip(wish, spec.high, strict=False)), 1.0))
    )


def check_limits(guard: Motion, memory: Any) -> None:
    for value, top in zip(memory.velocity, guard.velocity, strict=True):
        assert abs(value) <= top * ROUNDING
    for value, top in zip(memory.acceleration, guard.acceleration, strict=True):
        assert abs(value) <= top * ROUNDING


def check_differences(guard: Motion, emitted: list[tuple[float, ...]]) -> None:
    """Mean velocity, acceleration and jerk of the way-points: never above what holds at every moment."""
    rows = [(0.0,) * 6] * 3 + emitted
    for axis in range(6):
        series = [row[axis] / guard.period_s for row in rows]
        for top in (guard.velocity[axis], guard.acceleration[axis], guard.jerk[axis]):
            assert max(map(abs, series)) <= top * ROUNDING + 1e-7
            series = [(b - a) / guard.period_s for a, b in pairwise(series)]


@pytest.mark.parametrize("profile", PROFILES)
@given(wishes=wishes, hz=rates)
@settings(max_examples=80, deadline=None)
def test_limits_hold_whatever_is_commanded(profile: str, wishes: list[Any], hz: float) -> None:
    guard = motion(profile, hz)
    robot = Arm(GuardChain({"motion": guard}, spec_at(hz)))
    emitted = []
    for wish in wishes:
        judgement = robot.does(as_action(wish, spec_at(hz)))
        assert judgement.verdict is not Verdict.STOP, judgement
        emitted.append(judgement.action.values[:6])
        check_limits(guard, robot.memory["motion"])
    check_differences(guard, emitted)


def assert_inside(pose: Pose) -> None:
    position, quaternion = pose
    for here, (low, high) in zip(position, BOX, strict=True):
        assert low - 1e-6 <= here <= high + 1e-6
    assert tilt_rad(quaternion) <= TILT_RAD + 1e-6
    assert abs(heading_rad(quaternion)) <= HEADING_RAD + 1e-6
    for centre, radius in spheres(pose):
        gaps = [max(low - c, c - high, 0.0) for c, (low, high) in zip(centre, ZONE, strict=True)]
        assert math.hypot(*gaps) >= radius + 0.01 - 1e-4


def spheres(pose: Pose) -> list[tuple[tuple[float, ...], float]]:
    position, quaternion = pose
    return [
        (tuple(p + o for p, o in zip(position, rotate(quaternion, (x, y, z)), strict=True)), radius)
        for x, y, z, radius in SPHERES.values()
    ]


@pytest.mark.parametrize("profile", PROFILES)
@given(wishes=wishes, hz=rates)
@settings(max_examples=80, deadline=None)
def test_no_region_is_ever_left(profile: str, wishes: list[Any], hz: float) -> None:
    guard = motion(profile, hz)
    robot = Arm(GuardChain({**regions(), "motion": guard}, spec_at(hz)))
    for wish in wishes:
        robot.does(as_action(wish, spec_at(hz)))
        assert_inside(robot.pose)
        check_limits(guard, robot.memory["motion"])


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("hz", [5.0, 10.0, 20.0])
@pytest.mark.parametrize("direction", [(1, 0, 0), (1, 1, -1), (-1, 1, 0), (1, 0, -1)])
def test_running_into_a_wall_ends_at_the_wall(profile: str, hz: float, direction: tuple[int, ...]) -> None:
    robot = Arm(GuardChain({**regions(), "motion": motion(profile, hz)}, spec_at(hz)))
    ask = as_action((*map(float, direction), 0.0, 0.0, 0.0), spec_at(hz))
    for _ in range(round(10 * hz)):
        robot.does(ask)
        assert_inside(robot.pose)
    assert math.dist(robot.pose[0], START[0]) > 0.02


@pytest.mark.parametrize("profile", PROFILES)
@given(wishes=wishes, hz=rates)
@settings(max_examples=10, deadline=None)
def test_a_hold_comes_to_rest(profile: str, wishes: list[Any], hz: float) -> None:
    guard = motion(profile, hz)
    robot = Arm(GuardChain({"motion": guard}, spec_at(hz)))
    for wish in wishes:
        robot.does(as_action(wish, spec_at(hz)))
    last = [robot.does(None) for _ in range(round(4 * hz))][-1]
    assert last.action.values[:6] == pytest.approx((0.0,) * 6, abs=1e-9)
    assert robot.memory["motion"].velocity == pytest.approx((0.0,) * 6, abs=1e-6)


@pytest.mark.parametrize("hz", [5.0, 10.0, 20.0])
def test_constant_speed_passes_untouched(hz: float) -> None:
    robot = Arm(GuardChain({"motion": motion("simulation", hz)}, spec_at(hz)))
    ask = as_action((0.6, -0.3, 0.2, 0.1, 0.0, -0.5), spec_at(hz))
    for _ in range(3):
        robot.does(ask)
    for _ in range(20):
        assert robot.does(ask) == Judgement(Verdict.PASS, ask)  # type: ignore[arg-type]


@pytest.mark.parametrize("profile", PROFILES)
@given(speeds=st.tuples(*[st.floats(-0.9, 0.9)] * 12), delta=st.tuples(*[wanted] * 6))
@settings(max_examples=20, deadline=None)
def test_a_sweep_is_what_is_passed_through_and_no_more(
    profile: str, speeds: tuple[float, ...], delta: tuple[float, ...]
) -> None:
    """A wider one would keep the robot away from where it may go."""
    guard = motion(profile, 10.0)
    velocity, acceleration = (
        tuple(share * top for share, top in zip(part, tops, strict=True))
        for part, tops in ((speeds[:6], guard.velocity), (speeds[6:], guard.acceleration))
    )
    asked: Any = as_action(delta, spec_at(10.0))
    guard._leg(asked.values[:6], Moving(), ZERO)  # what was asked before is not passed through
    sweep = guard._braking(Moving(velocity, acceleration)).sweep  # type: ignore[arg-type]
    for axis in range(6):
        passed = brake(velocity[axis], acceleration[axis], guard.acceleration[axis], guard.jerk[axis])
        rounding = 1e-4 * (max(passed) - min(passed)) + 1e-6
        assert sweep.low[axis] == pytest.approx(min(passed), abs=rounding)
        assert sweep.high[axis] == pytest.approx(max(passed), abs=rounding)
        assert sweep.low[axis] - 1e-9 <= sweep.stop[axis] <= sweep.high[axis] + 1e-9


def brake(velocity: float, acceleration: float, top: float, jerk: float) -> list[float]:
    """Positions on the way to rest, in time: the jerk that leads there as fast as the limits allow."""
    otg: Any = ruckig.Ruckig(1, 0.01)
    asked: Any = ruckig.InputParameter(1)
    asked.control_interface = ruckig.ControlInterface.Velocity
    asked.current_velocity, asked.current_acceleration, asked.target_velocity = (
        [velocity],
        [acceleration],
        [0.0],
    )
    asked.max_velocity, asked.max_acceleration, asked.max_jerk = [100.0], [top], [jerk]
    trajectory: Any = ruckig.Trajectory(1)
    otg.calculate(asked, trajectory)
    return [trajectory.at_time(trajectory.duration * k / 300)[0][0] for k in range(301)]


@given(wishes=wishes, others=wishes)
@settings(max_examples=15, deadline=None)
def test_other_questions_in_between_change_nothing(wishes: list[Any], others: list[Any]) -> None:
    """It keeps trajectories in one place and its last answer: neither may leak into the next one."""
    spec = spec_at(10.0)
    guard = motion("slow", 10.0)
    asked, apart = Arm(GuardChain({"motion": guard}, spec)), Arm(GuardChain({"motion": guard}, spec))
    alone = Arm(GuardChain({"motion": motion("slow", 10.0)}, spec))
    for wish, other in zip(wishes, others, strict=True):
        apart.does(as_action(other, spec))
        assert asked.does(as_action(wish, spec)) == alone.does(as_action(wish, spec))
        assert asked.memory == alone.memory


def test_the_reason_names_axis_value_and_unit() -> None:
    robot = Arm(GuardChain({"motion": motion("very slow", 5.0)}, spec_at(5.0)))
    judgement = robot.does(Action((0.0, 0.05, 0.0, 0.0, 0.0, 0.0, 1.0)))
    assert judgement.verdict is Verdict.CLAMP
    assert "y 0.00" in judgement.interventions[0].reason
    assert "instead of 0.05 m" in judgement.interventions[0].reason


@given(way=st.floats(1e-6, 1.0), acceleration=st.floats(0.1, 50.0), jerk=st.floats(1.0, 10_000.0))
def test_the_fastest_that_stops_in_a_way_needs_all_of_it(
    way: float, acceleration: float, jerk: float
) -> None:
    speed = _fastest_to_stop_in(way, acceleration, jerk)
    assert _way_to_stop(speed, acceleration, jerk) == pytest.approx(way, rel=1e-9)
