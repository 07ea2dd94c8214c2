"""Way-points lose nothing when they are late; averages of equal things are those things."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SPEC
from vla_runtime.actions.rotations import inverse, multiply, normalized, quaternion_from_rpy
from vla_runtime.inference.deadlines import DeadlineLadder
from vla_runtime.inference.delays import DelayEstimate
from vla_runtime.inference.plans import RawPlan, WayPoint, anchored, averaged
from vla_runtime.types import Action, NormalizedAction, Proposal

NO_TOKENS = Proposal(NormalizedAction(()))
START = WayPoint((0.4, 0.0, 0.3), (1.0, 0.0, 0.0, 0.0), 1.0)
PERIOD_S = 1.0 / SPEC.control_hz
shares = st.floats(-1.0, 1.0, width=32)
deltas = st.builds(
    lambda wish, gripper: Action((*(w * top for w, top in zip(wish, SPEC.high, strict=False)), gripper)),
    st.tuples(*[shares] * 6),
    st.floats(0.0, 1.0),
)
angles = st.floats(-3.0, 3.0)
way_points = st.builds(
    lambda position, rpy, gripper: WayPoint(position, normalized(quaternion_from_rpy(rpy)), gripper),
    st.tuples(*[st.floats(-1.0, 1.0)] * 3),
    st.tuples(angles, angles, angles),
    st.floats(0.0, 1.0),
)


def angle_between(one: WayPoint, other: WayPoint) -> float:
    turn = multiply(one.quaternion, inverse(other.quaternion))
    return 2.0 * math.atan2(math.hypot(*turn[:3]), abs(turn[3]))


@given(st.lists(deltas, min_size=1, max_size=12), st.data())
def test_dropping_late_way_points_loses_no_displacement(chunk: list[Action], data: st.DataObject) -> None:
    plan = anchored([(delta, NO_TOKENS) for delta in chunk], START, 0.0, 0.0, SPEC)
    late = data.draw(st.integers(0, len(chunk) - 1))
    found = plan.way_point(late * PERIOD_S)
    expected = START
    for delta in chunk[: late + 1]:
        expected = expected.after(delta)
    assert found is not None
    assert found[0].position == pytest.approx(expected.position)
    assert angle_between(found[0], expected) < 1e-7


@given(st.lists(deltas, min_size=1, max_size=8))
def test_in_time_it_is_the_chunk_itself(chunk: list[Action]) -> None:
    plan = anchored([(delta, NO_TOKENS) for delta in chunk], START, 0.0, 0.0, SPEC)
    here = START
    for k, delta in enumerate(chunk):
        found = plan.action(k * PERIOD_S, here)
        assert found is not None
        assert found[0].values == pytest.approx(delta.values, abs=1e-9)
        here = here.after(found[0])


def test_a_plan_says_when_it_begins_and_when_it_is_over() -> None:
    plan = anchored([(Action((0.0,) * 7), NO_TOKENS)] * 3, START, 0.0, 1.0, SPEC)
    assert [plan.has_begun(t) for t in (0.9, 1.0 - 1e-9, 1.0)] == [False, True, True]
    assert [plan.way_point(t) is None for t in (0.9, 1.0, 1.4, 1.6)] == [True, False, False, True]
    assert plan.remaining_s(1.2) == pytest.approx(0.4)


@given(way_points, way_points)
def test_one_step_stays_in_the_spec_and_keeps_its_direction(there: WayPoint, here: WayPoint) -> None:
    values = there.from_here(here, SPEC).values
    for value, low, high in zip(values, SPEC.low, SPEC.high, strict=True):
        assert low <= value <= high
    way = [a - b for a, b in zip(there.position, here.position, strict=True)]
    across = [values[i] * way[j] - values[j] * way[i] for i, j in ((0, 1), (1, 2), (2, 0))]
    assert max(map(abs, across)) < 1e-9
    assert sum(a * b for a, b in zip(values, way, strict=False)) >= 0.0


@given(way_points, st.integers(1, 5), st.floats(-2.0, 2.0))
def test_the_average_of_equal_points_is_the_point(point: WayPoint, count: int, decay: float) -> None:
    x, y, z, w = point.quaternion
    twin = WayPoint(point.position, (-x, -y, -z, -w), point.gripper)  # the same rotation
    mean = averaged([point, twin] * count, [math.exp(-decay * k) for k in range(2 * count)])
    assert mean.position == pytest.approx(point.position, abs=1e-9)
    assert angle_between(mean, point) < 1e-6
    assert mean.gripper == pytest.approx(point.gripper, abs=1e-9)


@given(st.lists(way_points, min_size=1, max_size=6))
def test_an_average_is_a_rotation(points: list[WayPoint]) -> None:
    mean = averaged(points, [1.0] * len(points))
    assert math.hypot(*mean.quaternion) == pytest.approx(1.0)


def test_a_raw_plan_is_played_from_its_first_delta() -> None:
    chunk = [(Action((float(k),) * 7), NO_TOKENS) for k in range(3)]
    plan = RawPlan(chunk, 0.0, PERIOD_S)
    played = [plan.action(99.0, None) for _ in range(4)]
    assert played == [*chunk, None]


# ---------------------------------------------------------------------------------------------------- how long


def test_the_first_guess_counts_until_something_is_measured() -> None:
    delay = DelayEstimate(0.3)
    assert delay.p95_s == 0.3
    delay.add(0.1)
    assert delay.p95_s == 0.1


@given(st.lists(st.floats(0.0, 10.0), min_size=1, max_size=120))
def test_at_most_one_in_twenty_of_the_last_fifty_took_longer(latencies: list[float]) -> None:
    delay = DelayEstimate(0.3)
    for latency in latencies:
        delay.add(latency)
    last = latencies[-50:]
    assert delay.p95_s in last
    assert sum(latency > delay.p95_s for latency in last) <= 0.05 * len(last)


def test_a_spike_is_forgotten_after_fifty() -> None:
    delay = DelayEstimate(0.3)
    delay.add(9.0)
    for _ in range(50):
        delay.add(0.1)
    assert delay.p95_s == 0.1


# ---------------------------------------------------------------------------------------------------- too late

LADDER = DeadlineLadder(decay_s=0.2, stop_after_s=1.0, first_action_within_s=5.0)
LAST = Action((0.04, -0.02, 0.0, 0.1, 0.0, -0.2, 0.3))


def test_the_rungs_come_in_order_and_the_motion_decays_to_nothing() -> None:
    rungs = [LADDER.rung(LAST, 0.05 * k, 0.05) for k in range(30)]
    kinds = ["stop" if rung.give_up else "hold" if rung.action is None else "decay" for rung in rungs]
    assert kinds == sorted(kinds, key=["decay", "hold", "stop"].index)
    assert set(kinds) == {"decay", "hold", "stop"}
    decaying = [rung.action.values for rung in rungs if rung.action is not None]
    for before, after in zip([LAST.values, *decaying], decaying, strict=False):
        assert all(abs(b) < abs(a) or a == 0.0 for a, b in zip(before[:6], after[:6], strict=True))
        assert after[6] == 0.3  # the gripper stays
    assert abs(decaying[-1][0]) < 0.06 * LAST.values[0]


def test_it_gives_up_exactly_at_its_limit() -> None:
    assert not LADDER.rung(LAST, 0.999, 0.05).give_up
    given_up = LADDER.rung(LAST, 1.0, 0.05)
    assert given_up.give_up
    assert given_up.reason == "no action for 1.00 s, given up after 1 s"


def test_before_the_first_action_it_waits_longer() -> None:
    assert not LADDER.rung(None, 4.9, 0.05).give_up
    assert LADDER.rung(None, 0.0, 0.05).action is None
    assert LADDER.rung(None, 5.0, 0.05).give_up


def test_without_a_decay_it_holds_at_once() -> None:
    assert DeadlineLadder(0.0, 1.0, 5.0).rung(LAST, 0.0, 0.05).action is None


@pytest.mark.parametrize(
    "limits", [(-0.1, 1.0, 5.0), (math.nan, 1.0, 5.0), (0.1, 0.0, 5.0), (0.1, 1.0, math.inf)]
)
def test_a_senseless_ladder_is_refused(limits: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match=r"^ladder\.[^\n]*expected [^\n]*$"):
        DeadlineLadder(*limits)
