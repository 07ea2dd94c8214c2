"""One token per axis, for bins of any widths: quantile bins have equally many of a data set's actions in each."""

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_runtime.actions.action_ids import ActionIds
from vla_runtime.actions.bins import Bins
from vla_runtime.actions.columns import Column
from vla_runtime.actions.dataset_statistics import MEMORY_BYTES
from vla_runtime.actions.quantiles import exact_quantiles
from vla_runtime.actions.rows import normalized_rows
from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.errors import InvalidVocabulary
from vla_runtime.interfaces import FrameSource


@final
class BinTokenizer:
    """Encodes normalised actions as one token per axis, and back. All axes share the tokens; bin k is symbol k.

    Attributes:
        bins: Of each axis.
        ids: Vocabulary ids of the bins.
        periods: Control periods that one sequence of tokens stands for.
    """

    kind = "bins"
    periods = 1

    def __init__(self, bins: Bins, ids: ActionIds) -> None:
        """Args: bins: of each axis; ids: as many as the axis with most bins has, or more. Raises InvalidVocabulary."""
        if len(ids.ids) < bins.most:
            raise InvalidVocabulary(f"{len(ids.ids)} action ids for {bins.most} bins: expected as many")
        self.bins, self.ids = bins, ids

    @property
    def token_ids(self) -> Sequence[int]:
        """The ids of all action tokens."""
        return self.ids.ids

    def encode(self, values: ArrayLike) -> NDArray[np.int64]:
        """Token ids of normalised values, of the same shape (..., axes); values outside [-1, 1] are clipped."""
        return self.ids.of(self.bins.numbers(values))

    def decode(self, token_ids: ArrayLike) -> NDArray[np.float64]:
        """Bin centres of token ids, of the same shape (..., axes). Raises InvalidTokens for what is no action token."""
        return self.bins.values(self.ids.symbols(token_ids))

    def describe(self) -> dict[str, Any]:
        """Plain values that it can be made from again."""
        return {"centres": [list(axis) for axis in self.bins.centres], "ids": list(self.ids.ids)}

    @classmethod
    def from_description(cls, entry: dict[str, Any]) -> "BinTokenizer":
        """From what `describe` gave."""
        return cls(Bins(tuple(map(tuple, entry["centres"]))), ActionIds(tuple(entry["ids"])))


def quantile_bins(
    source: FrameSource, statistics: ActionStatistics, bins: int = 256, memory_bytes: int = MEMORY_BYTES
) -> Bins:
    """Bins with equally many of a data set's actions in each, per axis; fewer where many actions are the same.

    Args:
        source: The data set.
        statistics: What its actions are normalised with.
        bins: At most, per axis.
        memory_bytes: About what reading and counting may take [bytes].
    """

    def read(start: int, stop: int) -> NDArray[np.float64]:
        return normalized_rows(source.actions(start, stop), statistics)

    column = Column(source, "action", read, memory_bytes // 2)
    edges = exact_quantiles(column, np.linspace(0.0, 1.0, bins + 1).tolist(), memory_bytes // 2)
    return Bins.between(edges.T.tolist())
