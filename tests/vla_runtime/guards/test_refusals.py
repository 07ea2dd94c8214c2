"""A limit that is missing, senseless or contradictory is refused before anything moves, in one line."""

import re
from typing import Any

import pytest

from tests.vla_runtime.guards.scenarios import chain
from vla_runtime.commands.command_line import user_message
from vla_runtime.config import check_robot_limits
from vla_runtime.errors import ConfigurationError

REFUSED = {  # by override, what is said
    "~guards.observation_age.max_age_s": "guards.observation_age.max_age_s is missing; expected a number [s]",
    "~guards.motion.jerk_mps3": "guards.motion.jerk_mps3 is missing; expected a number [m/s³]",
    "guards.observation_age.max_age_s=-0.1": "observation_age.max_age_s=-0.1: expected more than 0 and at most 60 [s]",
    "guards.observation_age.max_age_s=0": "observation_age.max_age_s=0: expected more than 0 and at most 60 [s]",
    "guards.observation_age.max_age_s=.nan": "observation_age.max_age_s='.nan': expected a finite number [s]",
    "guards.observation_age.max_age_s=nan": "observation_age.max_age_s=nan: expected a finite number [s]",
    "guards.observation_age.max_age_s=inf": "observation_age.max_age_s=inf: expected a finite number [s]",
    "guards.observation_age.max_age_s='200 ms'": "observation_age.max_age_s='200 ms': expected a finite number [s]",
    "guards.observation_age.max_age_s=200": "observation_age.max_age_s=200: expected more than 0 and at most 60 [s]",
    "guards.observation_age.max_age_s=true": "observation_age.max_age_s=True: expected a finite number [s]",
    "guards.observation_age.max_age_s=null": "observation_age.max_age_s=None: expected a finite number [s]",
    "guards.orientation.max_tilt_rad=45": "orientation.max_tilt_rad=45: expected from 0.001 to 1.5708 [rad]",
    "guards.orientation.max_heading_rad=180": "orientation.max_heading_rad=180: expected from 0.001 to 3.14159 [rad]",
    "guards.step_size.step_m=50": "step_size.step_m=50: expected more than 0 and at most 10 [m]",
    "guards.step_size.turn_rad=30": "step_size.turn_rad=30: expected more than 0 and at most 6.28319 [rad]",
    "guards.contact_force.slow_n=25": "contact_force.slow_n=25 and stop_n=20.0: expected slow_n below stop_n",
    "guards.singularity.slow_condition=30": "singularity.slow_condition=30 and stop_condition=30.0: expected slow_condition below stop_condition",
    "guards.singularity.slow_condition=0.5": "singularity.slow_condition=0.5: expected from 1 to 1e+06",
    "guards.gripper_debounce.closed_below=0.7": "gripper_debounce.closed_below=0.7 and open_above=0.6: expected closed_below below open_above",
    "guards.gripper_debounce.votes=0": "gripper_debounce.votes=0: expected a whole number from 1 to 100",
    "guards.gripper_debounce.votes=1.5": "gripper_debounce.votes=1.5: expected a whole number from 1 to 100",
    "guards.token_validity.first_id=32000": "token_validity.first_id=32000 and last_id=31999: expected first_id below last_id",
    "guards.workspace.x_m=[0.78,0.2]": "workspace.x_m=[0.78, 0.2]: expected low below high [m]",
    "guards.workspace.y_m=[0.1]": "workspace.y_m=[0.1]: expected two numbers, low and high [m]",
    "guards.workspace.z_m=0.5": "workspace.z_m=0.5: expected two numbers, low and high [m]",
    "guards.workspace.z_m=[0.0,inf]": "workspace.z_m=inf: expected a finite number [m]",
    "guards.workspace.hold_outside_m=-1": "workspace.hold_outside_m=-1: expected more than 0 and at most 10 [m]",
    "+guards.keep_out.zones.box={x_m: [0, 1], y_m: [0, 1]}": "keep_out.zones.box: z_m is missing or unknown; expected x_m, y_m and z_m",
    "+guards.keep_out.zones.box={x_m: [0, 1], y_m: [1, 0], z_m: [0, 1]}": "keep_out.zones.box.y_m=[1, 0]: expected low below high [m]",
    "+guards.keep_out.zones.box=5": "keep_out.zones.box=5: expected x_m, y_m and z_m",
    "guards.keep_out.spheres.finger_1=[0, 0, 0]": "keep_out.spheres.finger_1=[0, 0, 0]: expected centre x, y, z and a radius above 0 [m]",
    "guards.keep_out.spheres.finger_1=[0, 0, 0, -0.01]": "keep_out.spheres.finger_1=[0, 0, 0, -0.01]: expected centre x, y, z and a radius above 0 [m]",
    "guards.keep_out.spheres.finger_1=[0, 0, 0, wide]": "keep_out.spheres.finger_1=[0, 0, 0, 'wide']: expected centre x, y, z and a radius above 0 [m]",
    "guards.keep_out.spheres.finger_1=0.1": "keep_out.spheres.finger_1=0.1: expected centre x, y, z and a radius above 0 [m]",
    "guards.confidence.verdict=stop": "confidence.verdict='stop': expected advisory or hold",
    "guards.confidence.window_steps=0": "confidence.window_steps=0: expected a whole number from 1 to 1000",
    "guards.confidence.calibration=/no/such/file": "confidence.calibration=/no/such/file: expected a file of scripts/calibrate_confidence.py ([Errno 2] No such file or directory: '/no/such/file')",
    "guards.dwell.max_flips=11": "dwell.max_flips=11: expected a whole number from 1 to 10",
    "guards.frames.min_brightness=300": "frames.min_brightness=300: expected from 0 to 255",
    "guards.collision.table_z_m=720": "collision.table_z_m=720: expected from -2 to 2 [m]",
}  # fmt: skip


