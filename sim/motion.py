"""Paths along which things are driven over the table: closed, smooth, travelled at a steady speed without end."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

POINTS = 720  # along a loop: 0.7 mm apart on half a metre
START_S = 0.5  # [s] in which the full speed is reached
WAVES = ((2, 0.20), (3, 0.12))  # waves round a loop, and by how much of its radius each may swing
Span = tuple[float, float]
Path = Callable[[float], Span]  # from time since the start [s] to x, y [m]


@dataclass(frozen=True)
class Loop:
    """A closed path.

    Attributes:
        points: Shape (n, 2): x, y [m]; the first follows the last.
        lengths: Shape (n,): way from the first point to each [m].
        speed_mps: [m/s].
    """

    points: NDArray[np.float64]
    lengths: NDArray[np.float64]
    speed_mps: float

    @classmethod
    def through(cls, points: NDArray[np.float64], speed_mps: float) -> "Loop":
        """Along points of shape (n, 2) [m] of which the last is the first again."""
        legs = np.hypot(*np.diff(points, axis=0).T)
        return cls(points, np.concatenate([[0.0], np.cumsum(legs)]), speed_mps)

    def __call__(self, time_s: float) -> Span:
        """Where it is some time after its start from rest, x and y [m]."""
        if time_s < START_S:
            way = self.speed_mps * time_s**2 / (2.0 * START_S)
        else:
            way = self.speed_mps * (time_s - START_S / 2.0)
        way = math.fmod(way, float(self.lengths[-1]))
        x, y = (float(np.interp(way, self.lengths, axis)) for axis in self.points.T)
        return x, y

    def distance(self, x: float, y: float) -> float:
        """From a place to the nearest point of the path [m]."""
        return float(np.hypot(self.points[:, 0] - x, self.points[:, 1] - y).min())


def draw_loop(rng: np.random.Generator, centre: Span, radii: Span, speed_mps: float) -> Loop:
    """A loop round a centre whose turns are random: an ellipse with two random waves on it.

    Args:
        rng: The stream of paths.
        centre: x, y [m].
        radii: Along x and y, not exceeded [m].
        speed_mps: [m/s].
    """
    start, way_round = rng.uniform(-np.pi, np.pi), rng.choice([-1.0, 1.0])
    angles = start + way_round * np.linspace(0.0, 2.0 * np.pi, POINTS + 1)
    radius = np.ones_like(angles)
    for waves, most in WAVES:
        radius += rng.uniform(0.0, most) * np.cos(waves * angles + rng.uniform(-np.pi, np.pi))
    radius /= 1.0 + sum(most for _, most in WAVES)
    x = centre[0] + radii[0] * radius * np.cos(angles)
    y = centre[1] + radii[1] * radius * np.sin(angles)
    return Loop.through(np.stack([x, y], axis=1), speed_mps)
