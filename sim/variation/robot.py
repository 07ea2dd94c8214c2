"""The axis `robot`: the arm's paint, and how finely it is drawn."""

import numpy as np

from sim.robots.paint import Paint
from sim.textures import RGB
from sim.variation.colours import any_colour, near, shaded
from sim.variation.levels import Level

USUAL_LIGHT: RGB = (0.93, 0.93, 0.92)  # as in panda.urdf
USUAL_DARK: RGB = (0.22, 0.23, 0.25)
HULLS_SHARE = 0.5  # [share] of the hard episodes in which the arm is drawn as its hulls


def draw_paint(level: Level, rng: np.random.Generator) -> Paint:
    """The arm's look at a level other than none. Easy: shades of its own. Hard: strong colours, and at times hulls."""
    if level == "easy":
        light = near(shaded(USUAL_LIGHT, rng.uniform(0.75, 1.05)), 0.04, rng)
        return Paint(light, near(shaded(USUAL_DARK, rng.uniform(0.5, 1.8)), 0.04, rng))
    light = any_colour(rng, saturation=(0.5, 1.0), value=(0.45, 1.0))
    dark = any_colour(rng, saturation=(0.3, 1.0), value=(0.10, 0.45))
    return Paint(light, dark, hulls=bool(rng.random() < HULLS_SHARE))
