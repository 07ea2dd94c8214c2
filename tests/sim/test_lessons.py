"""Lessons: the expert's answer for everything that could be asked, and things where the picture shows them."""

import numpy as np
import pytest

from sim.cameras import Camera, pixel_positions
from sim.environment import TabletopEnv
from sim.errors import UnknownName
from sim.experts.lessons import Lessons
from sim.experts.manners import GRADED
from sim.experts.tabletop import decide
from sim.objects import COLOURS
from sim.variation import Variation


@pytest.fixture(scope="module")
def env() -> TabletopEnv:
    return TabletopEnv("place_in")


def test_the_first_answer_is_what_the_episode_asks_for(env: TabletopEnv) -> None:
    env.reset(seed=4)
    lessons = Lessons(env)
    for _ in range(5):
        lesson = lessons.now()
        assert lesson.answers[0].instruction == env.problem.instruction
        wanted = decide(env.state(), env.goal, env.limits, GRADED)
        assert np.array_equal(lesson.answers[0].action, wanted)
        env.step(lesson.answers[0].action)


def test_every_pair_is_asked_for(env: TabletopEnv) -> None:
    env.reset(seed=4)
    lesson = Lessons(env).now()
    assert len({answer.instruction for answer in lesson.answers}) == 6  # three things, two bowls
    names = {sighting.body for sighting in lesson.sightings}
    assert {answer.target for answer in lesson.answers} <= names
    assert {answer.destination for answer in lesson.answers} <= names


def test_things_are_where_the_picture_shows_them(env: TabletopEnv) -> None:
    """Taking a thing away changes the picture around the place that was told."""
    raw, _ = env.reset(seed=4)
    lesson = Lessons(env).now()
    before = raw["images"]["front"].astype(int)
    thing = lesson.sightings[-1]
    from sim.bullet import pybullet as p

    body, client = env.simulation.world.bodies[thing.body], env.simulation.world.client
    p.resetBasePositionAndOrientation(body, (0.0, 0.0, -5.0), (0, 0, 0, 1), physicsClientId=client)
    changed = np.abs(env.simulation.images()["front"].astype(int) - before).max(axis=2) > 8
    rows, columns = np.nonzero(changed)
    assert rows.size > 20
    centre = np.array([columns.mean() + 0.5, rows.mean() + 0.5]) / 224
    assert np.abs(centre - thing.pixel).max() < 0.02


def test_turns_are_those_that_the_fingers_need(env: TabletopEnv) -> None:
    """Where the hand's heading fits, both turns agree; a thing's own comes as often around as it looks the same."""
    for seed in range(4, 10):
        env.reset(seed=seed)
        lessons = Lessons(env)
        for _ in range(12):
            env.step(lessons.now().answers[0].action)
        lesson = lessons.now()
        target = next(seen for seen in lesson.sightings if seen.body == env.goal.target)
        grasp = env.state().bodies[target.body].item.kind.grasp
        assert grasp is not None
        if grasp.yaw_period == 0.0:
            assert target.turn == (0.0, 0.0)
            continue
        cosine, sine = lesson.tool_turn
        if grasp.yaw_period < 3.0:  # a quarter turn: twice as often around as the hand
            cosine, sine = cosine * cosine - sine * sine, 2.0 * cosine * sine
        assert cosine * target.turn[0] + sine * target.turn[1] > 0.9


def test_pixels_of_points() -> None:
    camera = Camera(eye=(1.0, 0.0, 1.0), target=(0.0, 0.0, 0.0))
    found = pixel_positions(camera, np.array([[0.0, 0.0, 0.0], [0.0, 0.2, 0.0], [2.0, 0.0, 2.0]]))
    assert found[0].tolist() == pytest.approx([0.5, 0.5])
    assert found[1, 0] > 0.5  # its left is the camera's right
    assert np.isinf(found[2]).all()  # behind it


def test_words_cover_everything(env: TabletopEnv) -> None:
    env.reset(seed=1)
    for sighting in Lessons(env).now().sightings:
        assert sighting.kind in Lessons.kinds
        assert sighting.colour in Lessons.colours


def test_a_camera_that_is_not_there_is_refused(env: TabletopEnv) -> None:
    env.reset(seed=1)
    with pytest.raises(UnknownName, match="side"):
        Lessons(env, "side")


def test_pixels_follow_a_camera_that_was_moved() -> None:
    env = TabletopEnv("place_in", variation=Variation(camera="hard"))
    plain = TabletopEnv("place_in")
    for each in (env, plain):
        each.reset(seed=4)
    moved, usual = (np.array([s.pixel for s in Lessons(each).now().sightings]) for each in (env, plain))
    assert np.abs(moved - usual).max() > 0.01
    raw = env.simulation.images()["front"].astype(float)
    bowl = next(s for s in Lessons(env).now().sightings if s.kind == "bowl")
    column, row = (int(share * 224) for share in bowl.pixel)
    ratio = raw[row, column] / raw[row, column].sum()
    expected = np.array(COLOURS[bowl.colour]) / sum(COLOURS[bowl.colour])
    assert np.abs(ratio - expected).max() < 0.1
