"""The axis `physics`: things are lighter or heavier, and slip or stick."""

import math
from dataclasses import dataclass

import numpy as np

from sim.variation.levels import Level

MASS = {"easy": 1.5, "hard": 3.0}  # [factor] at most, up or down
FRICTION = {"easy": 1.2, "hard": 1.5}  # [factor] at most, up or down


@dataclass(frozen=True)
class Substance:
    """What a thing is made of, beside what it usually is.

    Attributes:
        mass: Factor of its mass.
        friction: Factor of its sideways friction.
    """

    mass: float
    friction: float


def draw_substance(level: Level, rng: np.random.Generator) -> Substance:
    """Of one thing, at a level other than none; twice is as likely as half."""
    up_or_down = rng.uniform(-1.0, 1.0, 2)
    logs = (math.log(MASS[level]), math.log(FRICTION[level]))
    return Substance(*(math.exp(share * log) for share, log in zip(up_or_down, logs, strict=True)))