@pytest.mark.parametrize(("override", "said"), REFUSED.items())
def test_it_is_refused_in_one_line(override: str, said: str) -> None:
    with pytest.raises(Exception) as refused:  # noqa: PT011 Hydra wraps it; users see this line
        chain(override)
    assert user_message(refused.value) == said


@pytest.mark.parametrize(
    "override", ["+guards.observation_age.max_age_ms=200", "guards.observation_age.max_age_ms=200"]
)
def test_a_limit_in_another_unit_is_refused(override: str) -> None:
    with pytest.raises(Exception, match="max_age_ms"):
        chain(override)


ROBOT: dict[str, Any] = {"workspace.x_m": (0.2, 0.78), "step_size.step_m": 0.05, "motion.velocity_mps": None}


@pytest.mark.parametrize(
    ("guards", "said"),
    [
        (
            {"workspace": {"x_m": [0.1, 0.7]}},
            "guards.workspace.x_m=[0.1, 0.7] is looser than the robot's own limit; expected within [0.2, 0.78] [m]",
        ),
        (
            {"workspace": {"x_m": [0.3, 0.79]}},
            "guards.workspace.x_m=[0.3, 0.79] is looser than the robot's own limit; expected within [0.2, 0.78] [m]",
        ),
        (
            {"step_size": {"step_m": 0.06}},
            "guards.step_size.step_m=0.06 is looser than the robot's own limit; expected at most 0.05 [m]",
        ),
    ],
)
def test_what_is_looser_than_the_robots_side_is_refused(guards: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{re.escape(said)}$"):
        check_robot_limits(guards, ROBOT)


def test_what_is_as_strict_as_the_robots_side_passes() -> None:
    check_robot_limits(
        {"workspace": {"x_m": [0.2, 0.78]}, "step_size": {"step_m": 0.05}, "motion": None}, ROBOT
    )
    check_robot_limits({}, ROBOT)
