"""Two policies on the same seeds: what separates them, and whether that can be chance.

Only seeds on which exactly one of the two succeeded speak for one of them: discordant pairs.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vla_runtime.evaluation.intervals import LEVEL, Z_95, log_beta

LEAST_PAIRS, MOST_PAIRS = 4, 100_000
STEADY = 10  # pairs: the exact test's power goes up and down; so many more must have it too


@dataclass(frozen=True)
class Pairs:
    """Counts of seeds.

    Attributes:
        both: On which both succeeded.
        only_first, only_second: On which one did.
        neither: On which none did.
    """

    both: int
    only_first: int
    only_second: int
    neither: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def difference(self) -> float:
        """Rate of the second less that of the first, -1 to 1; 0 when nothing was tried."""
        return (self.only_second - self.only_first) / self.total if self.total else 0.0


def count_pairs(outcomes: Iterable[tuple[bool, bool]]) -> Pairs:
    """From the success of the first and of the second, seed by seed."""
    seen = list(outcomes)
    return Pairs(*(seen.count(kind) for kind in ((True, True), (True, False), (False, True), (False, False))))


def difference_interval(pairs: Pairs) -> tuple[float, float]:
    """95 % interval of the difference of the rates; (-1, 1) when nothing was tried.

    Formula: D. G. Bonett, R. M. Price, Adjusted Wald confidence interval for a difference of binomial proportions based on paired
    data, Journal of Educational and Behavioral Statistics 37 (2012).
    """
    if pairs.total == 0:
        return (-1.0, 1.0)
    count = pairs.total + 2
    first, second = (pairs.only_first + 1) / count, (pairs.only_second + 1) / count
    middle = second - first
    half = Z_95 * math.sqrt((first + second - middle**2) / count)
    return (max(-1.0, middle - half), min(1.0, middle + half))


def mcnemar_p(pairs: Pairs) -> float:
    """How probable so uneven discordant pairs are when both policies are equally good: McNemar's exact test, two-sided.

    The number of seeds must have been fixed beforehand; who looks again and again uses `anytime_p`.
    """
    from scipy.stats import binomtest  # here: it takes most of a second

    discordant = pairs.only_first + pairs.only_second
    return float(binomtest(pairs.only_first, discordant).pvalue) if discordant else 1.0


def anytime_p(outcomes: Iterable[tuple[bool, bool]]) -> float:
    """A p-value that may be looked at after every seed: below 5 % at any time with a chance of 5 % when both are equally good.

    1 over the largest wealth of a bet on the discordant pairs, a mixture over Beta(1/2, 1/2); by Ville's inequality. Seeds in
    the order in which they were run.
    """
    first = second = 0
    most = 0.0
    for one, other in outcomes:
        if one == other:
            continue
        first, second = first + one, second + other
        wealth = log_beta(first + 0.5, second + 0.5) - log_beta(0.5, 0.5) + (first + second) * math.log(2.0)
        most = max(most, wealth)
    return math.exp(-most)


def holm(values: list[float]) -> list[float]:
    """p-values of several tests made together, so that any one below 5 % has a chance of 5 % under no difference anywhere.

    S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6 (1979).
    """
    adjusted = [1.0] * len(values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min((len(values) - place) * values[index], 1.0))
        adjusted[index] = largest
    return adjusted


def power(only_first: float, only_second: float, pairs: int) -> float:
    """How often McNemar's exact test at 5 % sees a difference, without approximation.

    Args:
        only_first: Probability that only the first succeeds on a seed.
        only_second: That only the second does.
        pairs: Seeds.
    """
    from scipy.stats import binom

    either = only_first + only_second
    if either <= 0.0:
        return 0.0
    discordant = np.arange(pairs + 1)
    weights = binom.pmf(discordant, pairs, either)
    # Up to `low` of m fair coins are improbable enough: the largest k with 2 P(X <= k) <= 5 %.
    low = binom.ppf((1.0 - LEVEL) / 2.0, discordant, 0.5)
    low = np.where(2.0 * binom.cdf(low, discordant, 0.5) <= (1.0 - LEVEL) * (1 + 1e-12), low, low - 1)
    share = only_first / either
    seen = binom.cdf(low, discordant, share) + binom.sf(discordant - low - 1, discordant, share)
    return float((weights * np.where(low >= 0, seen, 0.0)).sum())


def pairs_needed(first: float, second: float, wanted: float = 0.8, correlation: float = 0.0) -> int | None:
    """Seeds on which two policies of given rates are told apart, with McNemar's exact test at 5 %.

    Args:
        first: Rate of one, 0 to 1.
        second: Of the other.
        wanted: How often they are to be told apart, 0 to 1.
        correlation: Of their successes on a seed; 0 is a cautious guess, as what is hard for one is mostly hard for both.

    Returns:
        The number; None when it is above 100,000.
    """
    both = first * second + correlation * math.sqrt(first * (1 - first) * second * (1 - second))
    both = min(max(both, first + second - 1.0, 0.0), first, second)
    only_first, only_second = first - both, second - both

    def enough(pairs: int) -> bool:
        return power(only_first, only_second, pairs) >= wanted

    if first == second or not enough(MOST_PAIRS):
        return None
    low, high = LEAST_PAIRS, MOST_PAIRS
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    while not all(enough(low + more) for more in range(STEADY)):
        low += 1
    return low


def smallest_difference(rate: float, pairs: int, wanted: float = 0.8) -> float | None:
    """How far above or below a rate another one must be to be told apart from it on so many seeds; None: no rate is.

    Args:
        rate: 0 to 1.
        pairs: Seeds.
        wanted: How often, 0 to 1.
    """

    def seen(other: float) -> bool:
        both = rate * other
        return power(rate - both, other - both, pairs) >= wanted

    steps = [step / 200 for step in range(1, 201)]
    far = (
        step
        for step in steps
        for sign in (-1, 1)
        if 0 <= rate + sign * step <= 1 and seen(rate + sign * step)
    )
    return next(far, None)
