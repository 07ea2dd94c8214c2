"""Variation: how an episode looks, how it is said, where the arm begins and what things are made of, is drawn from its seed, axis by axis.

What lies where is not.

Each axis draws from a stream of its own, so that turning one on moves no other, and nothing else either.
"""

from sim.variation.levels import AXES, LEVELS, Level, Variation
from sim.variation.look import Look, draw_look
from sim.variation.noise import noisy
from sim.variation.physics import Substance, draw_substance
from sim.variation.words import reworded

__all__ = [
    "AXES",
    "LEVELS",
    "Level",
    "Look",
    "Substance",
    "Variation",
    "draw_look",
    "draw_substance",
    "noisy",
    "reworded",
]
