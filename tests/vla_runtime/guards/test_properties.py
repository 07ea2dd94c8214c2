"""What holds for guards one by one: legal passes, cuts only make smaller, the way back is open, the edge is inside."""

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.conftest import SPEC
from tests.vla_runtime.guards.scenarios import (
    HOME,
    SCENARIOS,
    Scenario,
    action,
    arm,
    chain,
    context,
    joints_at,
    played,
    robot_at,
)
from vla_runtime.guards.chain import GuardChain
from vla_runtime.guards.collision import Collision
from vla_runtime.guards.contact_force import ContactForce
from vla_runtime.guards.gripper_debounce import GripperDebounce
from vla_runtime.guards.joint_limits import JointLimits
from vla_runtime.guards.keep_out import KeepOut
from vla_runtime.guards.observation_age import ObservationAge
from vla_runtime.guards.orientation import Orientation, heading_rad, tilt_rad
from vla_runtime.guards.poses import moved
from vla_runtime.guards.step_size import StepSize
from vla_runtime.guards.token_validity import TokenValidity
from vla_runtime.guards.workspace import Workspace
from vla_runtime.types import Action, ActionTokens, Candidate, GuardContext, Verdict

GUARDS = chain()
share = st.floats(-1.0, 1.0, width=32)
large = st.floats(-0.5, 0.5, width=32)
motions = st.builds(
    lambda *wish: Action((*(w * top for w, top in zip(wish, SPEC.high, strict=False)), 1.0)), *[share] * 6
)


def at(position: tuple[float, ...], quaternion: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0)) -> GuardContext:
    """A robot whose tool is there; its joints do not matter."""
    return context(robot=replace(robot_at(HOME), commanded_pose=(*position, *quaternion)))


@given(motions)
@settings(max_examples=60, deadline=None)
def test_where_nothing_is_near_half_a_step_passes_untouched(wish: Action) -> None:
    asked = Action((*(value / 2.0 for value in wish.values[:6]), 1.0))
    judgement = GUARDS.fold(Candidate(asked), context())
    assert (judgement.verdict, judgement.action, judgement.interventions) == (Verdict.PASS, asked, ())


@given(
    motions,
    st.sampled_from([HOME, (*HOME[:6], 2.75), joints_at((0.45, 0.44, 0.1)), joints_at((0.74, 0, 0.3))]),
)
@settings(max_examples=150, deadline=None)
def test_a_cut_from_rest_makes_no_axis_larger_and_turns_none_round(
    wish: Action, joints: tuple[float, ...]
) -> None:
    """While it brakes, motion may: test_motion.py."""
    judgement = GUARDS.fold(Candidate(wish), context(joints))
    for asked, given_ in zip(wish.values[:6], judgement.action.values, strict=False):
        assert abs(given_) <= abs(asked) + 1e-9
        assert given_ * asked >= -1e-12


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.guard)
def test_the_same_question_has_the_same_answer_whatever_was_asked_between(scenario: Scenario) -> None:
    """Some keep their last answer: of the motion, and of the arm's kinematics."""
    guards = chain(*scenario.overrides, spec=scenario.spec, limits=scenario.limits)
    once = played(guards, scenario.steps)
    for other in SCENARIOS[::3]:
        guards.fold(Candidate(other.steps[0][0]), other.steps[0][1])
    again = played(guards, scenario.steps)
    assert repr(once) == repr(again)  # NaN is not equal to itself


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.guard)
def test_reasons_are_one_line_that_says_the_numbers_it_is_about(scenario: Scenario) -> None:
    guards = chain(*scenario.overrides, spec=scenario.spec, limits=scenario.limits)
    found = [why for judged in played(guards, scenario.steps) for why in judged.interventions]
    whys = [why for why in found if why.guard == scenario.guard]
    assert whys
    for why in whys:
        assert why.reason
        assert "\n" not in why.reason
        assert any(letter.isdigit() for letter in why.reason) or scenario.guard == "finite"
        assert (why.value is None) == (why.limit is None) == (why.unit is None)


# --------------------------------------------------------------------------------------------------------- edges


@pytest.mark.parametrize(("age_s", "passes"), [(0.0, True), (0.4, True), (0.401, False), (-0.001, False)])
def test_an_observation_may_be_as_old_as_the_limit(age_s: float, passes: bool) -> None:
    answer = ObservationAge(0.4).check(action(), context(age_s=age_s))
    assert (answer is None) == passes


@pytest.mark.parametrize(("token", "passes"), [(31744, True), (31999, True), (31743, False), (32000, False)])
def test_the_first_and_the_last_action_token_are_action_tokens(token: int, passes: bool) -> None:
    answer = TokenValidity(31744, 31999).check(action(), context(tokens=ActionTokens((31800, token))))
    assert (answer is None) == passes
    if answer is not None:
        assert str(token) in answer.reason


@pytest.mark.parametrize(("x", "passes"), [(0.02, True), (-0.02, True), (0.0201, False), (-0.0201, False)])
def test_a_step_may_be_as_large_as_the_limit(x: float, passes: bool) -> None:
    answer = StepSize(0.02, 0.1).check(action(x=x), context())
    assert (answer is None) == passes


