"""FAST at the error of another tokenizer: the coarsest scale that is no worse, and pieces for it."""

from collections.abc import Sequence

import numpy as np

from vla_runtime.actions.action_ids import ActionIds
from vla_runtime.actions.columns import Rows
from vla_runtime.actions.fast_tokenizer import FASTTokenizer, train_pieces
from vla_runtime.actions.rows import normalized_rows, windows
from vla_runtime.actions.spectrum import Spectrum
from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.actions.token_costs import Motion, TokenCosts, measure
from vla_runtime.errors import ConfigurationError

COARSEST, FINEST, FACTOR = 4.0, 1000.0, 1.1  # scales that are tried, and how far they are apart


def trained(
    spectrum: Spectrum,
    episodes: Sequence[Rows],
    statistics: ActionStatistics,
    vocabulary: int,
    vocab_size: int,
) -> FASTTokenizer:
    """FAST, learned from every run of consecutive actions, with the last ids of a language model's vocabulary.

    Args:
        spectrum: Chunk and scale.
        episodes: Physical actions.
        statistics: What they are normalised with.
        vocabulary: Pieces at most.
        vocab_size: Of the language model.

    Raises:
        ConfigurationError, InvalidVocabulary: No room, or no data.
    """
    rows = [normalized_rows(episode, statistics) for episode in episodes]
    chunks = (window for episode in rows for window in windows(episode, spectrum.periods, 1))
    pieces = train_pieces(spectrum, chunks, vocabulary)
    return FASTTokenizer(spectrum, pieces, ActionIds.last(vocab_size, pieces.get_vocab_size()))


def coarsest_scale(periods: int, axes: int, motion: Motion, limit: TokenCosts, *, worst: bool) -> float:
    """The smallest scale at which no axis has a larger error than another tokenizer has.

    The pieces lose nothing, so the spectrum alone decides.

    Args:
        periods: Control periods of a chunk.
        axes: Numbers of an action.
        motion: What errors are measured on.
        limit: The other tokenizer's errors.
        worst: Whether the largest error must not be larger either, or only the root mean square.

    Raises:
        ConfigurationError: There is none within reason.
    """
    scale = COARSEST
    while scale <= FINEST:
        costs = measure(_Unpieced(Spectrum(periods, axes, scale)), motion)
        if costs.not_above(limit, worst=worst):
            return scale
        scale *= FACTOR
    raise ConfigurationError(f"no scale up to {FINEST:g} is as exact; expected shorter chunks or fewer bins")


class _Unpieced:
    """A spectrum without pieces, as a tokenizer with a token for each number."""

    def __init__(self, spectrum: Spectrum) -> None:
        self._spectrum, self.periods = spectrum, spectrum.periods
        self.token_ids = range(2 * spectrum.limit + 1)

    def encode(self, values: object) -> "np.ndarray[tuple[int, ...], np.dtype[np.int64]]":
        numbers = self._spectrum.numbers(values)  # pyright: ignore[reportArgumentType]
        return (numbers + self._spectrum.limit).ravel()

    def decode(self, token_ids: object) -> Rows:
        numbers = np.asarray(token_ids).reshape(self._spectrum.periods, self._spectrum.axes)
        return self._spectrum.values(numbers - self._spectrum.limit)
