"""The expert that answers for lessons: it does the tasks as well, and its actions can be read off a picture."""

from dataclasses import replace

import numpy as np
import pytest

from sim.environment import TabletopEnv
from sim.experts.manners import BRISK, GRADED, Manner
from sim.experts.tabletop import decide


def played(env: TabletopEnv, seed: int, manner: Manner, noise_m: float = 0.0) -> np.ndarray:
    """The actions of an episode, shape (steps, 7)."""
    rng = np.random.default_rng(seed)
    env.reset(seed=seed)
    actions = []
    ended = False
    while not ended:
        actions.append(decide(env.state(), env.goal, env.limits, manner))
        noise = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 5.0, 0.0]) * noise_m * rng.standard_normal(7)
        _, _, terminated, truncated, _ = env.step(actions[-1] + noise)
        ended = terminated or truncated
    return np.array(actions)


@pytest.mark.parametrize("task", ["place_in", "pick", "place_on", "move_near", "stack"])
def test_the_graded_expert_does_every_task_that_is_taught(
    environments: dict[str, TabletopEnv], task: str
) -> None:
    env = environments[task]
    successes = 0
    for seed in range(2100, 2108):
        played(env, seed, GRADED)
        successes += env.outcome()["success_at_end"]
    assert successes >= 7


def test_the_graded_expert_has_no_favourite_values(environments: dict[str, TabletopEnv]) -> None:
    """Shares of "no motion" and "as far as allowed", which a network that takes the most probable bin falls for."""
    env = environments["place_in"]
    peaks = {}
    for manner in (BRISK, GRADED):
        actions = np.concatenate([played(env, seed, manner, noise_m=0.006) for seed in range(2100, 2108)])
        size = np.abs(actions[:, :3]) / env.limits.step_m
        peaks[manner] = ((size < 0.004) | (size > 0.996)).mean()
    assert peaks[BRISK] > 0.4
    assert peaks[GRADED] < 0.15


def test_graded_actions_depend_on_what_can_be_seen(environments: dict[str, TabletopEnv]) -> None:
    env = environments["place_in"]
    env.reset(seed=3)
    env.step(decide(env.state(), env.goal, env.limits))
    state = env.state()
    elsewhere = tuple(value + 0.02 for value in state.target_position)
    told = replace(state, target_position=(elsewhere[0], elsewhere[1], elsewhere[2]))
    assert np.array_equal(
        decide(state, env.goal, env.limits, GRADED), decide(told, env.goal, env.limits, GRADED)
    )
    assert not np.array_equal(decide(state, env.goal, env.limits), decide(told, env.goal, env.limits))


def test_just_above_a_thing_the_graded_answer_is_to_close_and_rise(
    environments: dict[str, TabletopEnv],
) -> None:
    """Two small fingers do not tell what is held from what is not: so what looks alike has the same answer."""
    env = environments["place_in"]
    near, right = 0, 0
    for seed in range(2100, 2112):
        env.reset(seed=seed)
        lay = env.state().bodies[env.goal.target].position
        ended = False
        while not ended:
            state = env.state()
            action = decide(state, env.goal, env.limits, GRADED)
            x, y, z = np.subtract(state.tool_position, lay)
            if np.hypot(x, y) < 0.02 and z < 0.036:
                near += 1
                right += action[6] == 0.0 and action[2] > 0.0
            _, _, terminated, truncated, _ = env.step(action)
            ended = terminated or truncated
    assert near >= 24  # to close, and to rise, in each episode
    assert right >= 0.9 * near
