"""Intervals of rates: published values, scipy and statsmodels, and coverage, counted out or simulated."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.proportion import proportion_confint

from vla_runtime.evaluation.intervals import (
    anytime_interval,
    average_interval,
    clopper_pearson_interval,
    wilson_interval,
)

Interval = Callable[[int, int], tuple[float, float]]
EVERY = [wilson_interval, clopper_pearson_interval, anytime_interval]
COUNTS = st.integers(0, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("interval", "successes", "episodes", "low", "high"),
    [
        (wilson_interval, 81, 263, 0.2553, 0.3662),
        (wilson_interval, 15, 148, 0.0624, 0.1605),
        (wilson_interval, 0, 20, 0.0, 0.1611),
        (wilson_interval, 1, 29, 0.0061, 0.1718),
        (clopper_pearson_interval, 81, 263, 0.2527, 0.3676),
        (clopper_pearson_interval, 15, 148, 0.0578, 0.1617),
        (clopper_pearson_interval, 0, 20, 0.0, 0.1684),
        (clopper_pearson_interval, 1, 29, 0.0009, 0.1776),
    ],
)
def test_published_values(interval: Interval, successes: int, episodes: int, low: float, high: float) -> None:
    """R. G. Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17 (1998)."""
    assert interval(successes, episodes) == pytest.approx((low, high), abs=1e-4)


@given(COUNTS)
def test_statsmodels_says_the_same(case: tuple[int, int]) -> None:
    successes, episodes = case
    if episodes:
        for interval, method in ((wilson_interval, "wilson"), (clopper_pearson_interval, "beta")):
            expected = proportion_confint(successes, episodes, method=method)
            assert interval(successes, episodes) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("interval", EVERY)
@given(case=COUNTS)
def test_it_holds_the_rate_and_mirrors(interval: Interval, case: tuple[int, int]) -> None:
    successes, episodes = case
    low, high = interval(successes, episodes)
    mirrored_low, mirrored_high = interval(episodes - successes, episodes)
    assert 0.0 <= low <= high <= 1.0
    assert (1 - mirrored_high, 1 - mirrored_low) == pytest.approx((low, high), abs=1e-8)
    if episodes:
        assert low - 1e-12 <= successes / episodes <= high + 1e-12


@pytest.mark.parametrize("episodes", [10, 50, 200])
def test_coverage_counted_out(episodes: int) -> None:
    """Clopper and Pearson's is never below 95 %, Wilson's is 95 % on average over the rates and not far below anywhere else."""
    rates = np.linspace(0.005, 0.995, 199)
    counts = np.arange(episodes + 1)
    coverage: dict[Interval, np.ndarray] = {}
    for interval in (wilson_interval, clopper_pearson_interval):
        low, high = np.array([interval(int(count), episodes) for count in counts]).T
        inside = (low[:, None] <= rates) & (rates <= high[:, None])
        coverage[interval] = (binom.pmf(counts[:, None], episodes, rates) * inside).sum(0)
    assert coverage[clopper_pearson_interval].min() >= 0.95
    assert coverage[wilson_interval].mean() == pytest.approx(0.953, abs=0.006)
    assert coverage[wilson_interval].min() > 0.83


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.9])
def test_one_may_stop_the_anytime_interval_when_one_likes(rate: float) -> None:
    """In 1000 runs of 200 episodes it was wrong at some time in at most 5 %; Wilson's, looked at like that, in far more."""
    rng = np.random.default_rng(1)
    wins = (rng.random((1000, 200)) < rate).cumsum(axis=1)
    limits: dict[Interval, np.ndarray] = {
        interval: np.array(
            [[interval(k, n) if k <= n else (0.0, 1.0) for k in range(201)] for n in range(1, 201)]
        )
        for interval in (anytime_interval, wilson_interval)
    }

    def ever_wrong(interval: Interval) -> float:
        seen = limits[interval][np.arange(200), wins]
        return float(((rate < seen[..., 0]) | (rate > seen[..., 1])).any(axis=1).mean())

    assert ever_wrong(anytime_interval) <= 0.05
    assert ever_wrong(wilson_interval) > 0.15


@pytest.mark.parametrize("rates", [(0.9, 0.5, 0.2, 0.7), (1.0, 1.0, 0.95), (0.02, 0.98)])
def test_the_average_covers(rates: tuple[float, ...]) -> None:
    rng = np.random.default_rng(2)
    inside = 0
    for run in range(300):
        counts = [(int(rng.binomial(30, rate)), 30) for rate in rates]
        mean, low, high = average_interval(counts, seed=run)
        assert mean == pytest.approx(np.mean([wins / 30 for wins, _ in counts]))
        inside += low <= np.mean(rates) <= high
    assert inside >= 0.93 * 300  # three standard deviations below 95 % would be 0.91


def test_nothing_tried_is_nothing_known() -> None:
    assert average_interval([(0, 0)]) == (0.5, 0.0, 1.0)
    assert average_interval([(0, 0), (3, 4)]) == average_interval([(3, 4)])
