"""An arm of revolute joints, as guards ask about it: where is the tool, can it get there, and what comes near what."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from vla_runtime.errors import ConfigurationError
from vla_runtime.kinematics import inverse, settings
from vla_runtime.kinematics.capsules import Clearances
from vla_runtime.kinematics.chain import Chain, Frames, Joints, twists
from vla_runtime.kinematics.frames import Quaternion, Vector, quaternion_of
from vla_runtime.kinematics.inverse import Reach

_Pose = tuple[Joints, Vector, Quaternion]


@final
class SerialArm:
    """Forward and inverse kinematics, joint limits and clearances of one arm, in its base frame.

    Several guards ask the same in one tick, and where one step leads the next one begins: the last answers are remembered.
    An answer depends on the question only: remembered or computed anew, it is the same to the last bit.

    Attributes:
        joint_low_rad, joint_high_rad: Range of each joint [rad].
        joint_velocity_radps: Fastest turn of each joint [rad/s].
    """

    def __init__(
        self,
        joints: Sequence[Mapping[str, Any]],
        tool: Mapping[str, Any],
        joint_low_rad: Sequence[float],
        joint_high_rad: Sequence[float],
        joint_velocity_radps: Sequence[float],
        capsules: Sequence[Mapping[str, Any]],
        pairs: Sequence[Sequence[str]],
        over_table: Sequence[str],
    ) -> None:
        """Check and keep the numbers of an arm.

        Args:
            joints: xyz [m] and rpy [rad] of each joint's frame in the one before it, as in URDF. A joint turns about its
                frame's z axis.
            tool: xyz [m] and rpy [rad] of the tool frame in the last joint's.
            joint_low_rad: Lower limit of each joint [rad].
            joint_high_rad: Upper limit of each joint [rad].
            joint_velocity_radps: Fastest turn of each joint [rad/s].
            capsules: What the arm fills: name; link, 0 the base, i the link behind joint i, the last one the tool; start
                and end [m] in the link's frame; radius [m].
            pairs: Names of two capsules that can meet.
            over_table: Names of capsules that must keep off the table.

        Raises:
            ConfigurationError: In one line: what is wrong, and what would have been right.
        """
        if not joints:
            raise ConfigurationError("arm: 0 joints; expected one or more")
        count = len(joints)
        self.joint_low_rad = settings.numbers("joint_low_rad", joint_low_rad, count)
        self.joint_high_rad = settings.numbers("joint_high_rad", joint_high_rad, count)
        self.joint_velocity_radps = settings.numbers("joint_velocity_radps", joint_velocity_radps, count)
        settings.check_limits(self.joint_low_rad, self.joint_high_rad, self.joint_velocity_radps)
        frames = (settings.frame(f"joint {index}", given) for index, given in enumerate(joints, start=1))
        self._chain = Chain(tuple(frames), settings.frame("tool", tool))
        self._collisions = settings.collision_model(capsules, pairs, over_table, links=count + 2)
        self._last_frames: tuple[Joints, Frames] | None = None
        self._last_reach: tuple[_Pose, inverse.Attempt] | None = None
        self._last_clearances: tuple[Frames, float, Clearances] | None = None

    # ------------------------------------------------------------------------------------------- where things are

    def frames(self, joints: Sequence[float]) -> Frames:
        """Origin [m] and rotation matrix of the base, of the link behind each joint, and of the tool. Joints [rad]."""
        return self._frames(self._angles(joints))

    def tool_pose(self, joints: Sequence[float]) -> tuple[Vector, Quaternion]:
        """Position [m] and quaternion xyzw of the tool. Joints [rad]."""
        position, rotation = self.frames(joints)[-1]
        return position, quaternion_of(rotation)

    # ------------------------------------------------------------------------------------------- how things move

    def jacobian(self, joints: Sequence[float]) -> NDArray[np.float64]:
        """Shape (6, J): how the tool moves as each joint turns. Rows: x y z [m/rad], then about x y z [rad/rad]."""
        return np.array(twists(self.frames(joints))).T

    def condition_number(self, joints: Sequence[float]) -> float:
        """How much easier the tool moves in its easiest direction than in its hardest; infinite at a singular pose.

        The ratio [1] of the largest to the smallest singular value of the Jacobian. It mixes metres and radians: a turn
        of 1 rad counts as much as a way of 1 m, and another scale gives another number. This is the scale, and hence the
        number, of MoveIt Servo, which slows down at 17 and stops at 30.
        """
        values: list[float] = np.linalg.svd(self.jacobian(joints), compute_uv=False).tolist()
        return values[0] / values[-1] if values[-1] > 0.0 else math.inf

    def limit_margins_rad(self, joints: Sequence[float]) -> Joints:
        """How far each joint is from its nearer limit [rad]; negative beyond it. Joints [rad]."""
        limits = zip(self._angles(joints), self.joint_low_rad, self.joint_high_rad, strict=True)
        return tuple(min(angle - low, high - angle) for angle, low, high in limits)

    def reach(self, joints: Sequence[float], position: Vector, quaternion: Quaternion) -> Reach:
        """Joint positions that bring the tool to a pose, near the present ones.

        Args:
            joints: Present joint positions [rad].
            position: Asked for the tool, base frame [m].
            quaternion: Asked for the tool, base frame, xyzw, length one.
        """
        if not math.isfinite(sum(position) + sum(quaternion)):
            raise ValueError(f"tool pose {position} [m], {quaternion} xyzw; expected finite numbers")
        question = (self._angles(joints), position, quaternion)
        last = self._last_reach
        if last is None or last[0] != question:
            start = question[0]
            last = (question, inverse.solve(self._chain, start, self._frames(start), position, quaternion))
            self._last_reach = last
        return last[1].reach

    # -------------------------------------------------------------------------------------------- what comes near

    def clearances(self, joints: Sequence[float], table_z: float) -> Clearances:
        """Smallest distance [m] of the arm to itself and to the table. Joints [rad]; table_z, base frame [m]."""
        frames, last = self.frames(joints), self._last_clearances
        if last is None or last[0] is not frames or last[1] != table_z:
            self._last_clearances = last = (frames, table_z, self._collisions.clearances(frames, table_z))
        return last[2]

    # ------------------------------------------------------------------------------------------------- remembering

    def _angles(self, joints: Sequence[float]) -> Joints:
        """Plain floats: those of numpy compute several times slower."""
        angles = tuple(map(float, joints))
        if len(angles) != len(self.joint_low_rad) or not math.isfinite(sum(angles)):
            raise ValueError(f"joints {angles}; expected {len(self.joint_low_rad)} finite numbers [rad]")
        return angles

    def _frames(self, angles: Joints) -> Frames:
        """Frames of the last question, or of the last answer of `reach`, or new ones."""
        frames, reach = self._last_frames, self._last_reach
        if frames is not None and frames[0] == angles:
            return frames[1]
        if reach is not None and reach[1].reach.joints == angles:
            return reach[1].frames
        self._last_frames = (angles, self._chain.frames(angles))
        return self._last_frames[1]
