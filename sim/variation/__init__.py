"""Variation: how an episode looks, and how it is said, is drawn from its seed, axis by axis; what lies where and moves how is not.

Each axis draws from a stream of its own, so that turning one on moves no other, and nothing else either.
"""

from sim.variation.levels import AXES, LEVELS, Level, Variation
from sim.variation.look import Look, draw_look
from sim.variation.noise import noisy
from sim.variation.words import reworded

__all__ = ["AXES", "LEVELS", "Level", "Look", "Variation", "draw_look", "noisy", "reworded"]
