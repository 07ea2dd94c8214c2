"""Intervals of success rates: never a bare percentage."""

import math

Z_95 = 1.959963984540054  # two-sided 95 % of the standard normal distribution


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
