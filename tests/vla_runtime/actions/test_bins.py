"""Bins of any width: equal masses, single values, golden arithmetic."""

import numpy as np
import pytest

from tests.vla_runtime.actions.sources import NumberSource
from vla_runtime.actions.bin_tokenizer import quantile_bins
from vla_runtime.actions.bins import Bins
from vla_runtime.actions.rows import normalized_rows, unnormalized_rows, windows
from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.errors import ConfigurationError, InvalidStatistics, InvalidTokens
from vla_runtime.types import Action, NormalizedAction

STATISTICS = ActionStatistics((-0.05, -0.1, 0.3, 0.0), (0.05, 0.2, 0.3, 1.0), (True, True, True, False))


def test_uniform_bins_are_equally_wide() -> None:
    bins = Bins.uniform(4, 1)
    assert bins.centres == ((-0.75, -0.25, 0.25, 0.75),)
    assert bins.numbers(np.array([[-2.0], [-0.51], [-0.49], [0.49], [0.51], [9.0]])).ravel().tolist() == [
        0,
        0,
        1,
        2,
        3,
        3,
    ]


def test_each_quantile_bin_has_about_as_many_actions() -> None:
    rows = np.random.default_rng(0).normal(0, 0.02, (20_000, 1)) ** 3
    statistics = ActionStatistics(tuple(rows.min(axis=0)), tuple(rows.max(axis=0)), (True,))
    bins = quantile_bins(NumberSource([rows]), statistics, 32, memory_bytes=2**20)
    normalised = normalized_rows(rows, statistics)
    edges = np.quantile(normalised, np.linspace(0, 1, 33))
    np.testing.assert_allclose(bins.centres[0], (edges[1:] + edges[:-1]) / 2, atol=1e-12)
    counts = np.bincount(bins.numbers(normalised).ravel(), minlength=32)
    assert counts.max() < 3 * 20_000 / 32
    uniform = np.bincount(Bins.uniform(32, 1).numbers(normalised).ravel(), minlength=32)
    assert uniform.max() > 10 * counts.max()


def test_values_that_many_actions_share_have_a_bin_of_their_own() -> None:
    """An opening is 0 or 1, and most changes are exactly 0: halving the interval between them would lose both."""
    rows = np.zeros((1000, 4))
    rows[:, 0] = np.where(np.arange(1000) % 4 == 0, np.linspace(-0.05, 0.05, 1000), 0.0)
    rows[:, 3] = np.arange(1000) % 2
    bins = quantile_bins(NumberSource([rows]), STATISTICS, 16)
    decoded = bins.values(bins.numbers(normalized_rows(rows, STATISTICS)))
    still = rows[:, 0] == 0
    assert (np.abs(decoded[still, 0]) < 1e-6).all()
    np.testing.assert_array_equal(decoded[:, 3], rows[:, 3])
    assert bins.centres[2] == (0.0,)  # a dead axis has one bin


def test_a_bin_that_an_axis_has_not_is_refused() -> None:
    bins = Bins(((0.0, 0.5), (0.0,)))
    with pytest.raises(InvalidTokens, match="bin 1 of axis 1: expected 0 to 0"):
        bins.values([1, 1])
    for wrong in ((), ((),), ((1.0, 1.0),), ((np.nan,),)):
        with pytest.raises(ConfigurationError, match="bins"):
            Bins(wrong)
    with pytest.raises(ConfigurationError, match="bins 0"):
        Bins.uniform(0, 7)


def test_rows_are_normalised_as_single_actions_are() -> None:
    rows = np.random.default_rng(0).uniform(-0.3, 0.3, (50, 4))
    normalised = normalized_rows(rows, STATISTICS)
    for row, expected in zip(rows.tolist(), normalised.tolist(), strict=True):
        assert STATISTICS.normalize(Action(tuple(row))).values == pytest.approx(expected, abs=0)
        back = unnormalized_rows(np.array(expected), STATISTICS).tolist()
        assert STATISTICS.unnormalize(NormalizedAction(tuple(expected))).values == pytest.approx(back, abs=0)
    with pytest.raises(InvalidStatistics, match="7 numbers, statistics of 4"):
        normalized_rows(np.zeros((3, 7)), STATISTICS)


def test_windows_are_whole_and_in_order() -> None:
    rows = np.arange(10.0)[:, None]
    assert [window[0, 0] for window in windows(rows, 4, 3)] == [0, 3, 6]
    assert [window[0, 0] for window in windows(rows, 4, 4)] == [0, 4]
    assert list(windows(rows, 11, 1)) == []
