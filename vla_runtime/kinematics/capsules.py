"""The arm as capsules: how near it comes to itself and to the table.

A capsule is all points within a radius of a line segment, so the distance of two is that of their segments less both
radii. It is negative where they overlap.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vla_runtime.kinematics.chain import Frames
from vla_runtime.kinematics.frames import Frame, Vector

PARALLEL = 1e-9  # [1] squared sine of the angle between two segments below which any point of one is taken as nearest


@dataclass(frozen=True)
class Capsule:
    """A capsule that moves with a link.

    Attributes:
        name: What it stands for.
        link: Index of its frame: 0 the base, i the link behind joint i, the last one the tool.
        start, end: Ends of its segment, in the link's frame [m].
        radius: [m].
    """

    name: str
    link: int
    start: Vector
    end: Vector
    radius: float


@dataclass(frozen=True)
class Clearances:
    """What comes nearest.

    Attributes:
        self_distance_m: Between the two parts of the arm that are nearest to each other [m]; negative: they overlap.
        self_pair: Their names.
        table_distance_m: From the table up to the lowest part of the arm that must keep off it [m].
        table_capsule: Its name.
    """

    self_distance_m: float
    self_pair: tuple[str, str]
    table_distance_m: float
    table_capsule: str


@dataclass(frozen=True)
class CollisionModel:
    """Which capsules there are, and which of them are looked at.

    Attributes:
        capsules: All of them.
        pairs: Indices of two that can meet.
        over_table: Indices of those that must keep off the table.
    """

    capsules: tuple[Capsule, ...]
    pairs: tuple[tuple[int, int], ...]
    over_table: tuple[int, ...]

    def clearances(self, frames: Frames, table_z: float) -> Clearances:
        """The smallest distances [m], for frames of the links and the height of the table [m] in the base frame."""
        placed = [_placed(capsule, frames[capsule.link]) for capsule in self.capsules]
        self_distance, (one, other) = self._nearest_pair(placed)
        table_distance, lowest = min((_lowest(placed[index]) - table_z, index) for index in self.over_table)
        names = [capsule.name for capsule in self.capsules]
        return Clearances(self_distance, (names[one], names[other]), table_distance, names[lowest])

    def _nearest_pair(self, placed: Sequence["_Placed"]) -> tuple[float, tuple[int, int]]:
        """Balls round the capsules rule out most pairs before their segments are looked at."""
        nearest, pair = math.inf, (0, 0)
        for one, other in self.pairs:
            first, second = placed[one], placed[other]
            if _ball_distance(first, second) < nearest:
                distance = _segment_distance(first, second) - first.radius - second.radius
                if distance < nearest:
                    nearest, pair = distance, (one, other)
        return nearest, pair


class _Placed(NamedTuple):
    """A capsule in the base frame [m]; `ball_radius` is that of the ball round all of it."""

    start: Vector
    along: Vector
    centre: Vector
    radius: float
    ball_radius: float


def _placed(capsule: Capsule, frame: Frame) -> _Placed:
    (ox, oy, oz), ((a, b, c), (d, e, f), (g, h, i)) = frame
    (sx, sy, sz), (ex, ey, ez) = capsule.start, capsule.end
    x, y, z = ex - sx, ey - sy, ez - sz
    dx, dy, dz = a * x + b * y + c * z, d * x + e * y + f * z, g * x + h * y + i * z
    x = ox + a * sx + b * sy + c * sz
    y = oy + d * sx + e * sy + f * sz
    z = oz + g * sx + h * sy + i * sz
    centre = (x + dx / 2, y + dy / 2, z + dz / 2)
    ball_radius = math.sqrt(dx * dx + dy * dy + dz * dz) / 2 + capsule.radius
    return _Placed((x, y, z), (dx, dy, dz), centre, capsule.radius, ball_radius)


def _lowest(placed: _Placed) -> float:
    return placed.start[2] + min(placed.along[2], 0.0) - placed.radius


def _ball_distance(first: _Placed, second: _Placed) -> float:
    """Never more than the distance of the two capsules."""
    return math.dist(first.centre, second.centre) - first.ball_radius - second.ball_radius


def _segment_distance(first: _Placed, second: _Placed) -> float:
    """Distance of two segments: the nearest points of their lines, brought back into both segments.

    After Ericson, Real-Time Collision Detection, 5.1.9: s and t in [0, 1] run along the first and the second.
    """
    (px, py, pz), (ux, uy, uz), *_ = first
    (qx, qy, qz), (vx, vy, vz), *_ = second
    wx, wy, wz = px - qx, py - qy, pz - qz
    uu, vv = ux * ux + uy * uy + uz * uz, vx * vx + vy * vy + vz * vz
    uv = ux * vx + uy * vy + uz * vz
    uw, vw = ux * wx + uy * wy + uz * wz, vx * wx + vy * wy + vz * wz
    crossed = uu * vv - uv * uv
    s = _within((uv * vw - uw * vv) / crossed) if crossed > PARALLEL * uu * vv else 0.0
    t = (uv * s + vw) / vv if vv > 0.0 else 0.0
    if vv == 0.0 or not 0.0 <= t <= 1.0:
        t = _within(t)
        s = _within((uv * t - uw) / uu) if uu > 0.0 else 0.0
    return math.hypot(wx + s * ux - t * vx, wy + s * uy - t * vy, wz + s * uz - t * vz)


def _within(value: float) -> float:
    return min(max(value, 0.0), 1.0)
