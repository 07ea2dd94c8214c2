"""The axis `textures`: what table top and wall look like.

A level has a fixed palette, so that a process makes each file at most once. Its variants are numbered, and each is a
pure function of level and number.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from PIL import Image

from sim import textures
from sim.scene import Room
from sim.textures import RGB
from sim.variation.colours import any_colour, background, near, shaded
from sim.variation.levels import LEVELS, Level

VARIANTS = 24  # per level, of the table as of the wall
OAK: tuple[RGB, RGB] = ((0.82, 0.66, 0.46), (0.62, 0.45, 0.28))
WOODS: tuple[tuple[RGB, RGB], ...] = (  # light and dark: oak, beech, ash, walnut, cherry
    OAK,
    ((0.87, 0.72, 0.56), (0.72, 0.55, 0.40)),
    ((0.86, 0.78, 0.64), (0.70, 0.60, 0.46)),
    ((0.55, 0.41, 0.29), (0.38, 0.27, 0.18)),
    ((0.72, 0.48, 0.35), (0.55, 0.33, 0.23)),
)


def draw_variants(rng: np.random.Generator) -> tuple[int, int]:
    """The numbers of table and wall."""
    table, wall = rng.integers(VARIANTS, size=2).tolist()
    return table, wall


def dressed(room: Room, level: Level, table: int, wall: int) -> Room:
    """The room with other surfaces. Args: level: not none; table, wall: numbers of the variants."""
    return Room(
        replace(room.table, texture=lambda: table_top(level, table), variant=f"{level} {table:02d}"),
        replace(room.wall, texture=lambda: wall_paint(level, wall), variant=f"{level} {wall:02d}"),
    )


def table_top(level: Level, number: int) -> Image.Image:
    """Easy: wood of another tree, cut otherwise. Hard: a pattern that no table has."""
    rng = np.random.default_rng([0, LEVELS.index(level), number])
    if level == "hard":
        return _pattern(rng, number)
    light, dark = WOODS[number % len(WOODS)]
    light, dark = (near(shaded(rgb, rng.uniform(0.85, 1.1)), 0.03, rng) for rgb in (light, dark))
    return textures.wood(light, dark, planks=int(rng.integers(3, 9)), seed=100 + number)


def wall_paint(level: Level, number: int) -> Image.Image:
    """Easy: plaster in another pale colour. Hard: a pattern."""
    rng = np.random.default_rng([1, LEVELS.index(level), number])
    if level == "hard":
        return _pattern(rng, number)
    return textures.plaster(any_colour(rng, saturation=(0.02, 0.15), value=(0.72, 0.95)), seed=100 + number)


def _pattern(rng: np.random.Generator, number: int) -> Image.Image:
    """Each kind of pattern in turn, in two colours that no thing has."""
    first, second = background(rng), background(rng)
    size = int(rng.integers(3, 9))
    patterns: tuple[Callable[[], Image.Image], ...] = (
        lambda: textures.plain(first),
        lambda: textures.checks(first, second, size),
        lambda: textures.stripes(first, second, size, turned=bool(rng.random() < 0.5)),
        lambda: textures.speckle(first, second, float(rng.uniform(0.1, 0.4)), seed=number),
        lambda: textures.clouds(first, second, size, seed=number),
    )
    return patterns[number % len(patterns)]()
