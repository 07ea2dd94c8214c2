"""Where an action would bring the tool."""

from vla_runtime.actions.rotations import multiply, normalized, quaternion_from_rpy
from vla_runtime.types import Action, Intervention, Pose, Verdict


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
