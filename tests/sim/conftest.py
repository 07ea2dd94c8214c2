"""Simulator fixtures. A missing PyBullet is an error here, not a reason to skip: it would hide a broken install."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from sim.cameras import Camera
from sim.environment import TabletopEnv
from sim.experts.tabletop import decide
from sim.tasks import TASKS

SMALL_CAMERA = {"front": Camera(width=48, height=48)}


@pytest.fixture(scope="module")
def environments() -> Iterator[dict[str, TabletopEnv]]:
    """One environment per task, without cameras."""
    made = {name: TabletopEnv(name, cameras={}) for name in TASKS}
    yield made
    for env in made.values():
        env.close()


@pytest.fixture
def env() -> Iterator[TabletopEnv]:
    """place_in with a small front camera."""
    made = TabletopEnv("place_in", cameras=SMALL_CAMERA)
    yield made
    made.close()


def play_expert(env: TabletopEnv, seed: int) -> dict[str, Any]:
    """The outcome of an expert episode."""
    env.reset(seed=seed)
    ended = False
    while not ended:
        _, _, terminated, truncated, _ = env.step(decide(env.state(), env.goal, env.limits))
        ended = terminated or truncated
    return env.outcome()


def repeat(env: TabletopEnv, action: np.ndarray, times: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The observation and the info after the same action several times."""
    observation, info = {}, {}
    for _ in range(times):
        observation, _, _, _, info = env.step(action)
    return observation, info


def still(gripper: float = 1.0) -> np.ndarray:
    """No motion."""
    return np.array([0.0] * 6 + [gripper])
