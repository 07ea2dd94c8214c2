"""What tokens cost is counted and measured right, and FAST is compared at equal error."""

import numpy as np
import pytest

from tests.vla_runtime.actions.sources import NumberSource
from vla_runtime.actions.action_ids import ActionIds
from vla_runtime.actions.bin_tokenizer import BinTokenizer
from vla_runtime.actions.bins import Bins
from vla_runtime.actions.fast_search import coarsest_scale, trained
from vla_runtime.actions.openvla_tokenizer import OpenVLATokenizer
from vla_runtime.actions.spectrum import Spectrum
from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.actions.token_costs import (
    Motion,
    cost_of_normalising,
    held_out,
    measure,
    read_episodes,
    statistics_of,
)
from vla_runtime.errors import ConfigurationError

WIDE = ActionStatistics((-0.05, -0.25, 0.0), (0.05, 0.25, 1.0), (True, True, False))


def episodes(count: int, seed: int = 0) -> list[np.ndarray]:
    """Smooth motion with a gripper that closes half-way, 23 steps each."""
    random, times = np.random.default_rng(seed), np.arange(23)[:, None]
    made = []
    for _ in range(count):
        speed, phase = random.uniform(0.05, 0.2, (1, 2)), random.uniform(0, 6.3, (1, 2))
        swing = np.sin(speed * times + phase) * [0.05, 0.25]
        made.append(np.concatenate([swing, (times < random.integers(5, 18)).astype(float)], axis=1))
    return made


def motion(seed: int = 1) -> Motion:
    return Motion(tuple(episodes(6, seed)), WIDE, 5, 5.0)


def test_tokens_are_counted_per_action_and_second() -> None:
    costs = measure(OpenVLATokenizer(), motion())
    assert (costs.tokens, costs.per_action, costs.per_second, costs.longest) == (6 * 23 * 3, 3.0, 15.0, 3)
    assert costs.vocabulary == 256
    assert 3 < costs.used <= 256


def test_errors_are_physical_and_by_axis() -> None:
    coarse = BinTokenizer(Bins.uniform(2, 3), ActionIds.last(100, 2))  # all becomes -0.5 or 0.5
    costs = measure(coarse, Motion((np.array([[0.05, 0.0, 1.0], [0.0, 0.25, 0.0]]),), WIDE, 2, 5.0))
    np.testing.assert_allclose(costs.worst, (0.025, 0.125, 0.5), rtol=1e-6)
    first, second = np.array([-0.025, -0.125, -0.5]), np.array([-0.025, -0.125, -0.5])
    np.testing.assert_allclose(costs.rms, np.sqrt((first**2 + second**2) / 2), rtol=1e-6)
    np.testing.assert_allclose(costs.drift, np.abs(first + second), rtol=1e-6)


def test_a_chunk_that_an_episode_does_not_fill_counts_in_full() -> None:
    fast = trained(Spectrum(5, 3, 20.0), episodes(20), WIDE, 300, 32_000)
    whole = Motion(tuple(episode[:20] for episode in motion().episodes), WIDE, 5, 5.0)
    assert measure(fast, motion()).tokens > measure(fast, whole).tokens
    assert len({len(costs.rms) for costs in (measure(fast, motion()), cost_of_normalising(motion()))}) == 1


def test_the_search_finds_the_coarsest_scale_that_is_no_worse() -> None:
    limit = measure(OpenVLATokenizer(), motion())
    scales = [coarsest_scale(5, 3, motion(), limit, worst=worst) for worst in (False, True)]
    assert scales[0] <= scales[1]
    for scale, worst in zip(scales, (False, True), strict=True):
        fine = trained(Spectrum(5, 3, scale), episodes(40), WIDE, 4096, 32_000)
        costs = measure(fine, motion())
        assert costs.not_above(limit, worst=worst)
        assert costs.per_second < limit.per_second
        coarser = trained(Spectrum(5, 3, scale / 1.1), episodes(40), WIDE, 4096, 32_000)
        assert not measure(coarser, motion()).not_above(limit, worst=worst)


def test_a_limit_that_no_scale_keeps_is_refused() -> None:
    exact = cost_of_normalising(Motion((np.zeros((5, 3)),), WIDE, 5, 5.0))
    with pytest.raises(ConfigurationError, match="no scale up to 1000"):
        coarsest_scale(5, 3, motion(), exact, worst=False)


def test_normalising_costs_what_is_clipped() -> None:
    costs = cost_of_normalising(Motion((np.array([[0.06, 0.0, 0.5]]),), WIDE, 1, 5.0))
    np.testing.assert_allclose(costs.worst, (0.01, 0.0, 0.0), atol=1e-8)
    assert costs.tokens == 0


def test_episodes_are_read_as_they_are_and_shared_out() -> None:
    made = episodes(10)
    read = read_episodes(NumberSource(made))
    assert all((one == other).all() for one, other in zip(read, made, strict=True))
    learned, measured = held_out(made, 0.2)
    assert (len(learned), len(measured)) == (8, 2)
    assert measured[0] is made[0]
    assert not any(one is other for one in learned for other in measured)
    for share in (0.0, 1.0, -1.0):
        with pytest.raises(ConfigurationError, match=r"held_out_share=.* of 10 episodes"):
            held_out(made, share)
    with pytest.raises(ConfigurationError, match="of 1 episodes"):
        held_out(made[:1], 0.5)


def test_statistics_of_episodes_are_those_of_all_rows() -> None:
    made = episodes(4)
    found = statistics_of(made, (True, True, False))
    assert found.q99 == tuple(np.quantile(np.concatenate(made), 0.99, axis=0))
