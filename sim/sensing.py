"""What a robot's controller can say about itself and about what pushes against it: what guards judge on.

All of it is known to a real arm as well (a Panda estimates external forces from its torque sensors); nothing here tells
where things are.
"""

from dataclasses import dataclass

from sim.world import Vector

FORCE_WINDOW_S = 0.050  # [s] over which external forces are averaged
CLEARANCE_RANGE_M = 0.30  # [m] clearances are not measured beyond this


@dataclass(frozen=True)
class Sensing:
    """One reading.

    Attributes:
        commanded_pose: Where the controller was last told to bring the tool: 3 numbers [m] and quaternion xyzw.
        joint_velocities: 7 numbers [rad/s].
        joint_torques: Of the motors, 7 numbers [N m].
        commanded_joints: The targets that the motors have now, 7 numbers [rad].
        external_force: Sum of all contact forces that others exert on the robot, averaged over the last 50 ms, world
            frame [N]. What the two fingers squeeze cancels out; the weight of a held thing remains.
        peak_force_n: The largest norm of that average since the last command [N].
        clearance_m: The smallest distance [m] between the table and the arm without its fingers, or between links of
            the arm that are three or more joints apart; 0.30 where nothing is nearer than that.
        protective_stop: Why the robot has stopped itself, in words; None while it moves.
    """

    commanded_pose: tuple[float, ...]
    joint_velocities: tuple[float, ...]
    joint_torques: tuple[float, ...]
    commanded_joints: tuple[float, ...]
    external_force: Vector
    peak_force_n: float
    clearance_m: float
    protective_stop: str | None
