"""Two policies on the same seeds: published values, statsmodels, and the promised error rates by simulation."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multinomial
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from vla_runtime.evaluation.comparison import (
    Pairs,
    anytime_p,
    count_pairs,
    difference_interval,
    holm,
    mcnemar_p,
    pairs_needed,
    power,
    smallest_difference,
)

RUNS = 1000


def test_counting() -> None:
    pairs = count_pairs([(True, True), (True, False), (False, True), (False, True), (False, False)])
    assert pairs == Pairs(1, 1, 2, 1)
    assert pairs.difference == pytest.approx(0.2)
    assert count_pairs([]).difference == 0.0


@given(st.tuples(*[st.integers(0, 60)] * 4))
def test_mcnemar_is_statsmodels(counts: tuple[int, int, int, int]) -> None:
    both, first, second, neither = counts
    table: Any = mcnemar([[both, first], [second, neither]], exact=True)
    expected = 1.0 if first == second == 0 else table.pvalue
    assert mcnemar_p(Pairs(*counts)) == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8))
def test_holm_is_statsmodels(values: list[float]) -> None:
    assert holm(values) == pytest.approx(multipletests(values, method="holm")[1], abs=1e-12)


@pytest.mark.parametrize("pairs", [20, 50, 100])
def test_the_interval_of_a_difference_covers(pairs: int) -> None:
    """Counted out over a grid of probabilities: 95 % on average, and not below 92 % anywhere."""
    counts = np.array([(b, c) for b in range(pairs + 1) for c in range(pairs + 1 - b)])
    limits = np.array([difference_interval(Pairs(0, int(b), int(c), pairs - int(b + c))) for b, c in counts])
    coverage = []
    for first in np.linspace(0.0, 0.5, 11):
        for second in np.linspace(0.0, 0.5, 11):
            cells = [first, second, max(1.0 - first - second, 0.0)]
            weights = multinomial.pmf(np.column_stack([counts, pairs - counts.sum(1)]), pairs, cells)
            inside = (limits[:, 0] <= second - first + 1e-12) & (second - first - 1e-12 <= limits[:, 1])
            coverage.append((weights * inside).sum())
    assert np.mean(coverage) >= 0.95
    assert min(coverage) > 0.92


def test_power_is_what_simulation_says() -> None:
    rng = np.random.default_rng(3)
    first, second, pairs = 0.08, 0.18, 215
    counts = rng.multinomial(pairs, [first, second, 1 - first - second], size=RUNS)
    seen = np.mean([mcnemar_p(Pairs(0, int(b), int(c), int(n))) < 0.05 for b, c, n in counts])
    assert power(first, second, pairs) == pytest.approx(seen, abs=0.04)


def test_the_promised_number_of_pairs_keeps_its_promise() -> None:
    """Rates of 0.80 and 0.90 are told apart in four of five comparisons, two equal ones in at most one of twenty."""
    pairs = pairs_needed(0.8, 0.9)
    assert pairs is not None
    rng = np.random.default_rng(4)

    def told_apart(first: float, second: float) -> tuple[float, float]:
        wins = rng.random((RUNS, pairs, 2)) < (first, second)
        p = [mcnemar_p(count_pairs(map(tuple, run.tolist()))) for run in wins]  # type: ignore[arg-type]
        anytime = [anytime_p(map(tuple, run.tolist())) for run in wins]  # type: ignore[arg-type]
        return float(np.mean(np.array(p) < 0.05)), float(np.mean(np.array(anytime) < 0.05))

    different, different_anytime = told_apart(0.8, 0.9)
    equal, equal_anytime = told_apart(0.85, 0.85)
    assert different >= 0.77  # 0.80 less two and a half standard deviations of 1000 runs
    assert equal <= 0.05
    assert equal_anytime <= 0.05
    assert 0.4 < different_anytime < different  # looking at any time has its price


def test_pairs_needed_falls_with_correlation_and_rises_with_likeness() -> None:
    plain, alike = pairs_needed(0.8, 0.9), pairs_needed(0.9, 0.95)
    correlated = pairs_needed(0.8, 0.9, correlation=0.4)
    assert plain is not None
    assert correlated is not None
    assert alike is not None
    assert correlated < plain < alike
    assert pairs_needed(0.7, 0.7) is None


def test_the_smallest_difference_is_the_other_way_round() -> None:
    assert smallest_difference(0.8, pairs_needed(0.8, 0.9) or 0) == pytest.approx(0.1, abs=0.011)
    assert smallest_difference(0.8, 3) is None
