"""The cached background changes no pixel, and the cameras see what is there."""

import numpy as np
import pytest

from sim.bullet import pybullet as p
from sim.cameras import Camera
from sim.environment import TabletopEnv
from sim.measure import compare_images
from tests.sim.conftest import still

WRIST = Camera(48, 48, (0.10, 0.0, -0.09), (0.02, 0.0, 0.05), 66.0, on_wrist=True)


def test_cached_background_is_pixel_identical_over_an_episode() -> None:
    assert compare_images(pixels=96, episodes=1) == 0


def test_the_wrist_camera_sees_fixed_bodies_beside_a_cached_front_camera() -> None:
    cameras = {"front": Camera(48, 48), "wrist": WRIST}
    cached, whole = (
        TabletopEnv("place_in", cameras=cameras, cached_background=flag) for flag in (True, False)
    )
    for name in cameras:
        first, second = cached.reset(seed=4)[0], whole.reset(seed=4)[0]
        np.testing.assert_array_equal(first["images"][name], second["images"][name])
    cached.close()
    whole.close()


def test_the_wrist_camera_moves_with_the_hand() -> None:
    env = TabletopEnv("pick", cameras={"wrist": WRIST})
    before = env.reset(seed=0)[0]["images"]["wrist"]
    after = env.step(np.array([0.05, 0, 0, 0, 0, 0, 1]))[0]["images"]["wrist"]
    assert (before != after).mean() > 0.2
    env.close()


def test_images_are_never_the_same_array_twice() -> None:
    env = TabletopEnv("pick", cameras={"front": Camera(32, 32)})
    first = env.reset(seed=0)[0]["images"]["front"]
    copy = first.copy()
    second = env.step(still())[0]["images"]["front"]
    assert not np.shares_memory(first, second)
    np.testing.assert_array_equal(first, copy)
    env.close()


@pytest.mark.parametrize("colour", ["red", "green", "blue", "yellow"])
def test_the_front_camera_shows_a_bowl_in_its_colour(colour: str) -> None:
    from sim.objects import COLOURS
    from sim.tasks import PlaceIn

    task = PlaceIn(objects="strawberry", receptacles=f"{colour}_bowl", distractors=0, bowls=1)
    env = TabletopEnv(task, cameras={"front": Camera(96, 96)})
    image = env.reset(seed=1)[0]["images"]["front"].astype(float)
    paint = np.array(COLOURS[colour])
    unit = image / np.maximum(np.linalg.norm(image, axis=2, keepdims=True), 1)
    alike = (unit @ (paint / np.linalg.norm(paint))) > 0.985
    assert alike.sum() > 60
    env.close()


def test_flat_tuples_of_a_pybullet_without_numpy_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    env = TabletopEnv("pick", cameras={"front": Camera(24, 32)})
    expected = env.reset(seed=0)[0]["images"]["front"]
    real = p.getCameraImage

    def as_tuples(*args, **kwargs):
        width, height, rgba, depth, mask = real(*args, **kwargs)
        return (
            width,
            height,
            tuple(np.asarray(rgba).ravel().tolist()),
            tuple(np.asarray(depth).ravel().tolist()),
            mask,
        )

    monkeypatch.setattr(p, "getCameraImage", as_tuples)
    np.testing.assert_array_equal(env.reset(seed=0)[0]["images"]["front"], expected)
    assert expected.shape == (32, 24, 3)
    env.close()
