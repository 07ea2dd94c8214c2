"""The expert is a function of the state, keeps to the limits, and recovers from what others did."""

import numpy as np
import pytest

from sim.environment import TabletopEnv
from sim.experts.tabletop import decide
from sim.tasks import TASKS, Pick
from tests.sim.conftest import play_expert


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


def test_noise_on_every_action_is_corrected(environments: dict[str, TabletopEnv]) -> None:
    env = environments["place_in"]
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
