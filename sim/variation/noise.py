"""The axis `noise`: the camera's sensor. Each picture has noise of its own; the same picture at the same time always the same."""

import numpy as np
from numpy.typing import NDArray

from sim.variation.levels import Level

SIGMA = {"easy": 4.0, "hard": 12.0}  # [levels] of 255: standard deviation in each channel of each pixel


def sigma(level: Level) -> float:
    """Of a level other than none [levels]."""
    return SIGMA[level]


def noisy(image: NDArray[np.uint8], deviation: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A new picture with normal noise of a standard deviation [levels], cut off at black and white."""
    noise = rng.standard_normal(image.shape, np.float32)
    return np.clip(np.rint(image + np.float32(deviation) * noise), 0, 255).astype(np.uint8)
