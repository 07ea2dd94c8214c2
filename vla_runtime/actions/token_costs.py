"""What an action tokenizer costs, in tokens and in exactness, measured on a data set's episodes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vla_runtime.actions.columns import Rows, action_column
from vla_runtime.actions.dataset_statistics import MEMORY_BYTES
from vla_runtime.actions.rows import normalized_rows, unnormalized_rows, windows
from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.errors import ConfigurationError
from vla_runtime.interfaces import ActionTokenizer, FrameSource


@dataclass(frozen=True)
class Motion:
    """Episodes that a tokenizer is measured on.

    Attributes:
        episodes: Physical actions, each of shape (steps, axes).
        statistics: What they are normalised with.
        span: Control periods over which errors are summed up.
        fps: Actions per second [Hz].
    """

    episodes: tuple[Rows, ...]
    statistics: ActionStatistics
    span: int
    fps: float

    @property
    def actions(self) -> int:
        """How many."""
        return sum(map(len, self.episodes))

    @property
    def seconds(self) -> float:
        """How long the motion takes [s]."""
        return self.actions / self.fps


@dataclass(frozen=True)
class TokenCosts:
    """What a tokenizer costs. Errors are between what was normalised and what comes back, in the units of each axis.

    Attributes:
        vocabulary: Ids that are action tokens.
        used: How many of them occurred.
        tokens: In all.
        per_action: Tokens, on average.
        per_second: Tokens per second of motion, on average.
        longest: Tokens of the longest sequence: an inference takes this long at worst.
        rms, worst: Error of each axis.
        drift: Root mean square of the errors of each axis, summed up over a span: changes add up, and so do their errors.
    """

    vocabulary: int
    used: int
    tokens: int
    per_action: float
    per_second: float
    longest: int
    rms: tuple[float, ...]
    worst: tuple[float, ...]
    drift: tuple[float, ...]

    def not_above(self, other: "TokenCosts", *, worst: bool) -> bool:
        """Whether no axis has a larger root mean square error than with another tokenizer, nor, if asked, a larger worst."""
        pairs = [*zip(self.rms, other.rms, strict=True)]
        pairs += zip(self.worst, other.worst, strict=True) if worst else []
        return all(mine <= theirs * (1.0 + 1e-9) + 1e-12 for mine, theirs in pairs)


def read_episodes(source: FrameSource) -> list[Rows]:
    """The actions of each episode, all in memory: 56 bytes for 7 numbers. Raises InvalidStatistics for NaN, or no frames."""
    rows = np.concatenate(list(action_column(source, MEMORY_BYTES).pieces()))
    return [rows[first:end] for first, end in source.episode_bounds]


def held_out(episodes: Sequence[Rows], share: float) -> tuple[list[Rows], list[Rows]]:
    """Episodes to learn from, and episodes to measure on, evenly spread over the data set.

    Raises:
        ConfigurationError: A share that leaves one of both empty.
    """
    measured = (
        {int(place) for place in np.arange(0.0, len(episodes), 1.0 / share)} if share > 0.0 else set[int]()
    )
    if not 0 < len(measured) < len(episodes):
        raise ConfigurationError(
            f"held_out_share={share} of {len(episodes)} episodes: expected some to learn from and some to measure on"
        )
    learned = [episode for place, episode in enumerate(episodes) if place not in measured]
    return learned, [episodes[place] for place in sorted(measured)]


def statistics_of(episodes: Sequence[Rows], mask: Sequence[bool]) -> ActionStatistics:
    """Quantiles of these episodes together."""
    low, high = np.quantile(np.concatenate(list(episodes)), [0.01, 0.99], axis=0).tolist()
    return ActionStatistics(tuple(low), tuple(high), tuple(mask))


def measure(tokenizer: ActionTokenizer, motion: Motion) -> TokenCosts:
    """What a tokenizer costs on a motion. Raises what the tokenizer raises.

    The last chunk of an episode is filled up with its last action; its tokens count in full, the filling does not.
    """
    counts: list[int] = []
    used: set[int] = set()
    errors: list[Rows] = []
    for episode in motion.episodes:
        rows = normalized_rows(episode, motion.statistics)
        missing = -len(rows) % tokenizer.periods
        decoded: list[Rows] = []
        for window in windows(
            np.pad(rows, ((0, missing), (0, 0)), "edge"), tokenizer.periods, tokenizer.periods
        ):
            tokens = tokenizer.encode(window[0] if tokenizer.periods == 1 else window)
            counts.append(len(tokens))
            used.update(tokens.tolist())
            decoded.append(np.atleast_2d(tokenizer.decode(tokens)))
        back = unnormalized_rows(np.concatenate(decoded)[: len(rows)], motion.statistics)
        errors.append(back - unnormalized_rows(rows, motion.statistics))
    return _costs(counts, len(tokenizer.token_ids), len(used), errors, motion)


def cost_of_normalising(motion: Motion) -> TokenCosts:
    """What is lost before any token: values beyond the quantiles are clipped."""
    errors = [
        unnormalized_rows(normalized_rows(episode, motion.statistics), motion.statistics) - episode
        for episode in motion.episodes
    ]
    return _costs([], 0, 0, errors, motion)


def _costs(counts: list[int], vocabulary: int, used: int, errors: list[Rows], motion: Motion) -> TokenCosts:
    every = np.concatenate(errors)
    sums = np.array(
        [
            window.sum(axis=0)
            for part in errors
            for window in windows(part, min(motion.span, len(part)), motion.span)
        ]
    )
    figures = (np.sqrt((every**2).mean(axis=0)), np.abs(every).max(axis=0), np.sqrt((sums**2).mean(axis=0)))
    tokens, longest = sum(counts), max(counts, default=0)
    return TokenCosts(
        vocabulary,
        used,
        tokens,
        tokens / motion.actions,
        tokens / motion.seconds,
        longest,
        *(tuple(map(float, figure)) for figure in figures),
    )
