"""Franka Emika Panda with its parallel gripper.

The tool frame is the point between the finger pads: z out of the hand, y along which the fingers close. Pointing
straight down its rotation is a half turn about x. Commands are tool poses; damped inverse kinematics turns them into
joint targets, and the joints are moved there on a straight line over the control period.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from sim.bullet import pybullet as p
from sim.robots.paint import PLAIN, Paint, paint, urdf_file
from sim.robots.reflex import Reflex
from sim.sensing import CLEARANCE_RANGE_M
from sim.world import SUBSTEP_S, Quaternion, Vector, World

ARM_JOINTS = (0, 1, 2, 3, 4, 5, 6)
FINGER_JOINTS = (9, 10)
HAND_LINK, TOOL_LINK = 8, 11
JOINT_LIMITS = (  # [rad], Franka's datasheet
    (-2.8973, 2.8973), (-1.7628, 1.7628), (-2.8973, 2.8973), (-3.0718, -0.0698),
    (-2.8973, 2.8973), (-0.0175, 3.7525), (-2.8973, 2.8973),
)  # fmt: skip
JOINT_EFFORTS = (87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0)  # [N m]
GRIPPER_WIDTH = 0.08  # [m] between the fingers when open
FINGER_SPEED = 0.2  # [m/s]
GRIP_FORCE = 20.0  # [N] per finger; 2 to 60 hold as well
HOME = (0.0, -0.35, 0.0, -2.32, 0.0, 1.97, 0.785)  # [rad]
COLLISION_FORCE = 20.0  # [N]
POSITION_GAIN = 0.1  # of Bullet's joint motors, per substep
LAG_S = 0.035  # [s] by which the tool follows targets that move steadily, because of that gain (measured)
SUBSTEPS_PER_TARGET = 4  # joint targets are renewed this often along the line
BACK_OFF_INTERVALS = 3  # [motor intervals] a protective stop goes back to where the arm was that long ago
LINKS_OVER_TABLE = range(
    1, HAND_LINK + 1
)  # without the foot, which stands on the table, and without the fingers
LINKS_THAT_COULD_MEET = tuple(
    (first, second)
    for first in range(-1, 4)  # -1 is the foot
    for second in (
        *range(first + 3, 7),
        HAND_LINK,
    )  # nearer ones are always close; the hand is fixed to link 6
)
FINGER_STEP = FINGER_SPEED * SUBSTEPS_PER_TARGET * SUBSTEP_S  # [m] between two targets


@dataclass(frozen=True)
class RobotReading:
    """What the robot's own sensors say.

    Attributes:
        joint_positions: 7 numbers [rad].
        tool_position: Base frame [m].
        tool_quaternion: Base frame, xyzw.
        gripper_opening: 0 closed to 1 open.
    """

    joint_positions: tuple[float, ...]
    tool_position: Vector
    tool_quaternion: Quaternion
    gripper_opening: float


class Panda:
    """A Panda in a world. `load` before anything else, and again after each `World.clear`."""

    name = "panda"
    gripper_width = GRIPPER_WIDTH

    def __init__(
        self, home: tuple[float, ...] = HOME, collision_force_n: float | None = COLLISION_FORCE
    ) -> None:
        """Set the pose to start in and the collision reflex.

        Args:
            home: Joint positions at the start of an episode, 7 numbers [rad].
            collision_force_n: Average external force above which the arm stops itself until the next reset [N]; None:
                it presses on with all its strength.
        """
        self.home = tuple(float(angle) for angle in home)
        self.reflex = Reflex(collision_force_n)
        self._body = -1
        self._client = -1
        self._begin = self.home
        self._rest()

    def load(self, world: World, look: Paint = PLAIN, offsets: tuple[float, ...] = ()) -> None:
        """Put the robot into the world with an open gripper.

        Args:
            world: Without it.
            look: Its paint.
            offsets: Of each joint from its home angle [rad]; empty: at home.
        """
        self._begin = tuple(
            min(max(angle + offset, low), high)
            for angle, offset, (low, high) in zip(
                self.home, offsets or (0.0,) * len(self.home), JOINT_LIMITS, strict=True
            )
        )
        client = self._client = world.client
        body = self._body = p.loadURDF(urdf_file(look), useFixedBase=True, physicsClientId=client)
        paint(client, body, look)
        world.bodies[self.name] = body
        for joint, angle in zip(ARM_JOINTS, self._begin, strict=True):
            p.resetJointState(body, joint, angle, physicsClientId=client)
        for joint in FINGER_JOINTS:
            p.resetJointState(body, joint, GRIPPER_WIDTH / 2.0, physicsClientId=client)
        self._couple_fingers()
        self.reflex.start()
        self._rest()
        self._drive()

    def _rest(self) -> None:
        self._joint_target, self._joint_step = np.array(self._begin), np.zeros(len(ARM_JOINTS))
        self._legs_left = 0
        self._trail = deque([self._begin], BACK_OFF_INTERVALS)
        self._finger_target = self._finger_goal = GRIPPER_WIDTH / 2.0

    def _couple_fingers(self) -> None:
        """Gear the fingers together: without it a held object walks sideways at about 3 mm/s."""
        gear = p.createConstraint(
            self._body, FINGER_JOINTS[0], self._body, FINGER_JOINTS[1], p.JOINT_GEAR,
            (1.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), physicsClientId=self._client,
        )  # fmt: skip
        p.changeConstraint(gear, gearRatio=-1, erp=0.1, maxForce=50, physicsClientId=self._client)

    # ------------------------------------------------------------------------------------------------- sensing

    def tool_pose(self) -> tuple[Vector, Quaternion]:
        """Position [m] and quaternion xyzw of the tool frame."""
        state = p.getLinkState(self._body, TOOL_LINK, physicsClientId=self._client)
        return state[4], state[5]

    def gripper_opening(self) -> float:
        """0 closed to 1 open, from the finger joints."""
        fingers = p.getJointStates(self._body, FINGER_JOINTS, physicsClientId=self._client)
        return (fingers[0][0] + fingers[1][0]) / GRIPPER_WIDTH

    def read(self) -> RobotReading:
        """All readings at once."""
        joints = p.getJointStates(self._body, ARM_JOINTS + FINGER_JOINTS, physicsClientId=self._client)
        position, quaternion = self.tool_pose()
        opening = (joints[7][0] + joints[8][0]) / GRIPPER_WIDTH
        return RobotReading(tuple(state[0] for state in joints[:7]), position, quaternion, opening)

    def gripped(self, world: World) -> str | None:
        """The name of a body that both fingers touch, or None."""
        left, right = (world.touched_by(self._body, finger) for finger in FINGER_JOINTS)
        both = (left & right) - {self._body} if left else left
        return world.name_of(min(both)) if both else None

    def joint_motion(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Joint velocities [rad/s] and motor torques [N m]."""
        joints = p.getJointStates(self._body, ARM_JOINTS, physicsClientId=self._client)
        return tuple(state[1] for state in joints), tuple(state[3] for state in joints)

    @property
    def joint_targets(self) -> tuple[float, ...]:
        """What the motors are told now, 7 numbers [rad]."""
        return tuple(self._joint_target.tolist())

    def clearance(self, table: int) -> float:
        """The smallest distance [m] from the arm to the table (Bullet's number) or between links that could meet."""
        under = p.getClosestPoints(self._body, table, CLEARANCE_RANGE_M, physicsClientId=self._client)
        distances = [point[8] for point in under if point[3] in LINKS_OVER_TABLE]
        for first, second in LINKS_THAT_COULD_MEET:
            between = p.getClosestPoints(
                self._body, self._body, CLEARANCE_RANGE_M, first, second, physicsClientId=self._client
            )
            distances += [point[8] for point in between]
        return min(distances, default=CLEARANCE_RANGE_M)

    # -------------------------------------------------------------------------------------------------- moving

    def solve(self, position: Vector, quaternion: Quaternion) -> tuple[float, ...]:
        """Joint positions [rad] that bring the tool to a pose, kept inside the joint limits."""
        solution = p.calculateInverseKinematics(
            self._body,
            TOOL_LINK,
            position,
            quaternion,
            jointDamping=[0.05] * 9,
            maxNumIterations=100,
            residualThreshold=1e-5,
            physicsClientId=self._client,
        )
        return tuple(
            min(max(angle, low), high) for angle, (low, high) in zip(solution, JOINT_LIMITS, strict=False)
        )

    def aim(self, joint_target: tuple[float, ...], opening: float, substeps: int) -> None:
        """Set out for joint targets [rad] and a gripper opening (0 to 1), to be reached in a number of substeps.

        What was left of the way to earlier targets is dropped. After a protective stop nothing moves any more.
        """
        self.reflex.begin_command()
        if self.reflex.reason is not None:
            return
        self._legs_left = substeps // SUBSTEPS_PER_TARGET
        self._joint_step = (np.array(joint_target) - self._joint_target) / self._legs_left
        self._finger_goal = opening * GRIPPER_WIDTH / 2.0

    def advance(self, world: World, substeps: int) -> None:
        """Let a multiple of SUBSTEPS_PER_TARGET pass: move on, and hold the last joint targets once they are reached."""
        for _ in range(substeps // SUBSTEPS_PER_TARGET):
            if self._legs_left > 0:
                self._joint_target = self._joint_target + self._joint_step
                self._legs_left -= 1
            self._finger_target += min(
                max(self._finger_goal - self._finger_target, -FINGER_STEP), FINGER_STEP
            )
            self._drive()
            self._pass_interval(world)

    def _pass_interval(self, world: World) -> None:
        """Let one motor interval pass, and feel after each substep: rigid contacts build up within two."""
        if self.reflex.limit_n is not None and self.reflex.reason is None:
            self._trail.append(self.read().joint_positions)
        for _ in range(SUBSTEPS_PER_TARGET):
            world.step()
            if self.reflex.feel(world.force_on(self.name)):
                self._stop()

    def _stop(self) -> None:
        """Stop for good, at where the arm was just before: where it is now it would go on pressing."""
        self._joint_target = np.array(self._trail[0])
        self._legs_left = 0
        self._finger_goal = self._finger_target
        self._drive()

    def _drive(self) -> None:
        p.setJointMotorControlArray(
            self._body,
            ARM_JOINTS + FINGER_JOINTS,
            p.POSITION_CONTROL,
            targetPositions=[*self._joint_target, self._finger_target, self._finger_target],
            positionGains=[POSITION_GAIN] * 9,
            forces=[*JOINT_EFFORTS, GRIP_FORCE, GRIP_FORCE],
            physicsClientId=self._client,
        )
