"""Other words for the same wish: every task's sentence has some, and names stay whole."""

from collections import Counter

import numpy as np
import pytest

from sim.environment import CHARACTERS, LONGEST_INSTRUCTION, TabletopEnv
from sim.tasks import TASKS
from sim.variation import Variation, reworded
from sim.variation.words import WAYS, mistyped

SENTENCES = {
    "put the green cube in the blue bowl": ("green cube", "blue bowl"),
    "put the can on the red tile": ("can", "red tile"),
    "move the lemon near the yellow cube": ("lemon", "yellow cube"),
    "stack the red cube on the green cube": ("red cube", "green cube"),
    "pick up the banana": ("banana",),
    "pick up the banana from the moving tray": ("banana", "moving tray"),
    "put the lemon in the correct bowl": ("lemon", "correct bowl"),
}


def every(sentence: str, level: str) -> set[str]:
    return {reworded(sentence, level, np.random.default_rng(seed)) for seed in range(60)}  # type: ignore[arg-type]


@pytest.mark.parametrize(("sentence", "names"), SENTENCES.items())
def test_easy_words_are_others_and_keep_the_names(sentence: str, names: tuple[str, ...]) -> None:
    ways = every(sentence, "easy")
    assert len(ways) == 4
    assert sentence not in ways
    for way in ways:
        assert all(name in way for name in names), way
        assert set(way) <= set(CHARACTERS)
        assert len(way) < LONGEST_INSTRUCTION


@pytest.mark.parametrize("sentence", SENTENCES)
def test_hard_words_have_one_mistake(sentence: str) -> None:
    easy = every(sentence, "easy")
    for way in every(sentence, "hard"):
        assert way not in easy
        assert any(
            sorted(way) == sorted(plain) and sum(a != b for a, b in zip(way, plain, strict=True)) == 2
            for plain in easy
        )


def test_no_level_and_unknown_sentences() -> None:
    assert (
        reworded("put the lemon in the blue bowl", "none", np.random.default_rng(0))
        == "put the lemon in the blue bowl"
    )
    assert every("open the drawer", "easy") == {"open the drawer"}
    assert mistyped("go to it", np.random.default_rng(0)) == "go to it"
    assert mistyped("aaaa", np.random.default_rng(0)) == "aaaa"


@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_task_has_other_words(task: str) -> None:
    env, plain = (
        TabletopEnv(task, cameras={}, variation=Variation(words=level)) for level in ("easy", "none")
    )
    told: Counter[str] = Counter()
    for seed in range(4):
        words = env.reset(seed=seed)[0]["instruction"]
        usual = plain.reset(seed=seed)[0]["instruction"]
        assert words != usual
        assert env.outcome()["target"] == plain.outcome()["target"]
        told[words.split()[0]] += 1
    assert sum(told.values()) == 4
    assert len(WAYS) == 5
    env.close()
    plain.close()
