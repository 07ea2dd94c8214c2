"""What the robot's controller says about itself, and the collision reflex that rests on it."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from sim.environment import PROTECTIVE_STOP, TabletopEnv
from sim.errors import InvalidSetting, SimulatorError
from sim.robots.panda import Panda
from sim.robots.reflex import NO_FORCE, WINDOW, Reflex
from sim.tasks import TASKS, Pick, PlaceIn, Task
from sim.world import GRAVITY
from tests.sim.conftest import play_expert, repeat, still

LIMIT_N = 20.0  # [N]
RIM_RADIUS = 0.075  # [m] of a bowl
SAFE_HEIGHT = 0.16  # [m] over everything

Make = Callable[..., TabletopEnv]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[TabletopEnv] = []

    def one(task: Task, limit_n: float | None = LIMIT_N) -> TabletopEnv:
        made.append(TabletopEnv(task, cameras={}, robot=Panda(collision_force_n=limit_n)))
        made[-1].reset(seed=0)
        return made[-1]

    yield one
    for env in made:
        env.close()


def go_over(env: TabletopEnv, x: float, y: float) -> None:
    """Bring the closed gripper over a place [m]."""
    for _ in range(25):
        here = env.state().target_position
        step = np.subtract((x, y, SAFE_HEIGHT), here).clip(-env.limits.step_m, env.limits.step_m)
        env.step(np.array([*step, 0.0, 0.0, 0.0, 0.0]))


def press_down(env: TabletopEnv, name: str, beside_m: float = 0.0) -> list[float]:
    """Drive straight down at full speed on a thing. Returns the average force after each motor interval [N]."""
    x, y, _ = env.state().bodies[name].position
    go_over(env, x - beside_m, y)
    forces = []
    for _ in range(8):
        env.command(np.array([0.0, 0.0, -env.limits.step_m, 0.0, 0.0, 0.0, 0.0]))
        for _ in range(12):
            env.advance(1 / 60)
            forces.append(float(np.linalg.norm(env.sensing().external_force)))
    return forces


def test_free_in_the_air_nothing_pushes(environments: dict[str, TabletopEnv]) -> None:
    env = environments["pick"]
    env.reset(seed=0)
    repeat(env, still(), 2)
    sensing = env.sensing()
    assert sensing.external_force == NO_FORCE
    assert sensing.peak_force_n == 0.0
    assert sensing.protective_stop is None
    assert np.abs(sensing.joint_velocities).max() < 0.01
    assert len(sensing.joint_torques) == len(sensing.joint_velocities) == 7
    # The shoulder carries the arm against gravity; nothing loads the vertical axis.
    assert abs(sensing.joint_torques[1]) > 10.0 > abs(sensing.joint_torques[0])


def test_the_weight_of_a_held_thing_is_felt_and_the_grip_is_not(environments: dict[str, TabletopEnv]) -> None:
    env = environments["pick"]
    play_expert(env, 0)
    thing = env.state().bodies[env.goal.target].item
    repeat(env, still(0.0), 2)
    expected = (0.0, 0.0, thing.kind.mass * GRAVITY)
    assert env.sensing().external_force == pytest.approx(expected, abs=0.05)


def test_commanded_pose_and_joints_lead_the_measured_ones(environments: dict[str, TabletopEnv]) -> None:
    env = environments["pick"]
    env.reset(seed=0)
    start, joints = env.sensing().commanded_pose, env.sensing().commanded_joints
    env.command(np.array([0.03, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]))
    assert np.subtract(env.sensing().commanded_pose, start) == pytest.approx([0.03] + [0.0] * 6, abs=1e-6)
    assert env.sensing().commanded_joints == joints
    env.advance(env.period_s)
    assert env.sensing().commanded_joints != joints
    assert np.abs(env.sensing().joint_velocities).max() > 0.01


def test_clearance_shrinks_when_the_hand_sinks(environments: dict[str, TabletopEnv]) -> None:
    env = environments["pick"]
    env.reset(seed=0)
    above = env.sensing().clearance_m
    repeat(env, np.array([0.0, 0.0, -0.05, 0.0, 0.0, 0.0, 1.0]), 10)
    sensing, height = env.sensing(), env.state().tool_position[2]
    # High up the elbow is nearest to the shoulder; low down the hand to the table, 39 mm above the tool point.
    assert 0.10 < above < 0.20
    assert sensing.clearance_m - height == pytest.approx(0.039, abs=0.006)


@pytest.mark.parametrize(
    ("task", "thing", "beside_m", "reaction_n"),
    [
        (Pick(objects="red cube", distractors=0), "red cube", 0.0, 60.0),
        (PlaceIn(objects="lemon", receptacles="blue bowl", distractors=0, bowls=1), "blue bowl", RIM_RADIUS, 80.0),
    ],
)  # fmt: skip
def test_pressing_on_something_is_a_protective_stop(
    make: Make, task: Task, thing: str, beside_m: float, reaction_n: float
) -> None:
    env = make(task)
    forces = press_down(env, thing, beside_m)
    sensing = env.sensing()
    assert sensing.protective_stop is not None
    assert "N, where 20 N are allowed" in sensing.protective_stop
    assert LIMIT_N < max(forces) < reaction_n
    assert forces[-1] < 1.0  # it has backed off and does not press on
    stopped_at = env.state().tool_position
    _, info = repeat(env, np.array([0.0, 0.0, 0.05, 0.0, 0.0, 0.0, 1.0]), 5)
    assert info["limited"] == [PROTECTIVE_STOP]
    assert env.state().tool_position == pytest.approx(stopped_at, abs=1e-3)
    assert env.state().gripper_opening < 0.1
    assert PROTECTIVE_STOP not in env.reset(seed=0)[1]["limited"]
    assert env.sensing().protective_stop is None


def test_without_a_limit_it_presses_on(make: Make) -> None:
    env = make(Pick(objects="red cube", distractors=0), limit_n=None)
    forces = press_down(env, "red cube")
    assert max(forces) > 100.0
    assert env.sensing().protective_stop is None


def test_the_peak_counts_from_the_last_command(make: Make) -> None:
    env = make(Pick(objects="red cube", distractors=0), limit_n=None)
    press_down(env, "red cube")
    repeat(env, np.array([0.0, 0.0, 0.05, 0.0, 0.0, 0.0, 0.0]), 4)
    env.command(still(0.0))
    env.advance(0.1)
    assert env.sensing().peak_force_n == 0.0


@pytest.mark.parametrize("task", TASKS)
def test_the_reflex_is_on_never_stops_the_expert_and_changes_nothing(
    environments: dict[str, TabletopEnv], task: str
) -> None:
    watched = environments[task]
    unwatched = TabletopEnv(task, cameras={}, robot=Panda(collision_force_n=None))
    assert watched.simulation.robot.reflex.limit_n == LIMIT_N
    for seed in range(3):
        assert play_expert(watched, seed) == play_expert(unwatched, seed)
        assert watched.sensing().protective_stop is None
    unwatched.close()


def test_the_reflex_averages_and_takes_one_reason_only() -> None:
    reflex = Reflex(10.0)
    assert [reflex.feel((0.0, 0.0, 30.0)) for _ in range(6)] == [False] * 4 + [True, False]
    assert reflex.reason == f"an external force of {5 * 30 / WINDOW:.0f} N, where 10 N are allowed"
    for _ in range(WINDOW + 1):
        reflex.feel(NO_FORCE)
    assert reflex.force == NO_FORCE
    assert reflex.peak_n == pytest.approx(6 * 30 / WINDOW)


@pytest.mark.parametrize("limit_n", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_limits_are_refused(limit_n: float) -> None:
    with pytest.raises(InvalidSetting, match=r"expected more than 0 \[N\]"):
        Panda(collision_force_n=limit_n)


def test_sensing_before_reset_is_refused() -> None:
    env = TabletopEnv("pick", cameras={})
    with pytest.raises(SimulatorError, match="call reset first"):
        env.sensing()
    env.close()
