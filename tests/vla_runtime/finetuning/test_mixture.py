"""The order of examples: weights, epochs, and that it depends on nothing but seed and number."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_runtime.errors import ConfigurationError
from vla_runtime.finetuning.batches import Split
from vla_runtime.finetuning.mixture import BLOCK, Mixture


def test_weights_are_met_in_every_block() -> None:
    mixture = Mixture([10, 50, 7], [6.0, 3.0, 1.0], seed=3)
    for block in range(3):
        counts = Counter(mixture.draw(block * BLOCK + i).source for i in range(BLOCK))
        assert counts == {0: 600, 1: 300, 2: 100}
    first_half = Counter(mixture.draw(i).source for i in range(BLOCK // 2))
    assert first_half[0] == pytest.approx(
        300, abs=50
    )  # shuffled within the block, not one source after another


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=4),
    st.lists(st.floats(0.01, 100), min_size=4, max_size=4),
    st.integers(0, 2**31),
)
def test_every_example_comes_once_per_epoch(sizes: list[int], weights: list[float], seed: int) -> None:
    mixture = Mixture(sizes, weights[: len(sizes)], seed)
    seen: dict[tuple[int, int], list[int]] = {}
    for number in range(3 * BLOCK):
        draw = mixture.draw(number)
        seen.setdefault((draw.source, draw.epoch), []).append(draw.row)
    for (source, epoch), rows in seen.items():
        assert len(set(rows)) == len(rows)
        if (source, epoch + 1) in seen:
            assert sorted(rows) == list(range(sizes[source]))


def test_the_draw_is_a_pure_function_of_seed_and_number() -> None:
    """Resuming at any number needs nothing that came before it."""
    whole = Mixture([30, 20], [1.0, 2.0], seed=1)
    order = [whole.draw(number) for number in range(2500)]
    late = Mixture([30, 20], [1.0, 2.0], seed=1)
    assert [late.draw(number) for number in reversed(range(2500))][::-1] == order
    other = Mixture([30, 20], [1.0, 2.0], seed=2)
    assert [other.draw(number) for number in range(2500)] != order


def test_epochs_are_shuffled_differently() -> None:
    mixture = Mixture([50], [1.0], seed=0)
    epochs = [[mixture.draw(50 * epoch + i).row for i in range(50)] for epoch in range(3)]
    assert len({tuple(rows) for rows in epochs}) == 3


@pytest.mark.parametrize(("processes", "micro"), [(1, 12), (1, 4), (2, 6), (2, 2), (3, 1), (4, 3)])
def test_every_split_of_a_step_holds_the_same_examples(processes: int, micro: int) -> None:
    for step in (0, 1, 17):
        dealt = [
            number
            for rank in range(processes)
            for numbers in Split(12, micro, processes, rank).numbers(step)
            for number in numbers
        ]
        assert sorted(dealt) == list(range(12 * step, 12 * step + 12))


def test_senseless_mixtures_are_refused() -> None:
    for sizes, weights in (([], []), ([0], [1.0]), ([3], [0.0]), ([3, 3], [1.0, float("nan")])):
        with pytest.raises(ConfigurationError, match="expected"):
            Mixture(sizes, weights, seed=0)
    with pytest.raises(ConfigurationError, match="micro_batch_size 4 times 2 processes"):
        Split(12, 4, processes=2)
