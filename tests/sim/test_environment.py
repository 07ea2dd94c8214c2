"""The Gymnasium contract, for every registered id, and what the environment refuses."""

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from sim import ENVIRONMENT_IDS
from sim.cameras import Camera, Light
from sim.environment import TabletopEnv
from sim.errors import InvalidAction, InvalidSetting, SimulatorError, UnknownName
from tests.sim.conftest import SMALL_CAMERA, repeat, still


@pytest.mark.parametrize("env_id", ENVIRONMENT_IDS)
def test_check_env_passes_without_a_warning(env_id: str) -> None:
    env = gymnasium.make(env_id, cameras=SMALL_CAMERA, render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
    env.close()


def test_default_camera_is_224_px_and_the_instruction_is_observed() -> None:
    env = gymnasium.make("tabletop/PlaceIn-v0")
    observation, info = env.reset(seed=0)
    assert observation["images"]["front"].shape == (224, 224, 3)
    assert observation["instruction"] == info["instruction"]
    assert observation["instruction"].startswith("put the ")
    assert env.observation_space.contains(observation)
    env.close()


@pytest.mark.parametrize("control_hz", [3, 5, 10, 20])
def test_a_step_is_one_control_period(control_hz: int) -> None:
    env = TabletopEnv("pick", cameras={}, control_hz=control_hz)
    env.reset(seed=0)
    _, info = repeat(env, still(), control_hz)
    assert info["time_s"] == pytest.approx(1.0)
    assert env.step_limit == 20 * control_hz
    env.close()


def test_no_motion_means_no_motion(env: TabletopEnv) -> None:
    first, _ = env.reset(seed=1)
    second, _ = repeat(env, still(), 10)
    before, after = (seen["proprioception"]["end_effector_pose"] for seen in (first, second))
    assert np.abs(after - before).max() < 1e-3


def test_deltas_move_the_tool_in_the_base_frame() -> None:
    env = TabletopEnv("pick", cameras={})
    for axis in range(3):
        first = env.reset(seed=2)[0]["proprioception"]["end_effector_pose"]
        action = still()
        action[axis] = 0.03 if axis < 2 else -0.03
        repeat(env, action, 3)
        last = repeat(env, still(), 3)[0]["proprioception"]["end_effector_pose"]
        expected = np.zeros(3)
        expected[axis] = 3 * action[axis]
        assert last[:3] - first[:3] == pytest.approx(expected, abs=2e-3)
    env.close()


def test_yaw_turns_the_tool_about_the_vertical() -> None:
    env = TabletopEnv("pick", cameras={})
    env.reset(seed=2)
    action = still()
    action[5] = 0.25
    repeat(env, action, 4)
    pose = repeat(env, still(), 3)[0]["proprioception"]["end_effector_pose"]
    # Pointing down at yaw psi is the quaternion (cos psi/2, sin psi/2, 0, 0).
    assert 2 * np.arctan2(pose[4], pose[3]) == pytest.approx(1.0, abs=0.02)
    env.close()


def test_the_gripper_follows_its_opening(env: TabletopEnv) -> None:
    env.reset(seed=0)
    for opening in (0.0, 0.5, 1.0):
        seen, _ = repeat(env, still(opening), 4)
        assert seen["proprioception"]["gripper_opening"][0] == pytest.approx(opening, abs=0.03)


@pytest.mark.parametrize(
    "action",
    [np.zeros(6), np.zeros((7, 1)), np.full(7, np.nan), [0, 0, 0, 0, 0, np.inf, 1], "up", None, [1, 2]],
)
def test_bad_actions_are_refused_before_anything_moves(env: TabletopEnv, action: Any) -> None:
    env.reset(seed=0)
    before = env.outcome()
    with pytest.raises(InvalidAction, match=r"expected"):
        env.step(action)
    assert env.outcome() == before


def test_limits_hold_and_are_reported(env: TabletopEnv) -> None:
    env.reset(seed=0)
    assert env.step(np.array([9.0, 0, 0, 0, 0, 0, 1]))[4]["limited"] == ["x"]
    _, info = repeat(env, np.array([0.0, 0.05, 0, 0, 0, 0, 1]), 20)
    assert "workspace" in info["limited"]
    assert env.state().tool_position[1] < 0.46


def test_pressing_on_the_table_does_not_go_through_it(env: TabletopEnv) -> None:
    env.reset(seed=0)
    repeat(env, np.array([0, 0, -0.05, 0, 0, 0, 0.0]), 20)
    assert env.state().tool_position[2] > 0.0


def test_step_before_reset_is_refused() -> None:
    env = TabletopEnv("pick", cameras={})
    with pytest.raises(SimulatorError, match="call reset first"):
        env.step(still())
    env.close()
    env.close()


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"task": "juggle"}, UnknownName, "unknown task 'juggle'; known: move_near, pick"),
        ({"control_hz": 7}, InvalidSetting, "control_hz 7: expected one of 3, 5, 10, 20"),
        ({"control_hz": 0}, InvalidSetting, "control_hz 0"),
        ({"speed_mps": -1.0}, InvalidSetting, "speed_mps -1.0"),
        ({"time_limit_s": 0.0}, InvalidSetting, "time_limit_s 0.0"),
        ({"after_success_s": -1.0}, InvalidSetting, "after_success_s -1.0"),
        ({"render_mode": "human"}, InvalidSetting, "render_mode 'human'"),
    ],
)
def test_bad_settings_are_refused(settings: dict, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        TabletopEnv(**settings)


def test_a_window_needs_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(InvalidSetting, match="DISPLAY is not set"):
        TabletopEnv(view=True)


@pytest.mark.parametrize(
    "settings", [{"width": 0}, {"height": "tall"}, {"vertical_fov_deg": 0.0}, {"near": 2.0, "far": 1.0}]
)
def test_bad_cameras_are_refused(settings: dict) -> None:
    with pytest.raises(InvalidSetting, match="camera"):
        Camera(**settings)


def test_shadows_change_the_picture_only() -> None:
    plain, shadowed = (
        TabletopEnv("pick", cameras=SMALL_CAMERA, light=Light(shadows=flag)) for flag in (False, True)
    )
    first, second = plain.reset(seed=0)[0], shadowed.reset(seed=0)[0]
    assert (first["images"]["front"] != second["images"]["front"]).any()
    assert plain.outcome()["state_hash"] == shadowed.outcome()["state_hash"]
    plain.close()
    shadowed.close()
