"""The arm against itself: derivatives, solutions and memory. Against the simulator: tests/contracts."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import yaml

from vla_runtime.config import config_dir
from vla_runtime.errors import ConfigurationError
from vla_runtime.kinematics.frames import Quaternion, Vector, quaternion_of, turn_between
from vla_runtime.kinematics.serial_arm import SerialArm

HOME = (0.0, -0.35, 0.0, -2.32, 0.0, 1.97, 0.785)  # [rad]
DOWN: Quaternion = (1.0, 0.0, 0.0, 0.0)
LOW, HIGH = (0.2, -0.45, 0.008), (0.78, 0.45, 0.6)  # [m] the workspace of docs/conventions.md
SETTINGS = yaml.safe_load((config_dir() / "arm" / "panda.yaml").read_text())
SETTINGS.pop("_target_")


@pytest.fixture
def arm() -> SerialArm:
    return SerialArm(**SETTINGS)


def random_joints(arm: SerialArm, random: np.random.Generator) -> tuple[float, ...]:
    return tuple(random.uniform(arm.joint_low_rad, arm.joint_high_rad).tolist())


def turned(quaternion: Quaternion, rotation: np.ndarray) -> Quaternion:
    """A quaternion after a turn about the base frame's axes: axis times angle [rad]."""
    angle = float(np.linalg.norm(rotation))
    x1, y1, z1 = (rotation * math.sin(angle / 2) / angle).tolist()
    w1 = math.cos(angle / 2)
    x2, y2, z2, w2 = quaternion
    return (
        w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
        w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
        w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
        w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
    )


def pose_at_work(arm: SerialArm, random: np.random.Generator) -> tuple[float, ...]:
    """Joints [rad] with the tool in the workspace and within 45 degrees of pointing down."""
    while True:
        joints = random_joints(arm, random)
        (x, y, z), rotation = arm.frames(joints)[-1]
        inside = all(a <= p <= b for p, a, b in zip((x, y, z), LOW, HIGH, strict=True))
        if inside and rotation[2][2] < -math.cos(math.pi / 4):
            return joints


def test_a_half_turn_is_a_half_turn() -> None:
    for axis in range(3):
        rows = tuple(tuple(float((a == b) * (1 if a == axis else -1)) for b in range(3)) for a in range(3))
        quaternion = quaternion_of(rows)  # pyright: ignore[reportArgumentType]
        assert quaternion == tuple(float(index == axis) for index in range(4))
        assert np.linalg.norm(turn_between((0.0, 0.0, 0.0, 1.0), quaternion)) == pytest.approx(math.pi)
        assert turn_between(quaternion, quaternion) == (0.0, 0.0, 0.0)


def test_the_shorter_way_round() -> None:
    opposite = (-1.0, 0.0, 0.0, 0.0)
    turn = turn_between(DOWN, turned(opposite, np.array([0.0, 0.0, 0.2])))
    assert turn == pytest.approx((0.0, 0.0, 0.2))


def test_jacobian_is_the_derivative(arm: SerialArm) -> None:
    random, small = np.random.default_rng(0), 1e-6
    for _ in range(50):
        joints = random_joints(arm, random)
        columns = []
        for joint in range(7):
            less, more = (
                arm.tool_pose([angle + sign * small * (i == joint) for i, angle in enumerate(joints)])
                for sign in (-1, 1)
            )
            columns.append([*np.subtract(more[0], less[0]), *turn_between(less[1], more[1])])
        expected = np.array(columns).T / (2 * small)
        np.testing.assert_allclose(arm.jacobian(joints), expected, atol=1e-8)


def test_condition_number_is_that_of_the_singular_values(arm: SerialArm) -> None:
    random = np.random.default_rng(1)
    for _ in range(50):
        joints = random_joints(arm, random)
        values = np.linalg.svd(arm.jacobian(joints))[1]
        assert arm.condition_number(joints) == pytest.approx(values[0] / values[-1], rel=1e-9)
    assert arm.condition_number(HOME) < 17
    assert arm.condition_number((0.0, 0.0, 0.0, -0.0698, 0.0, 0.0, 0.0)) > 30


def test_a_control_step_is_reached(arm: SerialArm) -> None:
    """More than 99 % of the steps that are possible: as long as an action may be, from where the tool may be."""
    random, steps, missed = np.random.default_rng(2), [], 0
    for _ in range(400):
        joints = pose_at_work(arm, random)
        position, quaternion = arm.tool_pose(joints)
        x, y, z = (position + random.uniform(-0.05, 0.05, 3)).tolist()
        rotation = turned(quaternion, random.uniform(-0.25, 0.25, 3))
        reach = arm.reach(joints, (x, y, z), rotation)
        if reach.arrived:
            steps.append(reach.steps)
            found = arm.tool_pose(reach.joints)
            assert math.dist(found[0], (x, y, z)) < 2e-4
            assert math.hypot(*turn_between(found[1], rotation)) < math.radians(0.02)
        else:
            missed += any_solution(arm, (x, y, z), rotation, random)
    assert len(steps) / (len(steps) + missed) > 0.99
    assert len(steps) > 0.93 * 400  # the others lie beyond the edge of what the arm can reach
    assert np.median(steps) <= 3


