"""Rotations of the controller and the expert. Angles [rad], quaternions xyzw, rpy turns about the fixed x, y, z axes."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim.bullet import pybullet as p
from sim.world import Quaternion, Vector

POINTING_DOWN: Quaternion = (1.0, 0.0, 0.0, 0.0)  # the tool's z axis is -z of the world


def turned(quaternion: Quaternion, rpy: Vector) -> Quaternion:
    """A rotation followed by a turn about the fixed axes: first x, then y, then z."""
    delta = p.getQuaternionFromEuler(rpy)
    return normalised(p.multiplyTransforms((0, 0, 0), delta, (0, 0, 0), quaternion)[1])


def rpy_between(start: Quaternion, goal: Quaternion) -> Vector:
    """The turn about the fixed axes that leads from one rotation to another: `turned(start, it) == goal`."""
    inverse = (-start[0], -start[1], -start[2], start[3])
    delta = p.multiplyTransforms((0, 0, 0), goal, (0, 0, 0), inverse)[1]
    return p.getEulerFromQuaternion(delta)


def down_at_yaw(yaw: float) -> Quaternion:
    """The tool pointing straight down, its x axis at a heading."""
    return (math.cos(yaw / 2), math.sin(yaw / 2), 0.0, 0.0)


def heading(axis: Vector) -> float:
    """Direction of a vector in the table plane."""
    return math.atan2(axis[1], axis[0])


def wrapped(angle: float, period: float = 2 * math.pi) -> float:
    """The same angle within half a period of zero."""
    return angle - period * round(angle / period)


def turn_about(axis: ArrayLike, angle: float) -> NDArray[np.float64]:
    """Rotation matrix of a right-handed turn about an axis of any length, shape (3, 3)."""
    x, y, z = np.asarray(axis, float) / np.linalg.norm(axis)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + math.sin(angle) * cross + (1.0 - math.cos(angle)) * cross @ cross


def vector(values: ArrayLike) -> Vector:
    """Three numbers as plain floats."""
    x, y, z = np.asarray(values, float).tolist()
    return (x, y, z)


def normalised(quaternion: Quaternion) -> Quaternion:
    """Length one."""
    length = math.sqrt(sum(c * c for c in quaternion))
    x, y, z, w = (c / length for c in quaternion)
    return (x, y, z, w)
