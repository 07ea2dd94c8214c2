"""The axis `shadows`: whether shadows are drawn. They fall on the background, so with them nothing of it is cached."""

import numpy as np

from sim.variation.levels import Level

SHARE = {"easy": 0.5, "hard": 1.0}  # [share] of the episodes with shadows


def draw_shadows(level: Level, rng: np.random.Generator) -> bool:
    """Whether an episode has shadows, at a level other than none."""
    return bool(rng.random() < SHARE[level])
