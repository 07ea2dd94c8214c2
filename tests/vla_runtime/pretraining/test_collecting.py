"""Who drives, what is kept, and that an episode is a function of its seed."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.vla_runtime.pretraining.conftest import SIZE, lesson
from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.errors import ConfigurationError
from vla_runtime.pretraining.collecting import Driving, collect
from vla_runtime.pretraining.shards import Frames, ShardWriter
from vla_runtime.types import ActionChunk, NormalizedAction, Observation, Proposal

BOUND = 0.05


class Space:
    low, high = np.full(7, -BOUND), np.full(7, BOUND)


@dataclass
class Line:
    """A world in which steps are counted; it ends after nine."""

    terminated: bool = False
    truncated: bool = False
    stopped: bool = False
    period_s: float = 0.2
    drawn: int = 0
    actions: list[np.ndarray] = field(default_factory=list)
    action_space: Any = field(default_factory=Space)

    def reset(self, *, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
        self.actions, self.terminated = [], False
        return {}, {}

    def command(self, action: np.ndarray) -> None:
        self.actions.append(action)

    def advance(self, duration_s: float) -> None:
        self.terminated = len(self.actions) == 9

    def observe(self) -> dict[str, Any]:
        self.drawn += 1
        return {"images": {"front": np.full((40, 40, 3), len(self.actions), np.uint8)}}


class Schoolbook:
    def __init__(self, world: Line) -> None:
        self._world = world

    def now(self) -> Any:
        return lesson(len(self._world.actions))


class Stubborn:
    """A policy that always does the same, and remembers what it was asked."""

    unnormalizer = ActionStatistics((-BOUND,) * 7, (BOUND,) * 7, (True,) * 7)

    def __init__(self) -> None:
        self.asked: list[str] = []

    def reset(self, seed: int) -> None:
        self.asked = []

    def act(self, observation: Observation) -> ActionChunk:
        self.asked.append(observation.instruction)
        return ActionChunk((Proposal(NormalizedAction((0.5,) * 7)),))


def test_every_frame_is_kept_with_its_answers(tmp_path: Path) -> None:
    world, writer = Line(), ShardWriter(SIZE.image)
    assert collect(
        world,
        Schoolbook,
        writer,
        3,
        Driving(push_share=0.0, shake_m=0.0, shake_rad=0.0, neglect=0.0, switch=0.0, kept=1.0),
    )
    writer.write(tmp_path / "shard.npz")
    frames = Frames.load([tmp_path / "shard.npz"])
    assert len(frames) == 9
    assert frames.columns["images"][4].max() == 4
    assert np.allclose(world.actions[4], np.clip(lesson(4).answers[0].action, -BOUND, BOUND))


def test_what_is_not_kept_is_not_drawn() -> None:
    world, writer = Line(), ShardWriter(SIZE.image)
    for seed in range(20):
        collect(world, Schoolbook, writer, seed, Driving(kept=0.3))
    assert world.drawn == len(writer)
    assert 35 <= len(writer) <= 75  # of 180


def test_pushes_move_the_arm_and_not_the_labels() -> None:
    runs = []
    for seed in (1, 1, 2):
        world = Line()
        collect(world, Schoolbook, ShardWriter(SIZE.image), seed, Driving(push_share=0.9, switch=0.0))
        runs.append(np.array(world.actions))
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])
    assert (runs[0][:, 3:5] == 0.0).all()  # never rolled or pitched


def test_a_policy_drives_in_turns() -> None:
    world, policy = Line(), Stubborn()
    collect(world, Schoolbook, ShardWriter(SIZE.image), 0, Driving(expert_share=0.0, switch=0.0), policy)  # type: ignore[arg-type]
    assert len(policy.asked) == 9
    assert np.allclose(world.actions, 0.5 * BOUND)
    collect(world, Schoolbook, ShardWriter(SIZE.image), 0, Driving(expert_share=1.0), policy)  # type: ignore[arg-type]
    assert policy.asked == []


def test_now_and_then_the_hand_is_not_turned() -> None:
    world = Line()
    still: dict[str, Any] = {"push_share": 0.0, "shake_m": 0.0, "shake_rad": 0.0, "switch": 0.0}
    collect(world, Schoolbook, ShardWriter(SIZE.image), 0, Driving(**still, neglect=1.0))
    assert all(action[5] == 0.0 for action in world.actions)
    assert np.allclose(world.actions[4][:3], np.clip(lesson(4).answers[0].action, -BOUND, BOUND)[:3])
    collect(world, Schoolbook, ShardWriter(SIZE.image), 0, Driving(**still, neglect=0.0))
    assert all(action[5] == BOUND for action in world.actions)


def test_a_robot_that_stopped_itself_has_nothing_more_to_teach() -> None:
    world, writer = Line(stopped=True), ShardWriter(SIZE.image)
    assert not collect(world, Schoolbook, writer, 0, Driving(kept=1.0))
    assert len(writer) == 1


def test_what_is_asked_for_changes() -> None:
    world, policy = Line(), Stubborn()
    collect(world, Schoolbook, ShardWriter(SIZE.image), 1, Driving(expert_share=0.0, switch=1.0), policy)  # type: ignore[arg-type]
    assert len(set(policy.asked)) == 2


@pytest.mark.parametrize("setting", [{"expert_share": 1.5}, {"kept": 0.0}, {"push_share": 1.0}])
def test_shares_are_shares(setting: dict[str, Any]) -> None:
    ((name, value),) = setting.items()
    with pytest.raises(ConfigurationError, match=rf"driving\.{name}={value}: expected from"):
        Driving(**setting)
