"""A chunk of actions as whole numbers: the first half of FAST.

Each axis over the chunk is a sum of cosines (DCT-II, orthonormal); the cosines' amplitudes are scaled and rounded. Smooth
motion has few that are not 0. Source: Pertsch et al. 2025, FAST, arXiv:2501.09747, section V.
"""

import math
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_runtime.actions.bins import checked_rows
from vla_runtime.errors import ConfigurationError, InvalidTokens

FIRST_CHARACTER = (
    0xF0000  # of a private area of Unicode: these characters are no text, so pieces of them are none either
)
CHARACTERS = 0xFFFD  # that it has


@dataclass(frozen=True)
class Spectrum:
    """How a chunk becomes whole numbers, and a text of as many characters.

    As the transform is orthonormal, rounding costs each axis at most 0.5 / scale as root mean square over a chunk.

    Attributes:
        periods: Control periods of a chunk.
        axes: Numbers of an action.
        scale: Steps per unit of a normalised amplitude; 10 in the paper.
    """

    periods: int
    axes: int
    scale: float

    def __post_init__(self) -> None:
        """Refuse chunks without content, and scales with more steps than there are characters for."""
        if self.periods < 1 or self.axes < 1:
            raise ConfigurationError(f"periods {self.periods}, axes {self.axes}: expected 1 or more of each")
        most = (CHARACTERS - 1) / 2 / math.sqrt(self.periods)
        if not 0.0 < self.scale <= most:
            raise ConfigurationError(f"scale {self.scale}: expected more than 0, up to {most:.0f}")

    @property
    def limit(self) -> int:
        """The largest number that a chunk within [-1, 1] can have: a cosine of length one times sqrt(periods)."""
        return math.ceil(self.scale * math.sqrt(self.periods))

    @property
    def alphabet(self) -> list[str]:
        """The characters of all numbers from -limit to limit."""
        return [chr(FIRST_CHARACTER + number) for number in range(2 * self.limit + 1)]

    def numbers(self, values: ArrayLike) -> NDArray[np.int64]:
        """Scaled, rounded amplitudes of a normalised chunk, lowest frequency first, of the same shape.

        Args:
            values: Shape (periods, axes); clipped to [-1, 1].

        Raises:
            InvalidTokens: NaN, or another shape.
        """
        rows = checked_rows(values, self.axes)
        if rows.shape != (self.periods, self.axes):
            raise InvalidTokens(f"values of shape {rows.shape}: expected ({self.periods}, {self.axes})")
        amplitudes = _fft().dct(np.clip(rows, -1.0, 1.0), axis=0, norm="ortho")
        return np.rint(np.asarray(amplitudes) * self.scale).astype(np.int64)

    def values(self, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """The normalised chunk of amplitudes, shape (periods, axes), clipped to [-1, 1]."""
        rows = np.asarray(_fft().idct(numbers / self.scale, axis=0, norm="ortho"), dtype=np.float64)
        return np.clip(rows, -1.0, 1.0)

    def write(self, numbers: NDArray[np.int64]) -> str:
        """A character for each number: the lowest frequency of all axes, then the next one."""
        return "".join(chr(FIRST_CHARACTER + self.limit + number) for number in numbers.ravel().tolist())

    def read(self, text: str) -> NDArray[np.int64]:
        """Numbers of a text, shape (periods, axes). Raises InvalidTokens for one of another length."""
        if len(text) != self.periods * self.axes:
            raise InvalidTokens(
                f"{len(text)} numbers: expected {self.periods * self.axes}, {self.periods} control periods of {self.axes}"
            )
        numbers = np.asarray([ord(character) - FIRST_CHARACTER - self.limit for character in text])
        return numbers.astype(np.int64).reshape(self.periods, self.axes)


def _fft() -> Any:
    try:
        return import_module("scipy.fft")
    except ImportError as error:
        raise ConfigurationError("FAST needs scipy: pip install scipy") from error
