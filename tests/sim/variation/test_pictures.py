"""Variation in the simulator: it changes the picture, and nothing but the picture."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from sim.bullet import pybullet
from sim.cameras import Camera
from sim.environment import TabletopEnv
from sim.variation import AXES, Level, Variation
from sim.variation.physics import FRICTION, MASS
from sim.variation.start import OFFSET_RAD
from tests.sim.conftest import play_expert, still
from tests.sim.test_cameras import WRIST

CAMERAS = {"front": Camera(64, 64), "wrist": WRIST}
SEED = 3  # with shadows at level easy, and with hulls


def varied(level: Level, *axes: str) -> Variation:
    levels: dict[str, Level] = dict.fromkeys(axes, level)
    return Variation(**levels)


VISUAL = tuple(axis for axis in AXES if axis not in ("words", "start", "physics"))
ALL_HARD = varied("hard", *AXES)


@contextmanager
def environment(variation: Variation | None, **settings: Any) -> Iterator[TabletopEnv]:
    chosen: dict[str, Any] = {"cameras": CAMERAS, **settings}
    env = TabletopEnv("place_in", variation=variation, **chosen)
    yield env
    env.close()


def pictures(env: TabletopEnv, seed: int) -> dict[str, np.ndarray]:
    """The images after reset, one below the other with those after a step."""
    first = env.reset(seed=seed)[0]["images"]
    second = env.step(still())[0]["images"]
    return {name: np.concatenate([first[name], second[name]]) for name in first}


def assert_equal(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


@pytest.fixture(scope="module")
def usual() -> Iterator[TabletopEnv]:
    with environment(None) as env:
        yield env


@pytest.mark.parametrize("level", ["easy", "hard"])
@pytest.mark.parametrize("axis", VISUAL)
def test_an_axis_changes_the_pictures_and_not_the_state(usual: TabletopEnv, axis: str, level: Level) -> None:
    before = pictures(usual, SEED)
    with environment(varied(level, axis)) as env:
        after = pictures(env, SEED)
        for name in CAMERAS:
            assert (before[name] != after[name]).any(axis=2).mean() > 0.005, name
        assert env.outcome()["state_hash"] == usual.outcome()["state_hash"]
        assert list(env.outcome()["variation"]) == [axis]


@pytest.mark.parametrize("level", ["easy", "hard"])
def test_words_change_no_picture(usual: TabletopEnv, level: Level) -> None:
    before = pictures(usual, SEED)
    with environment(varied(level, "words")) as env:
        assert_equal(pictures(env, SEED), before)
        assert env.outcome()["state_hash"] == usual.outcome()["state_hash"]
        assert env.info()["instruction"] != usual.info()["instruction"]


def test_noise_is_as_strong_as_it_says_and_does_not_depend_on_how_often_one_looks(usual: TabletopEnv) -> None:
    plain = usual.reset(seed=SEED)[0]["images"]["front"].astype(float)
    with environment(varied("hard", "noise")) as env:
        first = env.reset(seed=SEED)[0]["images"]
        assert_equal(env.observe()["images"], first)
        middle = (plain > 60) & (plain < 195)  # nothing is cut off there
        off = (first["front"] - plain)[middle]
        assert abs(off.mean()) < 0.5
        assert 11.5 < off.std() < 12.5
        later = (
            env.step(still())[0]["images"]["front"].astype(float) - usual.step(still())[0]["images"]["front"]
        )
        assert abs(np.corrcoef(later[middle], off)[0, 1]) < 0.1  # each picture has its own


def test_an_expert_succeeds_on_the_same_way_whatever_it_looks_like(usual: TabletopEnv) -> None:
    expected = play_expert(usual, SEED)
    with environment(varied("hard", *VISUAL, "words"), cameras={"front": Camera(16, 16)}) as env:
        outcome = play_expert(env, SEED)
    assert outcome["success_at_end"]
    assert outcome["state_hash"] == expected["state_hash"]


@pytest.mark.parametrize("level", ["easy", "hard"])
def test_the_arm_begins_elsewhere(usual: TabletopEnv, level: Level) -> None:
    home = usual.reset(seed=SEED)[0]["proprioception"]["joint_positions"]
    with environment(varied(level, "start")) as env:
        joints = env.reset(seed=SEED)[0]["proprioception"]["joint_positions"]
        told = env.outcome()["variation"]["start"]["offsets_rad"]
        assert joints - home == pytest.approx(told, abs=0.01)
        assert max(map(abs, told)) <= OFFSET_RAD[level]
        assert_equal({"tool": pictures(env, SEED)["front"]}, {"tool": pictures(env, SEED)["front"]})


@pytest.mark.parametrize("level", ["easy", "hard"])
def test_things_are_of_other_mass_and_friction(usual: TabletopEnv, level: Level) -> None:
    expected = play_expert(usual, SEED)
    with environment(varied(level, "physics"), cameras={}) as env:
        outcome = play_expert(env, SEED)
        factors = outcome["variation"]["physics"]["factors"]
        assert set(factors) == set(env.simulation.movable)
        for body, (mass, friction) in factors.items():
            assert 1 / MASS[level] <= mass <= MASS[level]
            assert 1 / FRICTION[level] <= friction <= FRICTION[level]
            body_info = pybullet.getDynamicsInfo(
                env.simulation.world.bodies[body], -1, env.simulation.world.client
            )
            kind = next(placed.item.kind for placed in env.problem.scene.placed if placed.body == body)
            assert body_info[0] == pytest.approx(mass * kind.mass)
    assert outcome["success_at_end"]
    assert outcome["state_hash"] != expected["state_hash"]


def test_no_level_is_no_variation(usual: TabletopEnv) -> None:
    expected = pictures(usual, SEED)
    with environment(Variation()) as env:
        assert_equal(pictures(env, SEED), expected)
        assert env.outcome() == usual.outcome()
        assert "variation" not in env.outcome()


def test_equal_seeds_look_alike_in_two_environments_whatever_ran_before() -> None:
    with environment(ALL_HARD) as fresh, environment(ALL_HARD) as used:
        for seed in range(1, 4):
            used.reset(seed=seed)
        assert_equal(pictures(used, SEED), pictures(fresh, SEED))
        assert used.outcome() == fresh.outcome()


def test_what_another_environment_varied_does_not_stay(usual: TabletopEnv) -> None:
    expected = pictures(usual, SEED)
    with environment(ALL_HARD) as other:
        other.reset(seed=SEED)
        assert_equal(pictures(usual, SEED), expected)


@pytest.mark.parametrize("level", ["easy", "hard"])
def test_a_cached_background_changes_no_pixel(level: Level) -> None:
    variation = Variation(camera=level, light=level, textures=level, robot=level)
    with environment(variation) as cached, environment(variation, cached_background=False) as whole:
        for seed in (SEED, 5):
            assert_equal(pictures(cached, seed), pictures(whole, seed))


def test_seeds_look_different() -> None:
    with environment(ALL_HARD, cameras={"front": Camera(16, 16)}) as env:
        told = []
        for seed in range(3):
            env.reset(seed=seed)
            told.append(json.dumps(env.outcome()["variation"]))
        assert len(set(told)) == 3


def test_seeds_that_share_a_scene_look_alike() -> None:
    with environment(ALL_HARD, instructions_per_scene=3) as env:
        images = [env.reset(seed=seed)[0]["images"] for seed in (3, 4, 5)]
    assert_equal(images[0], images[1])
    assert_equal(images[0], images[2])


def test_the_record_has_plain_values(usual: TabletopEnv) -> None:
    with environment(ALL_HARD, cameras={"front": Camera(16, 16)}) as env:
        env.reset(seed=SEED)
        record = env.outcome()["variation"]
    assert json.loads(json.dumps(record)) == record
    assert {part["level"] for part in record.values()} == {"hard"}
    assert set(record["camera"]["cameras"]) == {"front"}