# ----------------------------------------------------------------------------------------------------- workspace

BOX = Workspace([0.3, 0.6], [-0.2, 0.2], [0.1, 0.4], hold_outside_m=0.02)


@given(st.tuples(*[st.floats(0.0, 1.0)] * 3), st.tuples(*[large] * 3))
@example((1.0, 1.0, 1.0), (0.1, -0.1, 0.1))
def test_what_starts_in_the_box_ends_in_it(where: tuple[float, ...], step: tuple[float, ...]) -> None:
    position = tuple(low + w * (high - low) for w, (low, high) in zip(where, BOX.box, strict=True))
    asked = action(*step)
    answer = BOX.check(asked, at(position))
    done = asked if answer is None else answer.action
    assert done is not None
    for here, moved_by, wish, (low, high) in zip(position, done.values, step, BOX.box, strict=False):
        assert low - 1e-9 <= here + moved_by <= high + 1e-9
        assert abs(moved_by) <= abs(wish) + 1e-9
        assert moved_by == wish or not low <= here + wish <= high  # other axes slide on


@given(st.floats(0.001, 0.3), st.floats(0.0, 1.0), st.sampled_from([0, 1, 2]), st.sampled_from([-1, 1]))
def test_motion_back_into_the_box_is_always_allowed(out: float, part: float, axis: int, side: int) -> None:
    position, step = [0.45, 0.0, 0.25], [0.0, 0.0, 0.0]
    position[axis] = BOX.box[axis][(side + 1) // 2] + side * out
    step[axis] = -side * out * part
    assert BOX.check(action(*step), at(tuple(position))) is None


def test_further_outside_is_not_clamped_but_held() -> None:
    answers = [BOX.check(action(x=0.01), at((0.6 + out, 0.0, 0.2))) for out in (0.0, 0.019, 0.021)]
    assert [answer and answer.verdict for answer in answers] == [Verdict.CLAMP, Verdict.CLAMP, Verdict.HOLD]


# --------------------------------------------------------------------------------------------------- orientation


@given(st.tuples(*[large] * 3), st.tuples(*[large] * 3))
def test_a_cut_turn_ends_in_the_cone_or_no_further_outside(
    before: tuple[float, float, float], turn: tuple[float, float, float]
) -> None:
    cone = Orientation(0.4, 0.5)
    pose = moved(((0.5, 0.0, 0.3), (1.0, 0.0, 0.0, 0.0)), action(0, 0, 0, *before))
    answer = cone.check(action(0, 0, 0, *turn), at(*pose))
    done = action(0, 0, 0, *turn) if answer is None else answer.action
    assert done is not None
    after = moved(pose, done)[1]
    excess_before, excess_after = (
        max(tilt_rad(q) - 0.4, abs(heading_rad(q)) - 0.5) for q in (pose[1], after)
    )
    assert excess_after <= max(excess_before, 0.0) + 1e-6


def test_turning_back_into_the_cone_is_always_allowed() -> None:
    cone = Orientation(0.4, 0.5)
    pose = moved(((0.5, 0.0, 0.3), (1.0, 0.0, 0.0, 0.0)), action(roll=0.6))
    assert cone.check(action(roll=-0.1), at(*pose)) is None
    assert cone.check(action(roll=0.1), at(*pose)) is not None


# ------------------------------------------------------------------------------------------------------ keep out

ZONE = {"x_m": [0.5, 0.6], "y_m": [-0.1, 0.1], "z_m": [0.0, 0.2]}
TOOL = KeepOut({"box": ZONE}, {"tool": (0.0, 0.0, 0.0, 0.02)}, 0.01)


@given(st.tuples(st.floats(0.3, 0.8), st.floats(-0.3, 0.3), st.floats(0.0, 0.4)), st.tuples(*[large] * 3))
def test_the_tool_never_comes_nearer_than_the_margin(
    position: tuple[float, ...], step: tuple[float, ...]
) -> None:
    asked = action(*(value / 5.0 for value in step))
    answer = TOOL.check(asked, at(position))
    done = asked if answer is None else answer.action
    assert done is not None
    before, after = (
        math.hypot(
            *(max(low - p, p - high, 0.0) for p, (low, high) in zip(point, ZONE.values(), strict=True))
        )
        for point in (position, [p + d for p, d in zip(position, done.values, strict=False)])
    )
    assert after >= min(before, 0.03) - 1e-5


@given(st.floats(0.5, 0.6), st.floats(0.01, 0.05))
def test_the_way_out_of_a_zone_is_open(x: float, step: float) -> None:
    assert TOOL.check(action(z=step), at((x, 0.0, 0.19))) is None


# ------------------------------------------------------------------------------------------------- contact force


@given(st.tuples(*[st.floats(-30.0, 30.0)] * 3), st.tuples(*[large] * 3))
def test_motion_against_a_force_is_removed_and_away_from_it_is_allowed(
    force: tuple[float, float, float], step: tuple[float, float, float]
) -> None:
    guard = ContactForce(15.0, 20.0)
    asked = action(*step)
    answer = guard.check(asked, context(robot=robot_at(HOME, external_force=force, peak_force_n=10.0)))
    work = sum(d * f for d, f in zip(step, force, strict=True))
    if math.hypot(*force) < 15.0 or work >= 0.0:
        assert answer is None
        return
    done = asked if answer is None else answer.action
    assert done is not None
    assert sum(d * f for d, f in zip(done.values, force, strict=False)) >= -1e-8
    assert math.hypot(*done.values[:3]) <= math.hypot(*step) + 1e-9  # one axis alone may grow: it slides


@pytest.mark.parametrize(("peak_n", "stops"), [(20.0, False), (20.01, True)])
def test_above_the_limit_it_stops(peak_n: float, stops: bool) -> None:
    answer = ContactForce(15.0, 20.0).check(action(), context(robot=robot_at(HOME, peak_force_n=peak_n)))
    assert (answer is not None) == stops
    if answer is not None:
        assert answer.reason == "contact force 20.0 N, at most 20 N"


def test_a_robot_that_stopped_itself_is_stopped() -> None:
    robot = robot_at(HOME, protective_stop="joint 3 too fast")
    answer = ContactForce(15.0, 20.0).check(action(), context(robot=robot))
    assert answer is not None
    assert (answer.verdict, answer.reason) == (Verdict.STOP, "the robot stopped itself: joint 3 too fast")


# ------------------------------------------------------------------------------------------------------- the arm


@given(st.floats(-0.2, 0.2))
@settings(max_examples=40, deadline=None)
def test_joints_keep_their_margin_and_the_way_back_is_open(yaw: float) -> None:
    """Joint 7 is 0.05 rad inside its margin; turning the tool turns it.

    An eighth of a turn, the smallest share that is tried, must be more than the 0.02 degrees that inverse kinematics may be
    off by, or no joint moves for it.
    """
    guard = JointLimits(arm(), 0.1, 0.5, 0.001, 0.0087)
    near = (*HOME[:6], 2.85)
    answer = guard.check(action(yaw=yaw), context(near))
    outward = yaw < -3e-3
    assert (answer is not None) == outward or abs(yaw) <= 3e-3
    if outward:
        assert answer is not None
        assert answer.verdict is Verdict.HOLD
        assert "at least 0.1 rad" in answer.reason


def test_the_arm_comes_to_the_table_ever_more_slowly_and_never_nearer_than_allowed() -> None:
    guard = Collision(arm(), SPEC, 0.02, 0.02, 0.0, 2.5)  # half of what is left in a step
    joints = joints_at((0.5, 0.0, 0.09), (0.9305, 0.0, 0.0, 0.3663))
    pose = arm().tool_pose(joints)
    gaps = [arm().clearances(joints, 0.0).table_distance_m]
    for _ in range(12):
        asked = action(z=-0.03)
        answer = guard.check(asked, context(joints, robot=robot_at(joints)))
        done = asked if answer is None else answer.action or action()
        pose = moved(pose, done)
        joints = arm().reach(joints, *pose).joints
        gaps.append(arm().clearances(joints, 0.0).table_distance_m)
    assert min(gaps) >= 0.02 - 5e-4  # the inverse kinematics' tolerance
    assert gaps[-1] < 0.023
    assert guard.check(action(z=0.03), context(joints)) is None


# ------------------------------------------------------------------------------------------------------- gripper


@given(st.lists(st.floats(0.0, 1.0, width=16), min_size=5, max_size=40), st.integers(1, 3))
def test_the_gripper_changes_sides_only_when_asked_often_enough_and_late_enough(
    asked: list[float], votes: int
) -> None:
    guard: Any = GripperDebounce(0.4, 0.6, votes, 0.5)
    guards = GuardChain({}, SPEC)
    guards._take((guard,))
    steps = [(action(gripper=opening), context(now_s=0.2 * k)) for k, opening in enumerate(asked)]
    told = [1.0, *(judged.action.values[6] for judged in played(guards, steps))]
    changed = [k for k in range(1, len(told)) if (told[k] > 0.5) != (told[k - 1] > 0.5)]
    for k in changed:
        votes_for = asked[max(k - votes, 0) : k]
        assert len(votes_for) == votes
        assert all(a <= 0.4 if told[k] <= 0.5 else a >= 0.6 for a in votes_for)
    assert all(b - a >= 3 for a, b in itertools.pairwise(changed))  # 0.5 s are 3 steps


def test_the_action_tokens_are_the_policys_own() -> None:
    """A checkpoint with a small vocabulary has other ids; what YAML says counts more, and Llama 2's are the default."""
    small = ActionTokens((600,) * 7)
    own = TokenValidity(action_ids=[512, 767])
    assert own.check(action(), context(tokens=small)) is None
    assert own.check(action(), context(tokens=ActionTokens((511,) * 7))) is not None
    assert own.check(action(), context(tokens=ActionTokens((31800,) * 7))) is not None
    assert TokenValidity().check(action(), context(tokens=small)) is not None
    assert (
        TokenValidity(31744, 31999, action_ids=[512, 767]).check(action(), context(tokens=small)) is not None
    )
