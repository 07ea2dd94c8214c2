"""Statistics of data sets: equal to numpy over all rows, in little memory, and golden values of the original."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.vla_runtime.actions.sources import NumberSource
from vla_runtime.actions.columns import action_column
from vla_runtime.actions.dataset_statistics import (
    compute_statistics,
    dataset_statistics_file,
    normalised_axes,
)
from vla_runtime.actions.quantiles import exact_quantiles
from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.errors import InvalidStatistics
from vla_runtime.types import Action

DATA = Path(__file__).parents[2] / "data" / "openvla"
GOLDEN = np.load(DATA / "transforms.npz")
PUBLISHED = json.loads((DATA / "norm_stats.json").read_text())["norm_stats"]
SMALL = 4096  # [bytes] so little that a digit has few bits and a piece few rows

finite = st.floats(allow_nan=False, allow_infinity=False, width=64)
tables = st.tuples(st.integers(1, 60), st.integers(1, 3)).flatmap(
    lambda shape: arrays(float, shape, elements=finite)
)


def quantiles_of(rows: np.ndarray, quantiles: list[float], memory: int) -> np.ndarray:
    return exact_quantiles(action_column(NumberSource([rows]), memory), quantiles, memory)


@given(tables, st.lists(st.floats(0, 1), min_size=1, max_size=4), st.sampled_from([512, SMALL, 2**21]))
@settings(max_examples=40, deadline=None)
def test_quantiles_are_numpys_to_the_bit(rows: np.ndarray, quantiles: list[float], memory: int) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        expected = np.quantile(rows + 0.0, quantiles, axis=0)
        np.testing.assert_array_equal(quantiles_of(rows, quantiles, memory), expected)


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).standard_cauchy(20_000) ** 3,
        np.exp(np.random.default_rng(1).normal(0.0, 40.0, 20_000)),
        np.full(5000, 0.125),
        np.array([1.0]),
        np.array([-0.0, 0.0]),
        np.r_[np.zeros(9_900), np.ones(100)],
        np.random.default_rng(2).normal(size=10_000).astype(np.float32).astype(float),
    ],
    ids=["heavy tails", "300 decades", "constant", "one row", "two zeros", "99 % zeros", "float32"],
)
def test_any_distribution_is_exact_in_little_memory(values: np.ndarray) -> None:
    found = quantiles_of(values[:, None], [0.01, 0.5, 0.99], SMALL)
    np.testing.assert_array_equal(found, np.quantile(values[:, None], [0.01, 0.5, 0.99], axis=0))


def test_moments_do_not_lose_small_spreads_on_large_means() -> None:
    rows = 1e6 + np.random.default_rng(0).normal(0, 1e-3, (3000, 2))
    found = compute_statistics(NumberSource([rows[:1], rows[1:]]), memory_bytes=16 * SMALL)
    np.testing.assert_allclose(found.action.mean, rows.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(found.action.std, rows.std(axis=0), rtol=1e-6)
    assert found.action.min == tuple(rows.min(axis=0))
    assert found.action.max == tuple(rows.max(axis=0))


def test_quantiles_are_global_and_not_averages_over_episodes() -> None:
    still, moving = np.zeros((900, 7)), np.linspace(-1, 1, 100)[:, None] * np.ones(7)
    found = compute_statistics(NumberSource([still, moving]))
    expected = np.quantile(np.concatenate([still, moving]), 0.99, axis=0)
    assert found.action.q99 == tuple(expected)
    averaged = (np.quantile(still, 0.99, axis=0) + np.quantile(moving, 0.99, axis=0)) / 2
    assert not np.isclose(found.action.q99, averaged).any()


def test_golden_statistics_and_normalisation_of_the_original() -> None:
    actions, states = GOLDEN["action_raw"].astype(float), GOLDEN["proprio_raw"].astype(float)
    entry = compute_statistics(NumberSource([actions[:10], actions[10:]], states)).as_mapping()
    assert (entry["num_transitions"], entry["num_trajectories"]) == (24, 2)
    assert entry["action"]["mask"] == PUBLISHED["action"]["mask"]
    for kind in ("action", "proprio"):
        assert list(entry[kind]) == list(PUBLISHED[kind])
        for name in ("mean", "std", "min", "max", "q01", "q99"):
            np.testing.assert_allclose(entry[kind][name], PUBLISHED[kind][name], rtol=2e-6, atol=1e-7)
    statistics = ActionStatistics.from_mapping(entry["action"])
    for raw, expected in zip(actions.tolist(), GOLDEN["bounds_q99/action"].tolist(), strict=True):
        assert statistics.normalize(Action(tuple(raw))).values == pytest.approx(expected, abs=2e-6)


def test_the_layout_is_that_of_a_released_file() -> None:
    released = json.loads((DATA / "dataset_statistics.json").read_text())["bridge_orig"]
    ours = compute_statistics(NumberSource([np.zeros((5, 7)), np.ones((5, 7))])).as_mapping()
    assert ours.keys() == released.keys()
    for part in ("action", "proprio"):
        assert ours[part].keys() == released[part].keys()
        assert {len(values) for values in ours[part].values()} == {7}
    assert ours["action"]["mask"] == released["action"]["mask"]


def test_memory_is_bounded_and_a_large_set_is_read_in_pieces() -> None:
    rows = np.random.default_rng(0).normal(size=(100_000, 7))  # 5.6 MB
    source, memory = NumberSource([rows]), 2**20
    tracemalloc.start()
    found = compute_statistics(source, memory_bytes=memory)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.1 * memory
    assert source.largest_read < 20_000
    assert found.action.q99 == tuple(np.quantile(rows, 0.99, axis=0))


def test_a_set_that_fits_is_read_once() -> None:
    source = NumberSource([np.random.default_rng(0).normal(size=(100, 7))])
    compute_statistics(source)
    assert (
        source.frames_read <= 2 * 100 + 2
    )  # once each for actions and for the zeros in place of proprioception


@pytest.mark.parametrize("memory", [2 * SMALL, 2**22])
def test_progress_ends_at_the_total(memory: int) -> None:
    told: list[tuple[int, int]] = []
    source = NumberSource([np.ones((200, 7))])
    compute_statistics(source, memory_bytes=memory, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]


def test_without_proprioception_it_is_zeros_as_in_the_original() -> None:
    entry = compute_statistics(NumberSource([np.ones((5, 7))])).as_mapping()["proprio"]
    assert entry == dict.fromkeys(entry, [0.0] * 7)


def test_the_file_is_read_back_by_the_runtime(tmp_path: Path) -> None:
    found = compute_statistics(NumberSource([np.random.default_rng(0).normal(size=(50, 7))]))
    path = tmp_path / "dataset_statistics.json"
    path.write_text(json.dumps(dataset_statistics_file({"mine": found})))
    assert ActionStatistics.load(path) == found.normalisation


def test_dead_faint_and_clipped_axes_are_named_and_the_gripper_may_be_clipped() -> None:
    rows = np.random.default_rng(0).normal(0, 0.01, (1000, 7))
    rows[:, 1] = 0.0
    rows[:, 2] = np.clip(rows[:, 2], -0.01, 1.0)
    rows[:, 3] *= 1e-4
    rows[:, 6] = rows[:, 6] > 0
    said = compute_statistics(NumberSource([rows])).warnings()
    assert len(said) == 3
    assert said[2].startswith("roll: faint, from -2.")
    assert said[0].startswith("y: dead")
    assert said[1].startswith("z: clipped, 1")
    assert "exactly its min, -0.01" in said[1]


def test_a_gripper_that_never_moves_is_told_because_it_becomes_zero() -> None:
    rows = np.random.default_rng(0).normal(0, 0.01, (1000, 7))
    rows[:, 6] = 1.0
    found = compute_statistics(NumberSource([rows]))
    assert found.warnings() == ["gripper: dead, 1 % and 99 % quantile are both 1; it is normalised to 0"]
    assert found.normalisation.normalize(Action(tuple(rows[0]))).values[6] == 0.0


def test_nan_is_refused_with_episode_and_frame() -> None:
    rows = [np.zeros((10, 7)), np.zeros((10, 7))]
    rows[1][3, 2] = np.nan
    with pytest.raises(InvalidStatistics, match=r"axis 2 is nan in episode 1, frame 3 .*\(frame 13 of"):
        compute_statistics(NumberSource(rows))


def test_an_empty_set_and_proprioception_with_gaps_are_refused() -> None:
    with pytest.raises(InvalidStatistics, match="without frames"):
        compute_statistics(NumberSource([]))

    class Gaps(NumberSource):
        def frame(self, index: int, cameras: object = ()):  # type: ignore[override]
            full = super().frame(index)
            return full if index != 2 else type(full)({}, None, full.action, "go", 0, 2)

    with pytest.raises(InvalidStatistics, match="frame 2 has none"):
        compute_statistics(Gaps([np.zeros((4, 7))], np.zeros((4, 3))))


def test_the_gripper_is_a_name_or_a_number() -> None:
    assert normalised_axes(("a", "b", "c")) == (True, True, False)
    assert normalised_axes(("gripper", "b", "c")) == (False, True, True)
    assert normalised_axes(("a", "b", "c"), 1) == (True, False, True)
    assert normalised_axes(("a", "b", "c"), "") == (True, True, True)
    for wrong in ("moon", 3, -4):
        with pytest.raises(InvalidStatistics, match="no such axis; expected one of a, b, c"):
            normalised_axes(("a", "b", "c"), wrong)
    with pytest.raises(InvalidStatistics, match="expected 7 different names"):
        compute_statistics(NumberSource([np.zeros((4, 7))]), axes=["x"])
