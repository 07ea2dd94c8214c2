"""Intervals of success rates: never a bare percentage.

All of them are for 95 %. Wilson's is the narrow one whose coverage is 95 % on average; Clopper and Pearson's is the wide one
whose coverage is never below; the anytime one may be looked at after every episode, and holds whenever one stops.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

LEVEL = 0.95
Z_95 = 1.959963984540054  # two-sided 95 % of the standard normal distribution
BOOTSTRAP_DRAWS = 20_000
TOLERANCE = 1e-9  # of a limit that is searched for


def wilson_interval(successes: int, episodes: int) -> tuple[float, float]:
    """95 % Wilson score interval of a success rate, as fractions; (0, 1) when nothing was tried.

    Formula: E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).
    """
    if episodes == 0:
        return (0.0, 1.0)
    rate, z2 = successes / episodes, Z_95**2
    centre = (rate + z2 / (2 * episodes)) / (1 + z2 / episodes)
    half = Z_95 * math.sqrt(rate * (1 - rate) / episodes + z2 / (4 * episodes**2)) / (1 + z2 / episodes)
    return (max(0.0, centre - half), min(1.0, centre + half))


def clopper_pearson_interval(successes: int, episodes: int) -> tuple[float, float]:
    """95 % exact interval of a success rate, as fractions; (0, 1) when nothing was tried.

    Formula: C. J. Clopper, E. S. Pearson, The use of confidence or fiducial limits illustrated in the case of the binomial,
    Biometrika 26 (1934).
    """
    from scipy.stats import (
        binomtest,
    )  # here: it takes most of a second, and a single episode needs none of it

    if episodes == 0:
        return (0.0, 1.0)
    interval = binomtest(successes, episodes).proportion_ci(LEVEL, method="exact")
    return (float(interval.low), float(interval.high))


def anytime_interval(successes: int, episodes: int) -> tuple[float, float]:
    """95 % confidence sequence of a success rate: true at all times at once with 95 %, so that one may stop when one likes.

    The rates that a mixture over Beta(1/2, 1/2) does not beat by a factor of 20: H. Robbins, Statistical methods related to the
    law of the iterated logarithm, Annals of Mathematical Statistics 41 (1970); by Ville's inequality.
    """
    if episodes == 0:
        return (0.0, 1.0)
    failures = episodes - successes
    mixture = log_beta(successes + 0.5, failures + 0.5) - log_beta(0.5, 0.5)
    bound = -math.log(1.0 - LEVEL)

    def excess(rate: float) -> float:
        likelihood = _times_log(successes, rate) + _times_log(failures, 1.0 - rate)
        return mixture - likelihood - bound

    seen = successes / episodes
    low = 0.0 if successes == 0 else _root(excess, 0.0, seen)
    high = 1.0 if failures == 0 else _root(excess, 1.0, seen)
    return (low, high)


def average_interval(counts: Sequence[tuple[int, int]], seed: int = 0) -> tuple[float, float, float]:
    """The mean of several rates that count alike, and its 95 % interval from a stratified bootstrap.

    Each rate is drawn again on its own, from Beta(successes + 1/2, failures + 1/2): drawing episodes again would never leave a
    rate of 0 or 1, and its interval would be too narrow.

    Args:
        counts: Successes and episodes of each; those without episodes are left out.
        seed: Of the draws.

    Returns:
        Mean, lower and upper limit, as fractions; (0.5, 0, 1) when nothing was tried.
    """
    tried = [(successes, episodes) for successes, episodes in counts if episodes]
    if not tried:
        return (0.5, 0.0, 1.0)
    rng = np.random.default_rng(seed)
    draws = np.mean(
        [rng.beta(wins + 0.5, episodes - wins + 0.5, BOOTSTRAP_DRAWS) for wins, episodes in tried], axis=0
    )
    low, high = np.quantile(draws, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
    mean = sum(successes / episodes for successes, episodes in tried) / len(tried)
    return (mean, min(float(low), mean), max(float(high), mean))


def log_beta(a: float, b: float) -> float:
    """Logarithm of Euler's beta function."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _times_log(count: int, rate: float) -> float:
    """Count * log(rate), where nothing times anything is nothing."""
    if count == 0:
        return 0.0
    return count * math.log(rate) if rate > 0.0 else -math.inf


def _root(function: Callable[[float], float], outside: float, inside: float) -> float:
    """Where a function is zero that is positive on one side and negative on the other; by halving."""
    while abs(outside - inside) > TOLERANCE:
        middle = 0.5 * (outside + inside)
        if function(middle) > 0.0:
            outside = middle
        else:
            inside = middle
    return outside
