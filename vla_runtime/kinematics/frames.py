"""Frames in space on plain floats: numpy takes longer to be called than these take to compute.

A frame is an origin [m] and a rotation matrix as three rows, both in the parent's or in the base frame. Quaternions are
xyzw and of length one.
"""

import math

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]
Matrix = tuple[Vector, Vector, Vector]
Frame = tuple[Vector, Matrix]

BASE: Frame = ((0.0, 0.0, 0.0), ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))


def frame_from(xyz: Vector, rpy: Vector) -> Frame:
    """A frame as URDF writes it: origin [m]; turns [rad] about the fixed x, y and z axes, in this order."""
    (sr, cr), (sp, cp), (sy, cy) = ((math.sin(angle), math.cos(angle)) for angle in rpy)
    return xyz, (
        (cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr),
        (sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr),
        (-sp, cp * sr, cp * cr),
    )


def attached(parent: Frame, child: Frame) -> Frame:
    """A frame that is given in the parent's, in the frame that the parent is given in."""
    (px, py, pz), ((a, b, c), (d, e, f), (g, h, i)) = parent
    (x, y, z), ((j, k, l), (m, n, o), (q, r, s)) = child  # noqa: E741 nine letters in a row
    return (
        (px + a * x + b * y + c * z, py + d * x + e * y + f * z, pz + g * x + h * y + i * z),
        (
            (a * j + b * m + c * q, a * k + b * n + c * r, a * l + b * o + c * s),
            (d * j + e * m + f * q, d * k + e * n + f * r, d * l + e * o + f * s),
            (g * j + h * m + i * q, g * k + h * n + i * r, g * l + h * o + i * s),
        ),
    )


def turned(frame: Frame, angle: float) -> Frame:
    """A frame turned about its own z axis by an angle [rad]."""
    origin, ((a, b, c), (d, e, f), (g, h, i)) = frame
    sine, cosine = math.sin(angle), math.cos(angle)
    return origin, (
        (cosine * a + sine * b, cosine * b - sine * a, c),
        (cosine * d + sine * e, cosine * e - sine * d, f),
        (cosine * g + sine * h, cosine * h - sine * g, i),
    )


def quaternion_of(rotation: Matrix) -> Quaternion:
    """The quaternion with w >= 0. Divides by the largest of its four numbers, so that none loses digits."""
    (a, b, c), (d, e, f), (g, h, i) = rotation
    if a + e + i > 0.0:
        w = math.sqrt(1.0 + a + e + i) / 2.0
        return ((h - f) / (4.0 * w), (c - g) / (4.0 * w), (d - b) / (4.0 * w), w)
    if a >= e and a >= i:
        x = math.copysign(math.sqrt(1.0 + a - e - i) / 2.0, h - f)
        return (x, (b + d) / (4.0 * x), (c + g) / (4.0 * x), (h - f) / (4.0 * x))
    if e >= i:
        y = math.copysign(math.sqrt(1.0 - a + e - i) / 2.0, c - g)
        return ((b + d) / (4.0 * y), y, (f + h) / (4.0 * y), (c - g) / (4.0 * y))
    z = math.copysign(math.sqrt(1.0 - a - e + i) / 2.0, d - b)
    return ((c + g) / (4.0 * z), (f + h) / (4.0 * z), z, (d - b) / (4.0 * z))


def turn_between(present: Quaternion, target: Quaternion) -> Vector:
    """The turn from one rotation to another about the base frame's axes, the shorter way: axis times angle [rad]."""
    x1, y1, z1, w1 = target
    x2, y2, z2, w2 = present
    x = w2 * x1 - w1 * x2 - y1 * z2 + z1 * y2
    y = w2 * y1 - w1 * y2 - z1 * x2 + x1 * z2
    z = w2 * z1 - w1 * z2 - x1 * y2 + y1 * x2
    w = w1 * w2 + x1 * x2 + y1 * y2 + z1 * z2
    sine = math.sqrt(x * x + y * y + z * z)
    if sine == 0.0:
        return (0.0, 0.0, 0.0)
    scale = 2.0 * math.atan2(math.copysign(sine, w), abs(w)) / sine
    return (x * scale, y * scale, z * scale)
