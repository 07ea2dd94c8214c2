"""Which example comes when: several sources with weights, as a pure function of the seed and the example's number.

So the order is the same for any number of processes and workers, and a training that goes on after a kill goes on
where it was, without reading again what it had seen. Every source is shuffled as a whole, anew in each of its epochs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vla_runtime.errors import ConfigurationError

BLOCK = 1000  # [examples] in which every source has exactly its share
KEPT = 16  # [blocks] and [epochs] in memory


@dataclass(frozen=True)
class Draw:
    """One example.

    Attributes:
        source: Which source.
        row: Of the source.
        epoch: How often the source has been through.
    """

    source: int
    row: int
    epoch: int


class Mixture:
    """Sources with sizes and weights."""

    def __init__(self, sizes: Sequence[int], weights: Sequence[float], seed: int) -> None:
        """Args: sizes: examples of each source; weights: of each, in any scale; seed: of the order.

        Raises:
            ConfigurationError: No source, an empty one, or a weight that is not positive.
        """
        if not sizes or len(sizes) != len(weights) or min(sizes) < 1:
            raise ConfigurationError(
                f"a mixture of sizes {list(sizes)}: expected one or more non-empty sources"
            )
        if not all(np.isfinite(weight) and weight > 0 for weight in weights):
            raise ConfigurationError(f"weights {list(weights)}: expected positive numbers")
        self._sizes, self._seed = tuple(sizes), seed
        self.quotas = _quotas(weights)

    def draw(self, number: int) -> Draw:
        """The example of a number, counted from 0 over the whole training."""
        block, place = divmod(number, BLOCK)
        sources, ranks = _shuffled_block(self._seed, self.quotas, block)
        source = int(sources[place])
        count = block * self.quotas[source] + int(ranks[place])
        epoch, position = divmod(count, self._sizes[source])
        order = _permutation(self._seed, source, epoch, self._sizes[source])
        return Draw(source, int(order[position]), epoch)


@lru_cache(maxsize=KEPT)
def _shuffled_block(
    seed: int, quotas: tuple[int, ...], block: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The sources of a block's examples, and how many of the same source came before each within it."""
    sources = np.repeat(np.arange(len(quotas)), quotas)
    sources = np.random.default_rng([seed, 0, block]).permutation(sources)
    ranks = np.zeros(BLOCK, np.int64)
    for source, quota in enumerate(quotas):
        ranks[sources == source] = np.arange(quota)
    return sources, ranks


@lru_cache(maxsize=KEPT)
def _permutation(seed: int, source: int, epoch: int, size: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, 1, source, epoch]).permutation(size)


def _quotas(weights: Sequence[float]) -> tuple[int, ...]:
    """Examples of each source in a block, at least one; the largest remainders fill up what rounding leaves."""
    exact = np.array(weights, np.float64) / sum(weights) * BLOCK
    quotas = np.maximum(np.floor(exact).astype(int), 1)
    while quotas.sum() > BLOCK:
        quotas[quotas.argmax()] -= 1
    remainders = np.argsort(-(exact - np.floor(exact)), kind="stable")
    quotas[remainders[: BLOCK - quotas.sum()]] += 1
    return tuple(int(quota) for quota in quotas)
