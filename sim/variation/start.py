"""The axis `start`: the arm begins elsewhere, each joint a little off its home angle."""

import numpy as np

from sim.variation.levels import Level

JOINTS = 7
OFFSET_RAD = {
    "easy": 0.05,
    "hard": 0.15,
}  # [rad] at most of each joint; the tool is then up to 5 and 15 cm elsewhere


def draw_offsets(level: Level, rng: np.random.Generator) -> tuple[float, ...]:
    """Of each joint [rad], at a level other than none; each as likely as any other within its bounds."""
    return tuple(float(offset) for offset in rng.uniform(-OFFSET_RAD[level], OFFSET_RAD[level], JOINTS))
