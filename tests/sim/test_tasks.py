"""Tasks: what is sampled can be done, what is said is true, and doing nothing does not help."""

from collections.abc import Callable

import numpy as np
import pytest

from sim.environment import TabletopEnv
from sim.errors import InvalidSetting, SceneFull, UnknownName
from sim.objects import find_item, find_receptacle, items, receptacles
from sim.scene import FINGER_ROOM, arrange
from sim.seeding import Streams
from sim.tasks import TASKS, MoveNear, Pick, PlaceIn, PlaceOn, PutCorrect, Stack
from sim.tasks.goals import Inside
from tests.sim.conftest import play_expert, still

SEEDS = range(1000, 1008)


@pytest.mark.parametrize("task", TASKS)
def test_the_expert_succeeds(environments: dict[str, TabletopEnv], task: str) -> None:
    outcomes = {seed: play_expert(environments[task], seed) for seed in SEEDS}
    assert [seed for seed, outcome in outcomes.items() if not outcome["success_at_end"]] == []
    assert {outcome["stage"] for outcome in outcomes.values()} == {"placed"}


@pytest.mark.parametrize("task", TASKS)
def test_doing_nothing_and_random_actions_fail(environments: dict[str, TabletopEnv], task: str) -> None:
    env = environments[task]
    rng = np.random.default_rng(0)
    for random in (False, True):
        env.reset(seed=1000)
        for _ in range(40):
            env.step(rng.uniform(env.limits.low, env.limits.high) if random else still())
        assert not env.outcome()["success_once"]


@pytest.mark.parametrize("task", TASKS)
def test_sampled_things_lie_apart_and_have_unique_names(task: str) -> None:
    for seed in range(30):
        scene = TASKS[task]().sample(Streams(seed)).scene
        assert len({placed.body for placed in scene.placed}) == len(scene.placed)
        on_table = [placed for placed in scene.placed if placed.inside is None]
        for index, a in enumerate(on_table):
            for b in on_table[:index]:
                gap = np.hypot(a.x - b.x, a.y - b.y) - a.item.kind.radius - b.item.kind.radius
                assert gap >= FINGER_ROOM - 1e-9


@pytest.mark.parametrize("task", TASKS)
def test_sampling_meets_many_things_and_yaws(task: str) -> None:
    problems = [TASKS[task]().sample(Streams(seed)) for seed in range(60)]
    assert len({problem.instruction for problem in problems}) > 15 if task != "put_correct" else 8
    yaws = [problem.scene.find(problem.goal.target).yaw for problem in problems]
    assert np.histogram(yaws, bins=4, range=(-np.pi, np.pi))[0].min() > 5


def test_turning_distractors_off_moves_no_other_choice() -> None:
    for seed in range(10):
        many, none = (PlaceIn(distractors=count).sample(Streams(seed)) for count in (3, 0))
        assert many.instruction == none.instruction


def test_instructions_name_one_thing_only() -> None:
    for seed in range(40):
        problem = PlaceIn().sample(Streams(seed))
        named = [
            placed
            for placed in problem.scene.placed
            if f"the {placed.item.name} " in problem.instruction + " "
        ]
        assert len(named) == 2


def test_the_colour_rule_points_at_the_bowl_of_the_same_colour() -> None:
    for seed in range(30):
        problem = PutCorrect(rules="colour", bowls=3).sample(Streams(seed))
        thing = problem.scene.find(problem.goal.target).item
        bowls = [placed.item for placed in problem.scene.placed if placed.item.kind.name == "bowl"]
        assert isinstance(problem.goal, Inside)
        assert [bowl.name for bowl in bowls if bowl.colour == thing.likeness] == [problem.goal.receptacle]
        assert problem.chance_level == pytest.approx(1 / 3)


def test_the_company_rule_points_at_the_bowl_with_its_like() -> None:
    for seed in range(30):
        problem = PutCorrect(rules=["company"]).sample(Streams(seed))
        thing = problem.scene.find(problem.goal.target).item
        company = {placed.inside: placed.item.kind.name for placed in problem.scene.placed if placed.inside}
        assert isinstance(problem.goal, Inside)
        assert [bowl for bowl, kind in company.items() if kind == thing.kind.name] == [
            problem.goal.receptacle
        ]
        assert len(company) == 2
        bowls = [placed.item for placed in problem.scene.placed if placed.item.kind.name == "bowl"]
        assert thing.likeness not in {bowl.colour for bowl in bowls}


def test_a_named_object_and_receptacle_are_used() -> None:
    for seed in range(5):
        problem = PlaceIn(objects=["red_cube", "lemon"], receptacles="green bowl").sample(Streams(seed))
        assert problem.instruction in (
            "put the red cube in the green bowl",
            "put the lemon in the green bowl",
        )


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: Pick(objects="pineapple"), UnknownName, "unknown object 'pineapple'; known: banana"),
        (lambda: Pick(objects="strawbery"), UnknownName, "did you mean 'strawberry'"),
        (lambda: PlaceIn(receptacles="red_plate"), UnknownName, "unknown receptacle 'red_plate'"),
        (lambda: PlaceOn(receptacles=["moon"]), UnknownName, "unknown receptacle 'moon'"),
        (lambda: Stack(objects="lemon"), InvalidSetting, "'lemon' does not suit this task"),
        (lambda: PutCorrect(rules="taste"), UnknownName, "unknown rule 'taste'; known: colour, company"),
        (lambda: Pick(distractors=6), InvalidSetting, "distractors 6: expected a whole number from 0 to 5"),
        (lambda: Pick(distractors=True), InvalidSetting, "distractors True"),
        (lambda: PlaceIn(bowls=0), InvalidSetting, "bowls 0"),
        (lambda: MoveNear(distractors=0), InvalidSetting, "distractors 0"),
        (lambda: Pick(objects=[]), InvalidSetting, "expected at least one name"),
        (lambda: find_item("red bowl"), UnknownName, "unknown object 'red bowl'"),
        (lambda: find_receptacle("cube"), UnknownName, "unknown receptacle 'cube'"),
    ],
)
def test_bad_settings_are_refused(make: Callable[[], object], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        make()


def test_too_much_for_the_table_is_refused() -> None:
    with pytest.raises(SceneFull, match="ask for fewer"):
        arrange(list(receptacles().values())[:14], np.random.default_rng(0))


def test_the_largest_settings_find_room() -> None:
    for seed in range(20):
        PlaceIn(distractors=5, bowls=3).sample(Streams(seed))
        PlaceOn(distractors=5, surfaces=3).sample(Streams(seed))
        PutCorrect(distractors=5, bowls=3).sample(Streams(seed))
        MoveNear(distractors=5).sample(Streams(seed))


def test_every_item_fits_the_gripper() -> None:
    for item in items().values():
        assert item.kind.grasp is not None
        assert item.kind.grasp.width <= 0.06
