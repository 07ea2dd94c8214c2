"""Consecutive seeds may share a scene: what lies there is the same, what is asked for differs, and can be done."""

import pytest

from sim.environment import TabletopEnv
from sim.errors import InvalidSetting
from sim.seeding import Streams
from sim.tasks import TASKS, ManyProblems, PlaceIn
from tests.sim.conftest import play_expert

WITH_A_CHOICE = ("pick", "place_in", "place_on", "move_near", "stack")


@pytest.mark.parametrize("task", WITH_A_CHOICE)
def test_others_are_in_the_same_scene_and_each_is_another(task: str) -> None:
    made = TASKS[task]()
    assert isinstance(made, ManyProblems)
    choices = 0
    for seed in range(20):
        problem = made.sample(Streams(seed))
        others = made.others(problem)
        sentences = [problem.instruction, *(other.instruction for other in others)]
        assert len(set(sentences)) == len(sentences)
        assert all(other.scene is problem.scene for other in others)
        bodies = {placed.body for placed in problem.scene.placed}
        assert all(other.goal.target in bodies and other.goal.target in other.instruction for other in others)
        choices += len(others)
    assert choices >= 20


def test_every_pair_of_a_thing_and_a_bowl_can_be_asked_for() -> None:
    made = PlaceIn(distractors=2, bowls=3)
    assert len(made.others(made.sample(Streams(1)))) == 3 * 3 - 1


def test_only_things_that_the_task_may_choose_are_asked_for() -> None:
    made = PlaceIn(objects=["lemon", "banana"], distractors=5)
    for seed in range(10):
        for other in made.others(made.sample(Streams(seed))):
            assert other.goal.target in ("lemon", "banana")


@pytest.mark.parametrize("task", WITH_A_CHOICE)
def test_seeds_that_share_a_scene_differ_in_the_sentence_and_can_be_done(task: str) -> None:
    env = TabletopEnv(task, cameras={}, instructions_per_scene=3)
    try:
        for scene in (7, 8):
            sentences, states = [], []
            for seed in range(3 * scene, 3 * scene + 3):
                env.reset(seed=seed)
                sentences.append(env.problem.instruction)
                states.append(env.outcome()["state_hash"])
                assert play_expert(env, seed)["success_at_end"]
            assert len(set(states)) == 1
            possible = 1 + len(env.task.others(env.problem))  # type: ignore[attr-defined]
            assert len(set(sentences)) == min(3, possible)
    finally:
        env.close()


def test_the_first_of_a_scene_is_what_it_would_be_alone() -> None:
    shared = TabletopEnv("place_in", cameras={}, instructions_per_scene=4)
    alone = TabletopEnv("place_in", cameras={})
    shared.reset(seed=4 * 11)
    alone.reset(seed=11)
    assert shared.problem.instruction == alone.problem.instruction
    assert shared.outcome()["state_hash"] == alone.outcome()["state_hash"]
    shared.close()
    alone.close()


@pytest.mark.parametrize("count", [0, 101, 2.5])
def test_a_senseless_number_is_refused(count: float) -> None:
    with pytest.raises(
        InvalidSetting, match=r"instructions_per_scene .* expected a whole number from 1 to 100"
    ):
        TabletopEnv("pick", cameras={}, instructions_per_scene=count)  # type: ignore[arg-type]
