"""configs/arm/panda.yaml against the simulator's Panda: the same frames, and capsules that hold its collision hulls."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml

from sim.assets import PANDA_URDF
from sim.bullet import pybullet as p
from sim.robots import panda
from vla_runtime.config import config_dir
from vla_runtime.kinematics.capsules import Capsule, CollisionModel
from vla_runtime.kinematics.frames import turn_between
from vla_runtime.kinematics.serial_arm import SerialArm

SETTINGS = yaml.safe_load((config_dir() / "arm" / "panda.yaml").read_text())
SETTINGS.pop("_target_")
WRIST_BELOW = -0.06  # [m] z in link 5's frame, from which on its hull is not in the capsule `forearm`
BULLET_LINKS = {f"link{index}": (index - 1,) for index in range(8)} | {
    "forearm": (4,),
    "hand": (panda.HAND_LINK,),
    "fingers": panda.FINGER_JOINTS,
}


@dataclass(frozen=True)
class Bullet:
    """The simulator's Panda alone in a world."""

    client: int
    body: int

    def pose(self, joints: tuple[float, ...], finger: float = 0.02) -> None:
        """Joints [rad] and fingers [m], at once."""
        for joint, angle in zip(panda.ARM_JOINTS, joints, strict=True):
            p.resetJointState(self.body, joint, angle, physicsClientId=self.client)
        for joint in panda.FINGER_JOINTS:
            p.resetJointState(self.body, joint, finger, physicsClientId=self.client)

    def distance(self, one: str, other: str) -> float:
        """Of two parts, by the names of their capsules [m]; of `forearm`, where link 5 is nearest above its wrist."""
        found = [
            point
            for a in BULLET_LINKS[one]
            for b in BULLET_LINKS[other]
            for point in p.getClosestPoints(self.body, self.body, 2.0, a, b, physicsClientId=self.client)
        ]
        nearest = min(found, key=lambda point: point[8])
        if one == "forearm" and self._in_link5(nearest[5])[2] > WRIST_BELOW:
            return math.inf
        return nearest[8]

    def _in_link5(self, point: tuple[float, ...]) -> np.ndarray:
        state = p.getLinkState(self.body, 4, physicsClientId=self.client)
        rotation = np.reshape(p.getMatrixFromQuaternion(state[5]), (3, 3))
        return rotation.T @ np.subtract(point, state[4])


@pytest.fixture(scope="module")
def bullet() -> Iterator[Bullet]:
    client = p.connect(p.DIRECT)
    yield Bullet(client, p.loadURDF(str(PANDA_URDF), useFixedBase=True, physicsClientId=client))
    p.disconnect(client)


@pytest.fixture(scope="module")
def arm() -> SerialArm:
    return SerialArm(**SETTINGS)


def random_joints(arm: SerialArm, random: np.random.Generator) -> tuple[float, ...]:
    return tuple(random.uniform(arm.joint_low_rad, arm.joint_high_rad).tolist())


# -------------------------------------------------------------------------------------------------------- frames


def test_limits_are_those_of_the_simulator(arm: SerialArm) -> None:
    assert tuple(zip(arm.joint_low_rad, arm.joint_high_rad, strict=True)) == panda.JOINT_LIMITS


def test_frames_are_where_bullet_has_them(arm: SerialArm, bullet: Bullet) -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        joints = random_joints(arm, random)
        bullet.pose(joints)
        position, quaternion = arm.tool_pose(joints)
        state = p.getLinkState(
            bullet.body, panda.TOOL_LINK, computeForwardKinematics=True, physicsClientId=bullet.client
        )
        assert math.dist(position, state[4]) < 1e-6
        assert math.hypot(*turn_between(quaternion, state[5])) < 1e-6
        for link in panda.ARM_JOINTS:
            there = p.getLinkState(bullet.body, link, physicsClientId=bullet.client)
            origin, rotation = arm.frames(joints)[link + 1]
            assert math.dist(origin, there[4]) < 1e-6
            np.testing.assert_allclose(
                np.ravel(rotation), p.getMatrixFromQuaternion(there[5]), rtol=0.0, atol=1e-6
            )


def test_a_step_leads_to_the_joints_that_the_simulator_chooses(arm: SerialArm, bullet: Bullet) -> None:
    """Otherwise a guard would judge another motion than the one that is executed."""
    robot = panda.Panda()
    robot._body, robot._client = bullet.body, bullet.client
    random = np.random.default_rng(1)
    for _ in range(50):
        start = tuple((np.array(panda.HOME) + random.uniform(-0.3, 0.3, 7)).tolist())
        bullet.pose(start)
        position, quaternion = arm.tool_pose(start)
        target = tuple((position + random.uniform(-0.03, 0.03, 3)).tolist())
        reach = arm.reach(start, target, quaternion)
        assert reach.arrived
        np.testing.assert_allclose(reach.joints, robot.solve(target, quaternion), rtol=0.0, atol=0.005)


# ------------------------------------------------------------------------------------------------------ capsules


def capsules() -> dict[str, Capsule]:
    given = SETTINGS["capsules"]
    return {c["name"]: Capsule(c["name"], c["link"], c["start"], c["end"], c["radius"]) for c in given}


