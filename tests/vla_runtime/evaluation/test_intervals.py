"""Wilson's interval on values published with the method, and its laws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_runtime.evaluation.intervals import wilson_interval


@pytest.mark.parametrize(
    ("successes", "episodes", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_published_values(successes: int, episodes: int, low: float, high: float) -> None:
    """R. G. Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17 (1998)."""
    assert wilson_interval(successes, episodes) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(0, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_it_holds_the_rate_and_mirrors(case: tuple[int, int]) -> None:
    successes, episodes = case
    low, high = wilson_interval(successes, episodes)
    mirrored_low, mirrored_high = wilson_interval(episodes - successes, episodes)
    assert 0.0 <= low <= high <= 1.0
    assert (1 - mirrored_high, 1 - mirrored_low) == pytest.approx((low, high))
    if episodes:
        assert low - 1e-12 <= successes / episodes <= high + 1e-12
