"""How the tool moved in an episode: how far, and how smoothly."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, final

import numpy as np

from vla_runtime.types import EpisodeEnd, Observation, StepRecord

LEAST_SPEEDS = 3
PADDING = 4  # the spectrum is computed at 2^4 times as many points
HIGHEST_HZ = 10.0
LEAST_AMPLITUDE = 0.05  # of the largest: what counts as part of the movement
STILL_M = 1e-4  # a tool that moved less has no smoothness


@final
class MotionWatch:
    """A recorder that only looks at the tool.

    Attributes:
        instruction: Of the episode.
    """

    def __init__(self, control_hz: float) -> None:
        """Args: control_hz: steps per second [Hz]."""
        self._hz = control_hz
        self.instruction = ""
        self._positions: list[tuple[float, ...]] = []

    def begin(self, instruction: str, seed: int) -> None:
        """An episode starts."""
        self.instruction, self._positions = instruction, []

    def record(self, step: StepRecord) -> None:
        """Remember where the tool is."""
        self._see(step.observation)

    def finish(self, end: EpisodeEnd, observation: Observation, outcome: Mapping[str, Any]) -> None:
        """Remember where it ended."""
        self._see(observation)

    def abandon(self) -> None:
        """Nothing was written."""

    def told(self) -> dict[str, float | None]:
        """`path_m`: length of the tool's way [m]; `sparc`: its smoothness, 0 or less. None where nothing is known."""
        length = path_length(self._positions)
        smooth = sparc(speeds(self._positions, self._hz), self._hz) if length > STILL_M else None
        return {
            "path_m": round(length, 4) if self._positions else None,
            "sparc": None if smooth is None else round(smooth, 3),
        }

    def _see(self, observation: Observation) -> None:
        felt = observation.proprioception
        if felt is not None:
            self._positions.append(felt.end_effector_pose[:3])


def path_length(positions: Sequence[Sequence[float]]) -> float:
    """Of a polyline [m]."""
    return math.fsum(math.dist(a, b) for a, b in pairwise(positions))


def speeds(positions: Sequence[Sequence[float]], hz: float) -> list[float]:
    """Between consecutive positions [m/s]."""
    return [math.dist(a, b) * hz for a, b in pairwise(positions)]


def sparc(profile: Sequence[float], hz: float) -> float | None:
    """Spectral arc length of a speed profile, dimensionless: 0 or less, the nearer to 0 the smoother; None when it is too short.

    S. Balasubramanian, A. Melendez-Calderon, A. Roby-Brami, E. Burdet, On the analysis of movement smoothness, Journal of
    NeuroEngineering and Rehabilitation 12 (2015): up to 10 Hz or half of the sampling rate, and to where the amplitude last reaches
    5 % of the largest.

    Args:
        profile: Speeds at equal intervals.
        hz: How many a second [Hz].
    """
    if len(profile) < LEAST_SPEEDS or max(profile) <= 0.0:
        return None
    points = 2 ** (math.ceil(math.log2(len(profile))) + PADDING)
    amplitude = np.abs(np.fft.rfft(profile, points))
    frequency = np.fft.rfftfreq(points, 1.0 / hz)
    amplitude, frequency = (
        amplitude[frequency <= HIGHEST_HZ] / amplitude.max(),
        frequency[frequency <= HIGHEST_HZ],
    )
    last = int(np.flatnonzero(amplitude >= LEAST_AMPLITUDE)[-1])
    if last == 0:
        return 0.0
    along = np.diff(frequency[: last + 1]) / frequency[last]
    return -float(np.hypot(along, np.diff(amplitude[: last + 1])).sum())
