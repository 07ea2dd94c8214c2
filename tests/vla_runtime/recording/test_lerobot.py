"""Episodes as a data set: what is in it, and what is not when something breaks off."""

import math
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import SPEC, STILL, FakeClock, FakeEngine, FakeEnvironment
from vla_runtime.datasets import open_dataset
from vla_runtime.datasets.verify import verify
from vla_runtime.errors import ConfigurationError
from vla_runtime.guards.chain import GuardChain
from vla_runtime.guards.supervisor import Supervisor
from vla_runtime.loop import run_episode
from vla_runtime.recording.lerobot import LeRobotRecorder
from vla_runtime.types import Action, Candidate, NormalizedAction, Observation, Proposal

DESCRIPTION = {"policy": "fake", "task": "nothing", "chosen": {"robot": "panda"}}


class World(FakeEnvironment):
    """Pictures large enough for every codec."""

    def observe(self, now_s: float) -> Observation:
        seen = super().observe(now_s)
        picture = np.full((32, 48, 3), 20 * len(self.acted), np.uint8)
        return Observation(
            {"front": picture, "wrist": 255 - picture}, seen.proprioception, "do it", now_s, seen.step
        )


def propose(seen: Observation) -> Proposal:
    x = (0.01, 9.0, math.nan)[seen.step] if seen.step < 3 else 0.0
    return Proposal(NormalizedAction((x, *STILL[1:])))


def record(
    out: Path, engine: FakeEngine | None = None, world: World | None = None, **settings: object
) -> None:
    recorder = LeRobotRecorder(out / ".episode.partial", SPEC, DESCRIPTION, out, **settings)  # type: ignore[arg-type]
    guards = Supervisor(GuardChain({}, SPEC))
    run_episode(world or World(), engine or FakeEngine(propose), guards, recorder, FakeClock(), seed=7)


def test_an_episode_has_what_was_seen_done_and_proposed(tmp_path: Path) -> None:
    record(tmp_path)
    dataset = open_dataset(tmp_path / "lerobot")
    assert verify(tmp_path / "lerobot", deep=True).wrong == ()
    assert (dataset.cameras, dataset.tasks, dataset.index.robot_type) == (
        ("front", "wrist"),
        ("do it",),
        "panda",
    )
    frames = list(dataset.stream(["front", "wrist"]))
    assert [round(frame.images["front"].mean() / 20) for frame in frames] == [0, 1, 2, 3, 4]
    assert [round((255 - frame.images["wrist"].mean()) / 20) for frame in frames] == [0, 1, 2, 3, 4]
    assert frames[0].state is not None
    np.testing.assert_allclose(frames[0].state, (0,) * 7 + (0.4, 0, 0.3, 1, 0, 0, 0) + (1,), rtol=1e-6)
    assert dataset.column("verdict", 0, 5)[:, 0].tolist() == [0, 1, 2, 0, 0]
    assert dataset.column("next.done", 0, 5)[:, 0].tolist() == [False] * 4 + [True]
    proposed, executed = (dataset.column(f"{name}_action", 0, 5)[:, 0] for name in ("proposed", "executed"))
    np.testing.assert_allclose(
        proposed, [0.01, 9.0, 0.0, 0.0, 0.0], rtol=1e-6
    )  # the third was nan: what was executed
    np.testing.assert_allclose(executed, [0.01, 0.05, 0.0, 0.0, 0.0], rtol=1e-6)
    np.testing.assert_array_equal(dataset.actions(0, 5)[:, 0], executed)
    (note,) = dataset.notes()
    assert {
        "seed": 7,
        "success": True,
        "policy": "fake",
        "task": "nothing",
        "ended_by": "environment",
    }.items() <= note.items()


def test_a_teachers_label_is_what_a_policy_should_learn(tmp_path: Path) -> None:
    class Taught(FakeEngine):
        def propose(self, observation: Observation) -> Candidate:
            candidate = super().propose(observation)
            label = Action((-0.02, *STILL[1:])) if observation.step != 1 else None
            return Candidate(candidate.action, candidate.proposal, candidate.planned_from_s, label=label)

    record(tmp_path, Taught(propose))
    dataset = open_dataset(tmp_path / "lerobot")
    np.testing.assert_allclose(dataset.actions(0, 5)[:, 0], [-0.02, 0.05, -0.02, -0.02, -0.02], rtol=1e-6)
    np.testing.assert_allclose(dataset.column("executed_action", 0, 5)[:2, 0], [0.01, 0.05], rtol=1e-6)


def test_a_stop_is_a_row_without_motion(tmp_path: Path) -> None:
    class GivesUp(FakeEngine):
        def propose(self, observation: Observation) -> Candidate:
            if observation.step < 2:
                return super().propose(observation)
            return Candidate(None, reason="too late", give_up=True)

    record(tmp_path, GivesUp(lambda seen: Proposal(NormalizedAction((0.01,) * 6 + (0.25,)))))
    dataset = open_dataset(tmp_path / "lerobot")
    assert dataset.column("verdict", 0, 3)[:, 0].tolist() == [0, 0, 3]
    np.testing.assert_allclose(dataset.actions(0, 3)[2], (0.0,) * 6 + (0.25,))
    assert dataset.notes()[0]["ended_by"] == "no_action_in_time"


@pytest.mark.parametrize("where", ["act", "observe", "reset"])
def test_an_episode_that_breaks_off_leaves_nothing(where: str, tmp_path: Path) -> None:
    world = World()

    def breaks_later(seen: Observation) -> Proposal:
        world.fails_in = where if seen.step == 3 else None
        return propose(seen)

    world.fails_in = "reset" if where == "reset" else None
    with pytest.raises(RuntimeError):
        record(tmp_path, FakeEngine(breaks_later), world)
    assert list(tmp_path.iterdir()) == []


def test_runs_share_a_data_set_and_failures_can_be_left_out(tmp_path: Path) -> None:
    class Fails(World):
        def outcome(self) -> dict[str, object]:
            return {"success_at_end": False}

    record(tmp_path / "one", root=str(tmp_path / "set"))
    record(tmp_path / "two", world=Fails(), root=str(tmp_path / "set"))
    record(tmp_path / "two", world=Fails(), root=str(tmp_path / "set"), only_success=True)
    dataset = open_dataset(tmp_path / "set")
    assert [note["success"] for note in dataset.notes()] == [True, False]
    assert not (tmp_path / "set/.staging").exists()


def test_an_encoder_that_there_is_not_is_refused_before_anything_moves(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="codec mp3: codes audio; expected a video encoder"):
        record(tmp_path, codec="mp3")
    assert list(tmp_path.iterdir()) == []
