"""Colours that are drawn."""

from colorsys import hsv_to_rgb

import numpy as np

from sim.textures import RGB

Range = tuple[float, float]
# Hue [turns], saturation and value of colours that no thing has:
TURQUOISE: tuple[Range, Range, Range] = ((0.45, 0.55), (0.5, 0.9), (0.35, 0.95))
PINK: tuple[Range, Range, Range] = ((0.86, 0.92), (0.35, 0.65), (0.75, 0.95))
GREY: tuple[Range, Range, Range] = ((0.0, 1.0), (0.0, 0.12), (0.35, 0.95))


def any_colour(rng: np.random.Generator, saturation: Range, value: Range) -> RGB:
    """A colour of any hue, with saturation and value from a range in [0, 1]."""
    return hsv_to_rgb(float(rng.random()), float(rng.uniform(*saturation)), float(rng.uniform(*value)))


def background(rng: np.random.Generator) -> RGB:
    """A colour that stands behind things without hiding any: of a hue that none has, or nearly grey."""
    family = (TURQUOISE, PINK, GREY)[int(rng.integers(3))]
    hue, saturation, value = (float(rng.uniform(*part)) for part in family)
    return hsv_to_rgb(hue, saturation, value)


def near(rgb: RGB, distance: float, rng: np.random.Generator) -> RGB:
    """A colour at most so far away in each of red, green and blue."""
    red, green, blue = np.clip(np.array(rgb) + rng.uniform(-distance, distance, 3), 0.0, 1.0).tolist()
    return (red, green, blue)


def shaded(rgb: RGB, factor: float) -> RGB:
    """A darker colour, or above 1 a lighter one."""
    red, green, blue = (min(channel * factor, 1.0) for channel in rgb)
    return (red, green, blue)
