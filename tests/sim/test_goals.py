"""Goals, judged on states made by hand."""

from dataclasses import replace

import pytest

from sim.judge import Judge
from sim.objects import find_item, find_receptacle
from sim.state import BodyState, SimulatorState
from sim.tasks.goals import Inside, Lifted, Near, On, Stacked
from sim.tasks.problem import Stage
from sim.world import UPRIGHT, Vector

FAR_ABOVE: Vector = (0.5, 0.0, 0.4)


def body(name: str, position: Vector, speed: Vector = (0.0, 0.0, 0.0)) -> BodyState:
    item = find_receptacle(name) if name.split()[-1] in ("bowl", "plate", "tile") else find_item(name)
    return BodyState(item, position, UPRIGHT, speed, (0.0, 0.0, 0.0))


def state(
    tool: Vector = FAR_ABOVE, opening: float = 1.0, gripped: str | None = None, **at: Vector
) -> SimulatorState:
    bodies = {name.replace("_", " "): body(name.replace("_", " "), place) for name, place in at.items()}
    down = (1.0, 0.0, 0.0, 0.0)
    return SimulatorState(tool, down, tool, down, opening, opening, gripped, bodies)


BOWL: Vector = (0.5, 0.1, 0.0)
IN_BOWL: Vector = (0.51, 0.1, 0.027)
INSIDE = Inside("red cube", "blue bowl", ("green bowl",))


def test_inside_wants_it_in_the_bowl_and_let_go() -> None:
    assert INSIDE.satisfied(state(red_cube=IN_BOWL, blue_bowl=BOWL, green_bowl=(0.5, -0.2, 0.0)))
    for other in ((0.58, 0.1, 0.02), (0.51, 0.1, 0.09), (0.5, -0.2, 0.027)):
        assert not INSIDE.satisfied(state(red_cube=other, blue_bowl=BOWL, green_bowl=(0.5, -0.2, 0.0)))


def test_inside_is_not_satisfied_while_held_or_moving() -> None:
    held = state(tool=(0.51, 0.1, 0.03), opening=0.5, gripped="red cube", red_cube=IN_BOWL, blue_bowl=BOWL)
    assert Inside("red cube", "blue bowl").delivered(held)
    assert not Inside("red cube", "blue bowl").satisfied(held)
    resting = state(red_cube=IN_BOWL, blue_bowl=BOWL)
    rolling = replace(
        resting, bodies={**resting.bodies, "red cube": body("red cube", IN_BOWL, (0.1, 0.0, 0.0))}
    )
    assert not Inside("red cube", "blue bowl").satisfied(rolling)


def test_the_wrong_bowl_is_a_miss() -> None:
    wrong = state(red_cube=(0.5, -0.2, 0.027), blue_bowl=BOWL, green_bowl=(0.5, -0.2, 0.0))
    assert INSIDE.missed(wrong)
    assert not INSIDE.missed(state(red_cube=IN_BOWL, blue_bowl=BOWL, green_bowl=(0.5, -0.2, 0.0)))


def test_on_wants_it_on_the_surface() -> None:
    goal = On("red cube", "blue tile")
    assert goal.satisfied(state(red_cube=(0.5, 0.1, 0.028), blue_tile=(0.5, 0.1, 0.004)))
    assert not goal.satisfied(state(red_cube=(0.5, 0.1, 0.06), blue_tile=(0.5, 0.1, 0.004)))
    assert not goal.satisfied(state(red_cube=(0.6, 0.1, 0.028), blue_tile=(0.5, 0.1, 0.004)))


def test_stacked_wants_one_on_top_of_the_other() -> None:
    goal = Stacked("red cube", "blue cube")
    assert goal.satisfied(state(red_cube=(0.505, 0.0, 0.06), blue_cube=(0.5, 0.0, 0.02)))
    assert not goal.satisfied(state(red_cube=(0.525, 0.0, 0.06), blue_cube=(0.5, 0.0, 0.02)))
    assert not goal.satisfied(state(red_cube=(0.54, 0.0, 0.02), blue_cube=(0.5, 0.0, 0.02)))


def test_near_wants_the_reference_where_it_was() -> None:
    goal = Near("red cube", "lemon", (0.5, 0.0))
    assert goal.satisfied(state(red_cube=(0.59, 0.0, 0.02), lemon=(0.5, 0.0, 0.023)))
    assert not goal.satisfied(state(red_cube=(0.65, 0.0, 0.02), lemon=(0.5, 0.0, 0.023)))
    assert not goal.satisfied(state(red_cube=(0.63, 0.0, 0.02), lemon=(0.54, 0.0, 0.023)))


def test_lifted_wants_it_held_up() -> None:
    goal = Lifted("lemon")
    assert goal.satisfied(state(tool=(0.5, 0, 0.15), gripped="lemon", opening=0.6, lemon=(0.5, 0.0, 0.15)))
    assert not goal.satisfied(
        state(tool=(0.5, 0, 0.08), gripped="lemon", opening=0.6, lemon=(0.5, 0.0, 0.08))
    )
    assert not goal.satisfied(state(lemon=(0.5, 0.0, 0.15)))


