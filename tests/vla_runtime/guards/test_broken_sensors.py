"""What a robot says of itself may be garbage. Then nothing passes unjudged."""

import math
from dataclasses import replace
from typing import Any

import pytest

from tests.vla_runtime.guards.scenarios import HOME, action, chain, context, robot_at
from vla_runtime.types import Candidate, FrameFacts, GuardContext, Judgement, Verdict

GUARDS = chain()
MOVE = Candidate(action(x=0.01, z=-0.01))
BAD = [math.nan, math.inf, -math.inf]


def with_bad(values: tuple[float, ...], index: int, bad: float) -> tuple[float, ...]:
    return (*values[:index], bad, *values[index + 1 :])


def judged(seen: GuardContext) -> Judgement:
    return GUARDS.fold(MOVE, seen)


def test_the_same_passes_when_all_is_well() -> None:
    assert judged(context()) == Judgement(Verdict.PASS, action(x=0.01, z=-0.01))


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize(
    ("field", "count"), [("commanded_pose", 7), ("commanded_joints", 7), ("external_force", 3)]
)
def test_a_state_that_is_no_number_moves_nothing(field: str, count: int, bad: float) -> None:
    good = robot_at(HOME)
    for index in range(count):
        robot = replace(good, **{field: with_bad(getattr(good, field), index, bad)})
        assert judged(context(robot=robot)).verdict >= Verdict.HOLD, (field, index)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_peak_force_that_is_no_number_moves_nothing(bad: float) -> None:
    assert judged(context(robot=robot_at(HOME, peak_force_n=bad))).verdict >= Verdict.HOLD


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize(("field", "used"), [("end_effector_pose", 3), ("joint_positions", 7)])
def test_a_measurement_that_is_no_number_moves_nothing(field: str, used: int, bad: float) -> None:
    good: Any = context().observation.proprioception
    for index in range(used):
        felt: Any = {field: with_bad(getattr(good, field), index, bad)}
        assert judged(context(**felt)).verdict >= Verdict.HOLD, (field, index)


@pytest.mark.parametrize("field", ["commanded_pose", "commanded_joints"])
@pytest.mark.parametrize("count", [0, 6, 8])
def test_a_state_of_the_wrong_length_moves_nothing(field: str, count: int) -> None:
    robot = robot_at(HOME, **{field: (0.1,) * count})
    judgement = judged(context(robot=robot))
    assert judgement.verdict >= Verdict.HOLD
    GUARDS.remember(context(robot=robot), judgement)  # does not break either


@pytest.mark.parametrize("quaternion", [(0.0,) * 4, (2.0, 0.0, 0.0, 0.0), (0.5, 0.0, 0.0, 0.0)])
def test_a_rotation_that_is_none_moves_nothing(quaternion: tuple[float, ...]) -> None:
    robot = robot_at(HOME)
    robot = replace(robot, commanded_pose=(*robot.commanded_pose[:3], *quaternion))
    assert judged(context(robot=robot)).verdict >= Verdict.HOLD


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_time_that_is_no_number_moves_nothing(bad: float) -> None:
    seen = context()
    assert judged(replace(seen, now_s=bad)).verdict >= Verdict.HOLD
    late = replace(seen, observation=replace(seen.observation, capture_time_s=bad))
    assert judged(late).verdict >= Verdict.HOLD


def test_a_brightness_that_is_no_number_moves_nothing() -> None:
    assert judged(context(frame=FrameFacts(1, math.nan))).verdict is Verdict.HOLD


@pytest.mark.parametrize("needed", ["singularity", "collision"])
def test_guards_of_the_arm_do_not_rely_on_one_that_is_not_there(needed: str) -> None:
    guards = chain("~guards.joint_limits", "~guards.tracking_error", f"~guards.{needed}")
    blind = context(robot=robot_at(HOME, commanded_joints=()), joint_positions=())
    assert guards.fold(MOVE, blind).verdict is Verdict.HOLD
