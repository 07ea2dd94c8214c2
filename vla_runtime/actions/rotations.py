"""Rotations, on plain floats. Quaternions are xyzw and of length one; angles in [rad].

rpy means roll, pitch, yaw: turns about the *fixed* x, y and z axes, in this order. It equals the intrinsic z-y-x
convention of aeronautics read backwards, and scipy's lower-case "xyz".
"""

import math

Quaternion = tuple[float, float, float, float]
Vector = tuple[float, float, float]

IDENTITY: Quaternion = (0.0, 0.0, 0.0, 1.0)


def multiply(first: Quaternion, second: Quaternion) -> Quaternion:
    """The rotation `second`, then `first`, both about fixed axes."""
    x1, y1, z1, w1 = first
    x2, y2, z2, w2 = second
    return (
        w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
        w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
        w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
        w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
    )


def inverse(quaternion: Quaternion) -> Quaternion:
    """The opposite rotation."""
    x, y, z, w = quaternion
    return (-x, -y, -z, w)


def normalized(quaternion: Quaternion) -> Quaternion:
    """Length one, and w >= 0: of the two quaternions of a rotation always the same one."""
    length = math.sqrt(sum(c * c for c in quaternion))
    scale = math.copysign(1.0 / length, quaternion[3])
    x, y, z, w = (c * scale for c in quaternion)
    return (x, y, z, w)


def rotate(quaternion: Quaternion, vector: Vector) -> Vector:
    """A vector after the rotation."""
    x, y, z, _ = multiply(multiply(quaternion, (*vector, 0.0)), inverse(quaternion))
    return (x, y, z)


def quaternion_from_rpy(rpy: Vector) -> Quaternion:
    """Roll, pitch, yaw about the fixed axes."""
    (sr, cr), (sp, cp), (sy, cy) = ((math.sin(a / 2), math.cos(a / 2)) for a in rpy)
    return (
        sr * cp * cy - cr * sp * sy,
        cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
        cr * cp * cy + sr * sp * sy,
    )


def rpy_from_quaternion(quaternion: Quaternion) -> Vector:
    """Roll and yaw in (-pi, pi], pitch in [-pi/2, pi/2]."""
    x, y, z, w = quaternion
    roll = math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
    pitch = math.asin(min(max(2 * (w * y - z * x), -1.0), 1.0))
    yaw = math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    return (roll, pitch, yaw)


def quaternion_from_axis_angle(axis_angle: Vector) -> Quaternion:
    """A vector along the axis, as long as the angle."""
    angle = math.sqrt(sum(c * c for c in axis_angle))
    if angle < 1e-12:
        return IDENTITY
    scale = math.sin(angle / 2) / angle
    return (axis_angle[0] * scale, axis_angle[1] * scale, axis_angle[2] * scale, math.cos(angle / 2))


def axis_angle_from_quaternion(quaternion: Quaternion) -> Vector:
    """A vector along the axis, as long as the angle; the shorter way round, angle in [0, pi]."""
    x, y, z, w = normalized(quaternion)
    sine = math.sqrt(x * x + y * y + z * z)
    if sine < 1e-12:
        return (0.0, 0.0, 0.0)
    scale = 2.0 * math.atan2(sine, w) / sine
    return (x * scale, y * scale, z * scale)
