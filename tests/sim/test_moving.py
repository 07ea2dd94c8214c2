"""What is driven over the table carries things along, keeps to its path, and waits for nobody."""

from collections.abc import Callable

import numpy as np
import pytest

from sim.environment import TabletopEnv
from sim.errors import InvalidSetting
from sim.motion import Loop, draw_loop
from sim.scene import FINGER_ROOM
from sim.seeding import Streams
from sim.state import STILL
from sim.tasks import PickMoving
from tests.sim.conftest import play_expert

TRAY = "tray"


@pytest.mark.parametrize("thing", ["red_cube", "strawberry", "banana"])
def test_friction_carries_the_thing_along(thing: str) -> None:
    env = TabletopEnv(PickMoving(objects=thing), cameras={})
    env.reset(seed=2)
    env.advance(1.0)
    name = env.goal.target
    first = env.state().bodies
    for _ in range(20):
        env.advance(0.5)
        now = env.state().bodies
        slipped = np.subtract(now[name].position, now[TRAY].position) - np.subtract(
            first[name].position, first[TRAY].position
        )
        assert np.abs(slipped).max() < 0.005
        assert np.linalg.norm(now[name].linear_velocity) == pytest.approx(0.06, abs=0.002)
        assert env.state().drift(name) == now[TRAY].linear_velocity
    env.close()


def test_it_moves_while_the_arm_waits_and_between_commands(environments: dict[str, TabletopEnv]) -> None:
    env = environments["pick_moving"]
    env.reset(seed=0)
    path = env.problem.scene.paths[TRAY]
    for _ in range(60):
        env.advance(0.030)
        assert env.state().bodies[TRAY].position[:2] == pytest.approx(path(env.time_s), abs=2e-3)
    assert "tray" not in env.outcome()["others_moved"]


def test_equal_seeds_move_alike_and_others_do_not(environments: dict[str, TabletopEnv]) -> None:
    env = environments["pick_moving"]
    assert play_expert(env, 3) == play_expert(env, 3) != play_expert(env, 4)


def test_the_path_does_not_depend_on_other_choices() -> None:
    for seed in range(5):
        many, none = (PickMoving(distractors=count).sample(Streams(seed)) for count in (3, 0))
        assert many.instruction == none.instruction
        assert many.scene.paths[TRAY](3.0) == none.scene.paths[TRAY](3.0)


def test_nothing_stands_in_the_way_and_all_of_it_is_in_reach() -> None:
    for seed in range(100):
        scene = PickMoving(distractors=3).sample(Streams(seed)).scene
        loop, carrier = scene.paths[TRAY], scene.find(TRAY)
        assert isinstance(loop, Loop)
        assert loop.points[:, 0].min() > 0.36
        assert loop.points[:, 0].max() < 0.66
        assert np.abs(loop.points[:, 1]).max() < 0.26
        for placed in scene.placed:
            if placed.body != TRAY and placed.inside is None:
                gap = loop.distance(placed.x, placed.y) - placed.item.kind.radius - carrier.item.kind.radius
                assert gap >= FINGER_ROOM


def test_a_loop_is_closed_and_its_speed_is_steady() -> None:
    loop = draw_loop(np.random.default_rng(5), (0.5, 0.1), (0.09, 0.09), 0.06)
    assert loop.points[0] == pytest.approx(loop.points[-1])
    places = np.array([loop(t) for t in np.arange(1.0, 30.0, 0.05)])
    steps = np.hypot(*np.diff(places, axis=0).T)
    assert steps == pytest.approx(np.full(len(steps), 0.06 * 0.05), rel=0.02)
    assert loop(0.0) == pytest.approx(tuple(loop.points[0]))
    assert np.hypot(*np.subtract(loop(0.1), loop(0.0))) < 0.06 * 0.1 / 2  # it starts from rest


def test_only_what_stands_on_something_driven_drifts(environments: dict[str, TabletopEnv]) -> None:
    env = environments["pick_moving"]
    env.reset(seed=1)
    env.advance(1.0)
    state = env.state()
    assert [name for name in state.bodies if state.drift(name) != STILL] == [TRAY, env.goal.target]
    play_expert(env, 1)
    assert env.state().drift(env.goal.target) == STILL


@pytest.mark.parametrize("control_hz", [5, 10])
def test_the_expert_leads_it(control_hz: int) -> None:
    env = TabletopEnv(PickMoving(speed_mps=0.10), cameras={}, control_hz=control_hz)
    for seed in range(8):
        assert play_expert(env, seed)["success_at_end"], seed
    env.close()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: PickMoving(speed_mps=0.0), "speed_mps 0.0: expected more than 0 and at most 0.15"),
        (lambda: PickMoving(speed_mps=1.0), "speed_mps 1.0"),
        (lambda: PickMoving(speed_mps=float("nan")), "speed_mps nan"),
        (lambda: PickMoving(distractors=4), "distractors 4: expected a whole number from 0 to 3"),
    ],
)
def test_bad_settings_are_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(InvalidSetting, match=said):
        make()
