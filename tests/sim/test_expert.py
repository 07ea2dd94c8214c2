"""The expert is a function of the state, keeps to the limits, and recovers from what others did."""

import numpy as np
import pytest

from sim.environment import TabletopEnv
from sim.experts.tabletop import decide
from sim.robots.panda import Panda
from sim.tasks import TASKS, Pick
from sim.world import rotation_matrix
from tests.sim.conftest import play_expert

GENTLE_N = 10.0  # [N] half of what stops the arm


def test_equal_states_give_equal_actions(environments: dict[str, TabletopEnv]) -> None:
    env = environments["place_in"]
    env.reset(seed=0)
    for _ in range(10):
        state = env.state()
        first, second = (decide(state, env.goal, env.limits) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        env.step(first)


@pytest.mark.parametrize("task", TASKS)
def test_actions_keep_to_the_limits(environments: dict[str, TabletopEnv], task: str) -> None:
    env = environments[task]
    env.reset(seed=3)
    for _ in range(30):
        action = decide(env.state(), env.goal, env.limits)
        assert env.action_space.contains(action)
        info = env.step(action)[4]
        assert info["limited"] == []


@pytest.mark.parametrize("task", ["place_in", "stack"])
def test_it_takes_over_after_random_actions(environments: dict[str, TabletopEnv], task: str) -> None:
    env = environments[task]
    rng = np.random.default_rng(1)
    successes = 0
    for seed in range(2000, 2006):
        env.reset(seed=seed)
        for _ in range(12):
            env.step(rng.uniform(env.limits.low, env.limits.high))
        ended = False
        while not ended:
            _, _, terminated, truncated, _ = env.step(decide(env.state(), env.goal, env.limits))
            ended = terminated or truncated
        successes += env.outcome()["success_at_end"]
    assert successes >= 5


def test_noise_on_every_action_is_corrected() -> None:
    """Without the reflex: such noise pushes things down on the table while the fingers close."""
    env = TabletopEnv("place_in", cameras={}, robot=Panda(collision_force_n=None))
    rng = np.random.default_rng(2)
    noise = np.array([0.008] * 3 + [0.05] * 3 + [0.0])
    successes = 0
    for seed in range(2010, 2016):
        env.reset(seed=seed)
        ended = False
        while not ended:
            action = decide(env.state(), env.goal, env.limits) + noise * rng.standard_normal(7)
            _, _, terminated, truncated, _ = env.step(action)
            ended = terminated or truncated
        successes += env.outcome()["success_at_end"]
    env.close()
    assert successes >= 5


def test_the_wrist_has_to_turn() -> None:
    """Things lie at any yaw, so grasping needs rotation: without it long things are missed."""
    env = TabletopEnv(Pick(objects=["blue_block", "carrot"]), cameras={})
    turned, straight = 0, 0
    for seed in range(8):
        for rotate in (True, False):
            env.reset(seed=seed)
            ended = False
            while not ended:
                action = decide(env.state(), env.goal, env.limits)
                if not rotate:
                    action[3:6] = 0.0
                _, _, terminated, truncated, _ = env.step(action)
                ended = terminated or truncated
            if rotate:
                turned += env.outcome()["success_at_end"]
            else:
                straight += env.outcome()["success_at_end"]
    env.close()
    assert turned == 8
    assert straight <= 5


@pytest.mark.parametrize("control_hz", [3, 10, 20])
def test_other_control_frequencies_work(control_hz: int) -> None:
    env = TabletopEnv("stack", cameras={}, control_hz=control_hz)
    successes = 0
    for seed in range(5):
        env.reset(seed=seed)
        ended = False
        while not ended:
            _, _, terminated, truncated, _ = env.step(decide(env.state(), env.goal, env.limits))
            ended = terminated or truncated
        successes += env.outcome()["success_at_end"]
    env.close()
    assert successes == 5


@pytest.mark.parametrize("control_hz", [5, 20])
def test_a_thing_wedged_between_wall_and_neighbour_is_let_go(control_hz: int) -> None:
    """Fingers that cannot open fully must still leave; found at 91 of 100 when they waited to be open."""
    env = TabletopEnv("put_correct", cameras={}, control_hz=control_hz)
    for seed in (8, 57, 84):
        assert play_expert(env, seed)["success_at_end"], seed
    env.close()


@pytest.mark.parametrize(
    ("task", "control_hz", "seeds"),
    [
        ("put_correct", 5, (8, 18, 28, 65, 70, 76)),  # a finger against bowl or company: up to 223 N
        ("put_correct", 20, (62,)),  # an open finger on the rim of the next bowl: 25 N
        ("place_in", 5, (74, 88)),  # the palm on a can beside the thing: 26 N
        ("move_near", 5, (45, 102)),  # the same: 21 N
        ("pick", 5, (90,)),  # fingers that closed while the hand was sinking: 15 N
    ],
)
def test_its_contacts_are_gentle(task: str, control_hz: int, seeds: tuple[int, ...]) -> None:
    """The seeds with the largest forces of hundreds, and what they were before it was made gentle."""
    env = TabletopEnv(task, cameras={}, control_hz=control_hz)
    for seed in seeds:
        env.reset(seed=seed)
        peak_n = 0.0
        while not (env.terminated or env.truncated):
            env.step(decide(env.state(), env.goal, env.limits))
            peak_n = max(peak_n, env.sensing().peak_force_n)
        assert env.outcome()["success_at_end"], seed
        assert peak_n < GENTLE_N, seed
    env.close()


def test_fingers_open_past_what_lies_beside_the_place(environments: dict[str, TabletopEnv]) -> None:
    env = environments["put_correct"]
    env.reset(seed=8)
    state = env.state()
    while not (state.gripper_target > 0.5 and env.goal.delivered(state)):
        env.step(decide(state, env.goal, env.limits))
        state = env.state()
    company = f"{env.goal.target} in yellow bowl"
    between = np.subtract(state.bodies[env.goal.target].position, state.bodies[company].position)
    closing = rotation_matrix(state.tool_quaternion)[:, 1]
    assert abs(between @ closing) / np.linalg.norm(between) < 0.3