def hull(link: str) -> np.ndarray:
    """Corners of a link's collision hull [m], shape (V, 3)."""
    lines = (Path(PANDA_URDF).parent / f"{link}_collision.obj").read_text().splitlines()
    return np.array([line.split()[1:4] for line in lines if line.startswith("v ")], float)


def in_tool_frame(link: str) -> np.ndarray:
    """Corners of the hand, or of both fingers wide open and closed [m]."""
    hand_to_tool = np.array([0.0, 0.0, -0.105])
    if link == "hand":
        return hull("hand") + hand_to_tool
    finger, half_turn = hull("finger"), np.diag([-1.0, -1.0, 1.0])
    places = [finger + np.array([0.0, slid, 0.0584]) for slid in (0.0, 0.04)]
    return np.vstack([*places, *(place @ half_turn for place in places)]) + hand_to_tool


def outside(corners: np.ndarray, capsule: Capsule) -> float:
    """How far the corners stick out [m]; negative: how far they are inside at least."""
    start, along = np.array(capsule.start), np.subtract(capsule.end, capsule.start)
    at = np.clip((corners - start) @ along / (along @ along), 0.0, 1.0)
    return float(np.linalg.norm(corners - start - at[:, None] * along, axis=1).max() - capsule.radius)


@pytest.mark.parametrize("name", [name for name in BULLET_LINKS if name != "forearm"])
def test_capsules_hold_the_hulls_tightly(name: str) -> None:
    corners = in_tool_frame(name) if name in ("hand", "fingers") else hull(name)
    assert -0.003 < outside(corners, capsules()[name]) <= 0.0


def test_the_forearm_holds_link_5_above_its_wrist() -> None:
    corners = hull("link5")
    assert outside(corners[corners[:, 2] < WRIST_BELOW], capsules()["forearm"]) <= 0.0


def test_capsules_are_never_further_apart_than_the_arm(arm: SerialArm, bullet: Bullet) -> None:
    """Pair by pair, where the arm itself is nearer than 15 cm; Bullet adds its margin, about 1 mm."""
    random, excess, checked = np.random.default_rng(4), [], 0
    model = arm._collisions
    while checked < 300:
        joints = random_joints(arm, random)
        bullet.pose(joints, float(random.uniform(0.0, 0.04)))
        frames = arm.frames(joints)
        near = False
        for pair in model.pairs:
            names = [model.capsules[index].name for index in pair]
            true = bullet.distance(names[0], names[1])
            if true < 0.15:
                one = CollisionModel(model.capsules, (pair,), model.over_table)
                excess.append(true - one.clearances(frames, 0.0).self_distance_m)
                near = True
        checked += near
    assert min(excess) > -0.001
    assert np.median(excess) < 0.03  # nor much nearer


# -------------------------------------------------------------------------------------------------- false alarms


def test_home_is_clear(arm: SerialArm) -> None:
    found = arm.clearances(panda.HOME, 0.0)
    assert found.self_distance_m > 0.02
    assert found.table_distance_m > 0.3


@pytest.mark.parametrize("yaw_deg", [0, 45, -45, 90, -90])
def test_work_on_the_table_is_clear(arm: SerialArm, yaw_deg: int) -> None:
    """The tool 1 cm above it, pointing down, wherever things lie: reached from home step by step, as in an episode."""
    half = math.radians(yaw_deg) / 2
    rotation = (math.cos(half), math.sin(half), 0.0, 0.0)
    for x in np.linspace(0.36, 0.66, 4):
        for y in np.linspace(-0.26, 0.26, 5):
            joints = approached(arm, (float(x), float(y), 0.01), rotation)
            found = arm.clearances(joints, 0.0)
            if abs(yaw_deg) <= 45:  # a quarter turn leads beyond the limit of joint 7, in truth too
                assert min(arm.limit_margins_rad(joints)) > 0.0, (x, y)
            assert found.self_distance_m > 0.02, (x, y, found)
            assert found.table_distance_m > 0.0, (x, y, found)


def approached(
    arm: SerialArm, target: tuple[float, ...], rotation: tuple[float, float, float, float]
) -> tuple[float, ...]:
    """Joints [rad] at a pose, on a straight line from home in steps of at most 5 cm and 0.25 rad."""
    joints, (start, first) = panda.HOME, arm.tool_pose(panda.HOME)
    turn = turn_between(first, rotation)
    steps = max(math.ceil(math.dist(start, target) / 0.05), math.ceil(math.hypot(*turn) / 0.25))
    for part in np.linspace(0.0, 1.0, steps + 1)[1:]:
        x, y, z = (np.array(start) + part * np.subtract(target, start)).tolist()
        mixed = np.array(first) + part * (
            np.copysign(1.0, np.dot(first, rotation)) * np.array(rotation) - first
        )
        qx, qy, qz, qw = (mixed / np.linalg.norm(mixed)).tolist()
        reach = arm.reach(joints, (x, y, z), (qx, qy, qz, qw))
        assert reach.arrived
        joints = reach.joints
    return joints
