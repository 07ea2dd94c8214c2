"""OpenVLA's action tokens: 256 uniform bins over [-1, 1], written with the last 256 ids of the vocabulary.

The convention is that of openvla/openvla, prismatic/vla/action_tokenizer.py: `bins` edges, so `bins` - 1 centres;
the value in bin d (1 to `bins`) becomes the id `vocab_size` - d. Two ids decode to the same centre at the upper end.
Unlike the original, ids that are not action tokens are refused instead of being read as the largest motion.
"""

from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_runtime.errors import ConfigurationError, InvalidTokens


@final
class OpenVLATokenizer:
    """Encodes normalised actions as token ids and back.

    Attributes:
        bins: Number of action tokens.
        vocab_size: One above the highest action token's id.
        bin_centres: Shape (bins - 1,), values that tokens decode to.
        periods: Control periods that one sequence of tokens stands for.
    """

    kind = "openvla"
    periods = 1

    def __init__(self, vocab_size: int = 32_000, bins: int = 256) -> None:
        """Args: vocab_size: of the language model without padding, 32000 for Llama 2; bins: 2 to vocab_size."""
        if not 2 <= bins <= vocab_size:
            raise ConfigurationError(f"bins {bins!r}: expected 2 to vocab_size, {vocab_size}")
        self.bins = bins
        self.vocab_size = vocab_size
        self._edges = np.linspace(-1.0, 1.0, bins)
        self.bin_centres = (self._edges[:-1] + self._edges[1:]) / 2.0
        self.bin_centres.setflags(write=False)

    @property
    def token_ids(self) -> range:
        """The ids of all action tokens."""
        return range(self.vocab_size - self.bins, self.vocab_size)

    def encode(self, values: ArrayLike) -> NDArray[np.int64]:
        """Token ids of normalised values; values outside [-1, 1] are clipped, infinities too. NaN is refused.

        Args:
            values: Any shape.

        Returns:
            The same shape.
        """
        numbers = np.asarray(values, dtype=np.float64)
        if np.isnan(numbers).any():
            raise InvalidTokens("NaN has no action token: expected numbers")
        return self.vocab_size - np.digitize(np.clip(numbers, -1.0, 1.0), self._edges)

    def decode(self, token_ids: ArrayLike) -> NDArray[np.float64]:
        """Bin centres of token ids, of the same shape. Raises InvalidTokens for an id that is no action token."""
        ids = np.asarray(token_ids, dtype=np.int64)
        outside = ids[(ids < self.token_ids.start) | (ids >= self.token_ids.stop)]
        if outside.size:
            raise InvalidTokens(
                f"token id {outside.flat[0]} is no action token: expected "
                f"{self.token_ids.start} to {self.token_ids.stop - 1}"
            )
        return self.bin_centres[np.clip(self.vocab_size - ids - 1, 0, self.bins - 2)]

    def describe(self) -> dict[str, Any]:
        """Plain values that it can be made from again."""
        return {"vocab_size": self.vocab_size, "bins": self.bins}

    @classmethod
    def from_description(cls, entry: dict[str, Any]) -> "OpenVLATokenizer":
        """From what `describe` gave."""
        return cls(**entry)
