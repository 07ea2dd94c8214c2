"""Where the tool is told to be, and where an action would bring it."""

import math

from vla_runtime.actions.rotations import Quaternion, Vector, multiply, normalized, quaternion_from_rpy
from vla_runtime.types import Action, GuardContext, Intervention, Verdict

Pose = tuple[Vector, Quaternion]
ROUNDING = 1e-3  # of a quaternion's squared length, which single precision may leave


def commanded_pose(context: GuardContext) -> Pose | None:
    """The pose that the next delta is added to: where the controller was last told to go, else the measured one.

    None where nobody says, and where what they say is no pose: not finite, or a quaternion whose length is not one.
    """
    robot, felt = context.observation.robot, context.observation.proprioception
    if robot is not None:
        x, y, z, *quaternion = robot.commanded_pose
    elif felt is not None:
        x, y, z, *quaternion = felt.end_effector_pose
    else:
        return None
    i, j, k, w = quaternion
    squared = i * i + j * j + k * k + w * w
    if not (math.isfinite(x + y + z) and abs(squared - 1.0) <= ROUNDING):  # also refuses NaN
        return None
    return (x, y, z), (i, j, k, w)


def moved(pose: Pose, action: Action) -> Pose:
    """The pose after a delta in the base frame."""
    (x, y, z), quaternion = pose
    dx, dy, dz, roll, pitch, yaw, _ = action.values
    turn = quaternion_from_rpy((roll, pitch, yaw))
    return (x + dx, y + dy, z + dz), normalized(multiply(turn, quaternion))


def scaled(action: Action, linear: float, angular: float) -> Action:
    """The same direction, a share of the way; the gripper as it was."""
    dx, dy, dz, roll, pitch, yaw, gripper = action.values
    return Action(
        (dx * linear, dy * linear, dz * linear, roll * angular, pitch * angular, yaw * angular, gripper)
    )


def no_pose(guard: str) -> Intervention:
    """HOLD: without a pose nobody knows where an action leads."""
    return Intervention(
        guard, Verdict.HOLD, "the environment reports no tool pose, so nobody knows where the action leads"
    )
