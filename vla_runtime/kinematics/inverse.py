"""Which joint positions bring the tool to a pose: damped least squares from where the joints are.

Each step solves `twists` for the turn of the joints, least squares with a penalty on large turns that keeps it calm near
singular poses. Of the solutions of a redundant arm it takes the one that turns least, so that nothing drifts between
two calls. One factorisation serves several steps as long as they bring the tool much nearer: for a short way the first is
the only one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_runtime.kinematics.chain import Chain, Frames, Joints, twists
from vla_runtime.kinematics.frames import Quaternion, Vector, quaternion_of, turn_between

POSITION_TOLERANCE_M = 2e-4  # [m] a fifth of the finest thing that a guard asks, 1 mm above the table
ROTATION_TOLERANCE_RAD = math.radians(0.02)  # [rad] 0.1 mm at the end of a 30 cm long thing in the hand
MOST_STEPS = 20  # [steps] of which a control step needs two or three; all of them near singular poses only
DAMPING = (
    0.01  # [m/rad] small beside the singular values of a usable pose, down to about 0.06 at condition 30
)
DAMPING_FACTOR = 3.0  # [1] damping after a step that led away, over that before it
SLOW = 0.2  # [1] residual after a step over that before it, from which on the Jacobian is renewed
IDENTITY = np.eye(6)


@dataclass(frozen=True)
class Reach:
    """Joint positions for a tool pose, and what is missing to it.

    Attributes:
        joints: [rad]. Not kept inside the joint limits: whoever asks wants to see that they would be left.
        position_error_m: Distance of the tool from the asked position [m].
        rotation_error_rad: Angle of the tool from the asked rotation [rad].
        steps: After how many steps these joints were found [steps].
    """

    joints: Joints
    position_error_m: float
    rotation_error_rad: float
    steps: int

    @property
    def arrived(self) -> bool:
        """Whether both errors are within tolerance: 0.2 mm and 0.02 degrees."""
        return (
            self.position_error_m <= POSITION_TOLERANCE_M
            and self.rotation_error_rad <= ROTATION_TOLERANCE_RAD
        )


@dataclass(frozen=True)
class Attempt:
    """Joint positions on the way to a pose.

    Attributes:
        reach: The joints [rad], the size of both errors, and after how many steps [steps].
        frames: Of the links at these joints.
        error: Missing to the pose: x y z [m] and turn about x y z [rad].
    """

    reach: Reach
    frames: Frames
    error: tuple[float, ...]

    @property
    def residual(self) -> float:
        """Both errors in one number, a radian counted as a metre."""
        return math.hypot(self.reach.position_error_m, self.reach.rotation_error_rad)


def solve(chain: Chain, start: Joints, frames: Frames, position: Vector, quaternion: Quaternion) -> Attempt:
    """Joint positions [rad] that bring the tool to a pose, or as near as a fixed number of steps leads.

    Args:
        chain: The arm.
        start: Joint positions to begin with [rad].
        frames: Of the links at these joint positions.
        position: Of the tool, base frame [m].
        quaternion: Of the tool, base frame, xyzw, length one.
    """
    best = _attempt(start, frames, position, quaternion, 0)
    damping, solver = DAMPING, None
    for step in range(1, MOST_STEPS + 1):
        if best.reach.arrived:
            break
        if solver is None:
            solver = _solver(best.frames, damping)
        joints = _moved(best.reach.joints, best.error, solver)
        new = _attempt(joints, chain.frames(joints), position, quaternion, step)
        if new.residual > SLOW * best.residual:
            solver = None
            damping = _next_damping(damping, better=new.residual < best.residual)
        if new.residual < best.residual:
            best = new
    return best


def _attempt(joints: Joints, frames: Frames, position: Vector, quaternion: Quaternion, step: int) -> Attempt:
    (x, y, z), rotation = frames[-1]
    dx, dy, dz = position[0] - x, position[1] - y, position[2] - z
    rx, ry, rz = turn_between(quaternion_of(rotation), quaternion)
    reach = Reach(joints, math.hypot(dx, dy, dz), math.hypot(rx, ry, rz), step)
    return Attempt(reach, frames, (dx, dy, dz, rx, ry, rz))


def _solver(frames: Frames, damping: float) -> NDArray[np.floating[Any]]:
    """Shape (6, J): the turn of the joints for each unit of error."""
    columns = np.array(twists(frames))
    return np.linalg.solve(columns.T @ columns + damping * damping * IDENTITY, columns.T)


def _moved(joints: Joints, error: Sequence[float], solver: NDArray[np.floating[Any]]) -> Joints:
    turns: list[float] = (error @ solver).tolist()
    return tuple(angle + turn for angle, turn in zip(joints, turns, strict=True))


def _next_damping(damping: float, *, better: bool) -> float:
    return max(damping / DAMPING_FACTOR, DAMPING) if better else damping * DAMPING_FACTOR
