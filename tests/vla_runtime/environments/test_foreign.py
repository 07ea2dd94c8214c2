"""An environment of other people's: panda-gym through the same loop, and what is refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vla_runtime.commands import benchmark
from vla_runtime.environments.foreign import ForeignEnv, Hand
from vla_runtime.environments.gym_environment import GymEnvironment
from vla_runtime.errors import ConfigurationError, EnvironmentNotReady

HAND = Hand(action=3, state=6, widest_m=0.08, step_m=0.2)
GIVEN: dict[str, Any] = {
    "id": "panda_gym:PandaPickAndPlace-v3",
    "instruction": "move the cube",
    "position": [0, 1, 2],
    "step_m": 0.05,
    "hand": HAND,
    "base_m": (-0.6, 0.0, 0.0),
    "settings": {"renderer": "Tiny", "render_width": 32, "render_height": 32},
}


@pytest.fixture
def env() -> Iterator[ForeignEnv]:
    env = ForeignEnv(**GIVEN, fresh=True)
    yield env
    env.close()


def action(x: float = 0.0, y: float = 0.0, z: float = 0.0, opening: float = 1.0) -> np.ndarray:
    return np.array([x, y, z, 0.0, 0.0, 0.0, opening])


def pose(seen: dict[str, Any]) -> np.ndarray:
    return seen["proprioception"]["end_effector_pose"][:3]


def test_the_tool_goes_where_it_is_told_in_metres(env: ForeignEnv) -> None:
    before = pose(env.reset(seed=0)[0])
    after = before
    for _ in range(4):
        after = pose(env.step(action(y=0.025, z=0.01))[0])
    assert after - before == pytest.approx([0.0, 0.1, 0.04], abs=0.03)
    assert before[0] == pytest.approx(0.6 + 0.04, abs=0.05)  # from the robot's base


def test_the_gripper_opens_and_closes(env: ForeignEnv) -> None:
    env.reset(seed=0)
    for wanted in (1.0, 0.0, 0.5):
        for _ in range(6):
            env.step(action(opening=wanted))
        assert env.gripper_target == pytest.approx(wanted, abs=0.1)


def test_equal_seeds_are_equal_episodes(env: ForeignEnv) -> None:
    def played(seed: int) -> dict[str, Any]:
        env.reset(seed=seed)
        for _ in range(3):
            env.step(action(x=0.02))
        return env.outcome()

    first, other, again = played(5), played(6), played(5)
    assert first == again
    assert first["state_hash"] != other["state_hash"]
    assert first["success_at_end"] is False


def test_the_loop_takes_it(env: ForeignEnv) -> None:
    environment = GymEnvironment(env, control_hz=25)
    environment.reset(0)
    seen = environment.observe(0.0)
    assert seen.images["front"].shape == (32, 32, 3)
    assert seen.instruction == "move the cube"
    assert environment.step_limit == 50


def test_the_benchmark_runs_there(tmp_path: Path) -> None:
    small = [f"environment.env.settings.render_{side}=16" for side in ("width", "height")]
    settings = ["suite=panda_gym", "environment=panda_gym", "policy=random", "episodes=2", *small]
    for workers in (1, 2):
        assert benchmark.main([*settings, f"workers={workers}", f"out={tmp_path / str(workers)}"]) == 0
    one, two = ((tmp_path / name / "results.jsonl").read_text() for name in ("1", "2"))
    assert one == two
    results = [json.loads(line) for line in one.splitlines()[1:]]
    assert [result["steps"] for result in results] == [50, 50]
    assert not any(result["success_at_end"] for result in results)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"id": "panda_gym:PandaJuggle-v3"}, "environment 'panda_gym:PandaJuggle-v3': "),
        ({"id": "no_such_package:Thing-v0"}, "no_such_package"),
        ({"id": "CartPole-v1", "settings": {}}, "expected a Box of at least 4 numbers"),
        ({"hand": Hand(9, 6, widest_m=0.08, step_m=0.2)}, "expected a Box of at least 10 numbers"),
    ],
)
def test_what_does_not_fit_is_refused(told: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ForeignEnv(**{**GIVEN, **told})


def test_an_environment_without_pictures_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    env = ForeignEnv(**GIVEN)
    monkeypatch.setattr(env._env, "render", lambda: None)
    with pytest.raises(EnvironmentNotReady, match="render gave no picture"):
        env.reset(seed=0)
    env.close()
