"""Seeded random streams, one for each randomised aspect of an episode.

An aspect's stream depends on the episode's seed and the aspect's name only. Drawing more numbers for one aspect, or
adding a new aspect, never moves another.
"""

from zlib import crc32

import numpy as np


class Streams:
    """The random streams of one episode."""

    def __init__(self, seed: int, attempt: int = 0) -> None:
        """Args: seed: the episode's seed, a whole number >= 0; attempt: counts draws that had to be thrown away."""
        self.seed = seed
        self.attempt = attempt

    def __call__(self, aspect: str) -> np.random.Generator:
        """A fresh generator for an aspect, for example "object poses"; the same name gives the same numbers."""
        return np.random.default_rng(
            np.random.SeedSequence(self.seed, spawn_key=(crc32(aspect.encode()), self.attempt))
        )