def test_success_takes_half_a_second_without_a_break() -> None:
    good, bad = state(red_cube=IN_BOWL, blue_bowl=BOWL), state(red_cube=(0.4, -0.1, 0.02), blue_bowl=BOWL)
    judge = Judge(Inside("red cube", "blue bowl"), bad)
    for moment, expected in (
        (good, False),
        (good, False),
        (bad, False),
        (good, False),
        (good, False),
        (good, True),
    ):
        judge.watch(moment, 0.2)
        assert judge.success is expected
    judge.watch(bad, 0.2)
    assert (judge.success, judge.success_once) == (False, True)


def test_stages_go_up_and_stay() -> None:
    start = state(red_cube=(0.4, -0.1, 0.02), blue_bowl=BOWL)
    judge = Judge(Inside("red cube", "blue bowl"), start)
    moments = [
        (start, Stage.STARTED),
        (replace(start, tool_position=(0.4, -0.1, 0.03)), Stage.REACHED),
        (replace(start, tool_position=(0.4, -0.1, 0.02), gripped="red cube"), Stage.GRASPED),
        (state((0.4, -0.1, 0.1), 0.5, "red cube", red_cube=(0.4, -0.1, 0.1), blue_bowl=BOWL), Stage.LIFTED),
        (
            state((0.5, 0.1, 0.1), 0.5, "red cube", red_cube=(0.5, 0.1, 0.1), blue_bowl=BOWL),
            Stage.OVER_TARGET,
        ),
        (state(red_cube=IN_BOWL, blue_bowl=BOWL), Stage.PLACED),
        (start, Stage.PLACED),
    ]
    for moment, expected in moments:
        judge.watch(moment, 0.1)
        assert judge.stage is expected


def test_a_drop_on_the_way_is_counted() -> None:
    start = state(red_cube=(0.4, -0.1, 0.02), blue_bowl=BOWL)
    judge = Judge(Inside("red cube", "blue bowl"), start)
    judge.watch(state((0.4, -0.1, 0.1), 0.5, "red cube", red_cube=(0.4, -0.1, 0.1), blue_bowl=BOWL), 0.1)
    judge.watch(state(red_cube=(0.4, -0.1, 0.05), blue_bowl=BOWL), 0.1)
    judge.watch(start, 0.1)
    assert judge.drops == 1


def test_placing_is_not_a_drop() -> None:
    start = state(red_cube=(0.4, -0.1, 0.02), blue_bowl=BOWL)
    judge = Judge(Inside("red cube", "blue bowl"), start)
    above: Vector = (0.5, 0.1, 0.055)
    judge.watch(state(above, 0.5, "red cube", red_cube=above, blue_bowl=BOWL), 0.1)
    judge.watch(state(red_cube=IN_BOWL, blue_bowl=BOWL), 0.1)
    assert judge.drops == 0


def test_the_first_thing_lifted_is_told() -> None:
    start = state(red_cube=(0.4, -0.1, 0.02), lemon=(0.5, 0.2, 0.02), blue_bowl=BOWL)
    judge = Judge(Inside("red cube", "blue bowl"), start)
    judge.watch(replace(start, gripped="lemon"), 0.1)
    judge.watch(replace(start, gripped="panda"), 0.1)
    assert judge.first_lifted is None
    high: Vector = (0.5, 0.2, 0.08)
    judge.watch(state(high, 0.5, "lemon", red_cube=(0.4, -0.1, 0.02), lemon=high, blue_bowl=BOWL), 0.1)
    above: Vector = (0.4, -0.1, 0.1)
    judge.watch(state(above, 0.5, "red cube", red_cube=above, lemon=high, blue_bowl=BOWL), 0.1)
    assert judge.first_lifted == "lemon"


def test_other_things_that_were_moved_are_listed() -> None:
    start = state(red_cube=(0.4, -0.1, 0.02), lemon=(0.5, 0.2, 0.02), blue_bowl=BOWL)
    judge = Judge(Inside("red cube", "blue bowl"), start)
    after = state(red_cube=IN_BOWL, lemon=(0.6, 0.2, 0.02), blue_bowl=BOWL)
    assert judge.others_moved(after) == ["lemon"]


@pytest.mark.parametrize("occupied", [False, True])
def test_an_expert_puts_it_where_there_is_room(occupied: bool) -> None:
    lemon: Vector = (BOWL[0] + 0.03, BOWL[1], 0.03) if occupied else (0.3, -0.2, 0.023)
    moment = state(red_cube=(0.4, -0.1, 0.02), blue_bowl=BOWL, lemon=lemon)
    x, y, _ = Inside("red cube", "blue bowl").placement(moment) or (0.0, 0.0, 0.0)
    assert (x - BOWL[0], y - BOWL[1]) == pytest.approx((-0.034, 0.0) if occupied else (0.0, 0.0), abs=1e-6)
