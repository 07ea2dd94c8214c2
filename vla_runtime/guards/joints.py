"""The joints that an action leads to: what every guard of the arm's joints asks first."""

from vla_runtime.guards.poses import moved
from vla_runtime.kinematics.inverse import Reach
from vla_runtime.kinematics.serial_arm import SerialArm
from vla_runtime.types import Action, GuardContext

Joints = tuple[float, ...]


def present_joints(context: GuardContext) -> Joints | None:
    """Where the controller was last told to bring the joints, else the measured ones [rad]; None when nobody says."""
    robot, felt = context.observation.robot, context.observation.proprioception
    if robot is not None and robot.commanded_joints:
        return robot.commanded_joints
    return felt.joint_positions if felt is not None and felt.joint_positions else None


def reach(arm: SerialArm, joints: Joints, action: Action, context: GuardContext) -> Reach | None:
    """The joints for the pose that an action leads to, from present ones; None without a pose. Asked again, it is free."""
    pose = context.commanded_pose
    return None if pose is None else arm.reach(joints, *moved(pose, action))
