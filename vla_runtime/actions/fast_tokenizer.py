"""FAST: a chunk of actions in as few tokens as its motion has news (Pertsch et al. 2025, arXiv:2501.09747).

Amplitudes of cosines as whole numbers (spectrum.py), then byte-pair encoding over them: runs of numbers that often follow
each other become one token. The pieces are learned from a data set by Hugging Face's tokenizers.

The original gives numbers that it never saw while it was trained no token, and reads a sequence of a wrong length as no
motion. Here every number has a token, and a wrong length is refused, or repaired when asked to.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_runtime.actions.action_ids import ActionIds
from vla_runtime.actions.spectrum import Spectrum
from vla_runtime.errors import ConfigurationError, InvalidVocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SEEN_TWICE = 2  # a run of numbers must occur this often to become a piece


@final
class FASTTokenizer:
    """Encodes normalised chunks of actions as pieces, and back.

    Attributes:
        spectrum: From chunk to numbers.
        pieces: Runs of numbers, as a byte-pair tokenizer.
        ids: Vocabulary ids of the pieces.
    """

    kind = "fast"

    def __init__(self, spectrum: Spectrum, pieces: "Tokenizer", ids: ActionIds) -> None:
        """Check that they fit.

        Args:
            spectrum: From chunk to numbers.
            pieces: As `train_pieces` gives them.
            ids: One for each piece.

        Raises:
            InvalidVocabulary: Fewer or more ids than pieces, or a number without a piece.
        """
        count = pieces.get_vocab_size()
        if len(ids.ids) != count:
            raise InvalidVocabulary(f"{len(ids.ids)} action ids for {count} pieces: expected as many")
        if any(pieces.token_to_id(character) is None for character in spectrum.alphabet):
            raise InvalidVocabulary(f"pieces that lack numbers of {spectrum}: expected those trained with it")
        self.spectrum, self.pieces, self.ids = spectrum, pieces, ids

    @property
    def periods(self) -> int:
        """For how many control periods one sequence of tokens stands."""
        return self.spectrum.periods

    @property
    def token_ids(self) -> Sequence[int]:
        """The ids of all action tokens."""
        return self.ids.ids

    def encode(self, values: ArrayLike) -> NDArray[np.int64]:
        """Token ids of a normalised chunk; how many depends on the motion.

        Args:
            values: Shape (periods, axes); clipped to [-1, 1].

        Raises:
            InvalidTokens: NaN, or another shape.
        """
        written = self.spectrum.write(self.spectrum.numbers(values))
        return self.ids.of(self.pieces.encode(written, add_special_tokens=False).ids)

    def decode(self, token_ids: ArrayLike) -> NDArray[np.float64]:
        """The chunk, shape (periods, axes), clipped to [-1, 1].

        Raises:
            InvalidTokens: An id that is no action token, or ids that are not exactly one chunk.
        """
        return self.spectrum.values(self.spectrum.read(self._written(token_ids)))

    def repair(self, token_ids: ArrayLike) -> tuple[NDArray[np.float64], int]:
        """The chunk, also of too few or too many tokens, and how many numbers were missing (negative: too many).

        What is missing belongs to the highest frequencies, so the chunk becomes smoother: they are taken as 0. What is
        too much is cut off. Raises InvalidTokens for an id that is no action token.
        """
        written = self._written(token_ids)
        size = self.spectrum.periods * self.spectrum.axes
        zero = self.spectrum.alphabet[self.spectrum.limit]
        whole = written[:size] + zero * (size - len(written))
        return self.spectrum.values(self.spectrum.read(whole)), size - len(written)

    def describe(self) -> dict[str, Any]:
        """Plain values that it can be made from again, together with the pieces."""
        return {"spectrum": asdict(self.spectrum), "ids": list(self.ids.ids)}

    @classmethod
    def from_description(cls, entry: dict[str, Any], pieces: "Tokenizer") -> "FASTTokenizer":
        """From what `describe` gave."""
        return cls(Spectrum(**entry["spectrum"]), pieces, ActionIds(tuple(entry["ids"])))

    def _written(self, token_ids: ArrayLike) -> str:
        symbols = self.ids.symbols(token_ids).ravel().tolist()
        return "".join(self.pieces.id_to_token(symbol) or "" for symbol in symbols)


def train_pieces(spectrum: Spectrum, chunks: Iterable[NDArray[np.float64]], vocabulary: int) -> "Tokenizer":
    """Learn pieces from a data set's chunks.

    Args:
        spectrum: From chunk to numbers.
        chunks: Normalised, each of shape (periods, axes).
        vocabulary: Pieces at most; there are fewer when the data has not so many runs that occur twice.

    Raises:
        ConfigurationError: A vocabulary with less room than the numbers alone need, or no chunks.
    """
    from tokenizers import Tokenizer, decoders, models, trainers

    alphabet = spectrum.alphabet
    if vocabulary < len(alphabet):
        raise ConfigurationError(
            f"vocabulary {vocabulary}: numbers from {-spectrum.limit} to {spectrum.limit} need {len(alphabet)} pieces; "
            "expected more pieces, a smaller scale or shorter chunks"
        )
    texts = [spectrum.write(spectrum.numbers(chunk)) for chunk in chunks]
    if not texts:
        raise ConfigurationError(
            f"no chunk of {spectrum.periods} control periods to learn from: expected episodes that are longer"
        )
    pieces = Tokenizer(models.BPE())
    pieces.decoder = decoders.Fuse()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, min_frequency=SEEN_TWICE, initial_alphabet=alphabet, show_progress=False
    )
    pieces.train_from_iterator(texts, trainer, length=len(texts))
    return pieces
