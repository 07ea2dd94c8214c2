"""The axis `light`: where it comes from, how strong it is, and how warm."""

import math
from dataclasses import dataclass, replace

import numpy as np

from sim.cameras import Light
from sim.textures import RGB
from sim.variation.levels import Level
from sim.world import Vector

WHITE_K = 6500.0  # [K] of the light that leaves colours as they are
WAVELENGTHS_M = np.array([600e-9, 550e-9, 450e-9])  # [m] red, green, blue
PLANCK_MK = 0.014388  # [m K] Planck's second radiation constant
ELEVATION_DEG = (25.0, 80.0)  # [deg] above the table; lower, the table top would be dark


@dataclass(frozen=True)
class Spread:
    """How far a level goes from the usual light.

    Attributes:
        azimuth_deg, elevation_deg: At most to either side [deg].
        ambient, diffuse: Share of the usual coefficient, at most up or down.
        specular: Added to the usual coefficient, at most.
        kelvin: Lowest and highest colour temperature [K].
    """

    azimuth_deg: float
    elevation_deg: float
    ambient: float
    diffuse: float
    specular: float
    kelvin: tuple[float, float]


SPREADS = {
    "easy": Spread(30.0, 10.0, 0.15, 0.25, 0.05, (5200.0, 8500.0)),
    "hard": Spread(180.0, 30.0, 0.35, 0.60, 0.40, (2800.0, 15000.0)),
}


def draw_light(level: Level, rng: np.random.Generator, usual: Light) -> tuple[Light, float]:
    """A light about the usual one at a level other than none, and its colour temperature [K]."""
    spread = SPREADS[level]
    azimuth, elevation, ambient, diffuse = rng.uniform(-1.0, 1.0, 4).tolist()
    shine, warmth = rng.uniform(0.0, 1.0, 2).tolist()
    low, high = (1.0 / kelvin for kelvin in spread.kelvin)  # even steps of 1/T look even
    kelvin = 1.0 / (low + warmth * (high - low))
    light = replace(
        usual,
        direction=_turned(usual.direction, azimuth * spread.azimuth_deg, elevation * spread.elevation_deg),
        ambient=usual.ambient * (1.0 + ambient * spread.ambient),
        diffuse=usual.diffuse * (1.0 + diffuse * spread.diffuse),
        specular=usual.specular + shine * spread.specular,
        colour=colour_of(kelvin),
    )
    return light, kelvin


def colour_of(kelvin: float) -> RGB:
    """What a black body of a temperature [K] shines like beside one of 6500 K; its strongest colour is 1."""

    def radiance(temperature: float) -> np.ndarray:
        return 1.0 / np.expm1(PLANCK_MK / (WAVELENGTHS_M * temperature))

    red, green, blue = (radiance(kelvin) / radiance(WHITE_K)).tolist()
    strongest = max(red, green, blue)
    return (red / strongest, green / strongest, blue / strongest)


def _turned(direction: Vector, azimuth_deg: float, elevation_deg: float) -> Vector:
    """A direction after a turn about z and towards it [deg], kept between low and high sun; of length 1."""
    x, y, z = direction
    azimuth = math.atan2(y, x) + math.radians(azimuth_deg)
    risen = math.degrees(math.atan2(z, math.hypot(x, y))) + elevation_deg
    elevation = math.radians(min(max(risen, ELEVATION_DEG[0]), ELEVATION_DEG[1]))
    across = math.cos(elevation)
    return (across * math.cos(azimuth), across * math.sin(azimuth), math.sin(elevation))
