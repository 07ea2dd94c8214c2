"""What is drawn stays within what its level promises, and no axis moves another. No simulator is needed."""

import math

import numpy as np
import pytest

from sim.cameras import Camera, Light, up_in_image
from sim.objects import COLOURS
from sim.seeding import Streams
from sim.variation import AXES, Level, Look, Variation, draw_look
from sim.variation.camera import SHIFT_M, TURN_DEG, WRIST_SHARE
from sim.variation.light import ELEVATION_DEG, SPREADS, colour_of
from sim.variation.textures import VARIANTS, table_top, wall_paint
from tests.sim.test_cameras import WRIST

USUAL = Look({"front": Camera(), "wrist": WRIST}, Light())
SEEDS = range(200)
LEVELS_ON: tuple[Level, Level] = ("easy", "hard")


def look(seed: int, **levels: Level) -> Look:
    return draw_look(Variation(**levels), Streams(seed), USUAL)


def forward(camera: Camera) -> np.ndarray:
    way = np.subtract(camera.target, camera.eye)
    return way / np.linalg.norm(way)


def angle_deg(first: np.ndarray, second: np.ndarray) -> float:
    return math.degrees(math.acos(min(float(first @ second), 1.0)))


def test_without_levels_the_look_is_the_usual_one() -> None:
    assert look(5) is USUAL


@pytest.mark.parametrize("level", LEVELS_ON)
@pytest.mark.parametrize("name", ["front", "wrist"])
def test_a_camera_stays_within_its_bounds_and_uses_them(name: str, level: Level) -> None:
    usual = USUAL.cameras[name]
    bound = SHIFT_M[level] * (WRIST_SHARE if usual.on_wrist else 1.0)
    shifts, turns, rolls = [], [], []
    for seed in SEEDS:
        moved = look(seed, camera=level).cameras[name]
        shifts.append(np.abs(np.subtract(moved.eye, usual.eye)).max())
        turns.append(angle_deg(forward(moved), forward(usual)))
        rolls.append(abs(moved.roll_deg))
        assert math.dist(moved.eye, moved.target) == pytest.approx(math.dist(usual.eye, usual.target))
        assert (moved.width, moved.height, moved.on_wrist) == (usual.width, usual.height, usual.on_wrist)
    assert 0.9 * bound < max(shifts) <= bound + 1e-12
    assert TURN_DEG[level] < max(turns) <= math.sqrt(2.0) * TURN_DEG[level] + 1e-9
    assert 0.9 * TURN_DEG[level] < max(rolls) <= TURN_DEG[level]


def test_a_roll_turns_the_image_about_its_middle() -> None:
    rolled = Camera(roll_deg=30.0)
    level = np.array(up_in_image(Camera()))
    right = np.cross(forward(rolled), level)
    assert angle_deg(np.array(up_in_image(rolled)), level) > 20.0
    assert np.array(up_in_image(rolled)) @ right > 0.0  # clockwise seen from behind


@pytest.mark.parametrize("level", LEVELS_ON)
def test_the_light_stays_within_its_bounds(level: Level) -> None:
    usual, spread = USUAL.light, SPREADS[level]
    for seed in SEEDS:
        varied = look(seed, light=level)
        light = varied.light
        x, y, z = light.direction
        elevation = math.degrees(math.atan2(z, math.hypot(x, y)))
        assert ELEVATION_DEG[0] - 1e-9 <= elevation <= ELEVATION_DEG[1] + 1e-9
        assert abs(light.ambient / usual.ambient - 1.0) <= spread.ambient + 1e-12
        assert abs(light.diffuse / usual.diffuse - 1.0) <= spread.diffuse + 1e-12
        assert 0.0 <= light.specular - usual.specular <= spread.specular
        assert spread.kelvin[0] <= varied.told["light"]["colour_temperature_k"] <= spread.kelvin[1]
        assert max(light.colour) == pytest.approx(1.0)
        assert light.shadows == usual.shadows


def test_warm_light_is_reddish_and_cold_light_bluish() -> None:
    warm, white, cold = colour_of(3000.0), colour_of(6500.0), colour_of(12000.0)
    assert warm[0] > warm[1] > warm[2]
    assert white == pytest.approx((1.0, 1.0, 1.0))
    assert cold[0] < cold[1] < cold[2]


def test_shadows_are_drawn_in_half_of_the_easy_episodes_and_in_all_hard_ones() -> None:
    easy = [look(seed, shadows="easy").light.shadows for seed in SEEDS]
    assert 0.35 < np.mean(easy) < 0.65
    assert all(look(seed, shadows="hard").light.shadows for seed in SEEDS)


def test_hard_arms_are_hulls_in_half_of_the_episodes_and_easy_ones_never() -> None:
    hard = [look(seed, robot="hard").paint.hulls for seed in SEEDS]
    assert 0.35 < np.mean(hard) < 0.65
    assert not any(look(seed, robot="easy").paint.hulls for seed in SEEDS)


@pytest.mark.parametrize("axis", AXES)
def test_turning_the_others_on_does_not_change_an_axis(axis: str) -> None:
    for seed in range(20):
        hard: dict[str, Level] = {axis: "hard"}
        easy: dict[str, Level] = dict.fromkeys(AXES, "easy")
        alone, together = look(seed, **hard).told, look(seed, **(easy | hard)).told
        assert list(alone) == [axis]
        assert set(together) == set(AXES)
        assert together[axis] == alone[axis]


def test_one_camera_more_does_not_move_the_others() -> None:
    alone = Look({"front": Camera()}, Light())
    for seed in range(20):
        front = draw_look(Variation(camera="hard"), Streams(seed), alone).cameras["front"]
        assert front == look(seed, camera="hard").cameras["front"]


@pytest.mark.parametrize("surface", [table_top, wall_paint])
@pytest.mark.parametrize("level", LEVELS_ON)
def test_every_variant_of_a_surface_is_another_and_always_the_same(surface, level: Level) -> None:
    made = [surface(level, number).tobytes() for number in range(VARIANTS)]
    assert len(set(made)) == VARIANTS
    assert surface(level, 3).tobytes() == made[3]


def test_hard_tables_hide_no_colour_of_a_thing() -> None:
    for number in range(VARIANTS):
        seen = np.unique(np.asarray(table_top("hard", number)).reshape(-1, 3), axis=0) / 255.0
        for colour in COLOURS.values():
            assert np.linalg.norm(seen - np.array(colour), axis=1).min() > 0.2, (number, colour)