def any_solution(
    arm: SerialArm, position: Vector, quaternion: Quaternion, random: np.random.Generator
) -> bool:
    """Whether joints within their limits bring the tool to a pose, found from anywhere in a hundred trials."""
    for _ in range(100):
        found = arm.reach(random_joints(arm, random), position, quaternion)
        if found.arrived and min(arm.limit_margins_rad(found.joints)) > 0.0:
            return True
    return False


def test_standing_still_needs_no_step(arm: SerialArm) -> None:
    reach = arm.reach(HOME, *arm.tool_pose(HOME))
    assert (reach.joints, reach.steps, reach.arrived) == (HOME, 0, True)


def test_out_of_reach_is_told_not_hidden(arm: SerialArm) -> None:
    reach = arm.reach(HOME, (1.5, 0.0, 0.3), DOWN)
    assert not reach.arrived
    assert 0.5 < reach.position_error_m < 1.1  # as near as it gets, not thrown about
    assert all(map(math.isfinite, reach.joints))


def test_limits_are_reported_not_enforced(arm: SerialArm) -> None:
    """Seen from joint 7 near its limit, a turn about the tool's axis leads beyond it."""
    joints = (*HOME[:6], arm.joint_high_rad[6] - 0.05)
    position, quaternion = arm.tool_pose(joints)
    reaches = [
        arm.reach(joints, position, turned(quaternion, np.array([0.0, 0.0, yaw]))) for yaw in (-0.25, 0.25)
    ]
    assert all(reach.arrived for reach in reaches)
    assert min(min(arm.limit_margins_rad(reach.joints)) for reach in reaches) < -0.1
    assert arm.limit_margins_rad(joints)[6] == pytest.approx(0.05)


def test_what_is_remembered_changes_nothing(arm: SerialArm) -> None:
    """An arm that is asked everything twice, in any order, answers like one that is new each time."""
    random = np.random.default_rng(3)
    for _ in range(20):
        joints = pose_at_work(arm, random)
        position, quaternion = arm.tool_pose(joints)
        target = (position[0], position[1] + 0.03, position[2])
        for _ in range(2):
            reach = arm.reach(joints, target, quaternion)
            assert reach == SerialArm(**SETTINGS).reach(joints, target, quaternion)
            assert arm.frames(reach.joints) == SerialArm(**SETTINGS).frames(reach.joints)
            assert arm.clearances(joints, 0.0) == SerialArm(**SETTINGS).clearances(joints, 0.0)
            assert arm.frames(joints) == SerialArm(**SETTINGS).frames(joints)


@pytest.mark.parametrize("joints", [HOME[:6], (*HOME[:6], math.nan), (*HOME[:6], math.inf)])
def test_joints_that_are_none(arm: SerialArm, joints: tuple[float, ...]) -> None:
    for ask in (arm.tool_pose, arm.jacobian, arm.limit_margins_rad):
        with pytest.raises(ValueError, match="expected 7 finite numbers"):
            ask(joints)


def test_a_target_that_is_none(arm: SerialArm) -> None:
    with pytest.raises(ValueError, match="expected finite numbers"):
        arm.reach(HOME, (0.4, math.nan, 0.3), DOWN)


# ------------------------------------------------------------------------------------------------------- settings


def changed(path: list[Any], value: Any) -> dict[str, Any]:
    settings = copy.deepcopy(SETTINGS)
    node = settings
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return settings


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["joints"], [], "0 joints; expected one or more"),
        (["joints", 2, "xyz"], [0.0, 1.0], "joint 3 xyz has 2 numbers; expected 3"),
        (["joints", 2], {"xyz": [0, 0, 0]}, "joint 3 has xyz; expected xyz, rpy"),
        (["tool", "rpy"], [0.0, math.nan, 0.0], "tool rpy is .*nan.*; expected 3 finite numbers"),
        (["joint_low_rad"], [0.0] * 6, "joint_low_rad has 6 numbers; expected 7"),
        (["joint_low_rad", 3], 1.0, r"joint 4 from 1.0 to -0.0698 \[rad\]; expected low < high"),
        (["joint_high_rad", 0], "far", "joint_high_rad is .*; expected 7 finite numbers"),
        (["joint_velocity_radps", 6], 0.0, r"velocity of joint 7 is 0.0 \[rad/s\]; expected more than 0"),
        (["capsules", 0, "radius"], 0.0, r"capsule 'link0' radius is 0.0 \[m\]; expected more than 0"),
        (["capsules", 0, "link"], 9, r"capsule 'link0' link is 9; expected 0 \(base\) to 8 \(tool\)"),
        (["capsules", 0, "start"], None, "capsule 'link0' start is None; expected 3 finite numbers"),
        (["capsules", 0, "name"], "link1", "2 capsules named 'link1'; expected one"),
        (["capsules", 0], {"name": "link0"}, "capsule 'link0' has name; expected name, link, start, end"),
        (["pairs"], [], "0 pairs and 6 over_table; expected one or more of each"),
        (["pairs", 0], ["hand"], r"pair \['hand'\]; expected the names of two capsules"),
        (["pairs", 0], ["hand", "elbow"], "pair names 'elbow'; expected one of link0, link1"),
        (["over_table", 0], "elbow", "over_table names 'elbow'; expected one of link0, link1"),
    ],
)
def test_settings_that_make_no_sense(path: list[Any], value: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        SerialArm(**changed(path, value))
    assert "\n" not in str(caught.value)
