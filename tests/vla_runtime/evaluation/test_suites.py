"""What episodes come to: counts, pairs, and whether what was asked for was met."""

from typing import Any

import pytest

from vla_runtime.errors import ConfigurationError
from vla_runtime.evaluation.suites import Score, read_cases, score_cases


def finished(seed: int, success: bool, target: str = "lemon", lifted: str | None = "lemon") -> dict[str, Any]:
    return {
        "status": "finished",
        "seed": seed,
        "success_at_end": success,
        "target": target,
        "first_lifted": lifted,
    }


def scored(suite: dict[str, Any], **results: list[dict[str, Any]]) -> dict[str, Score]:
    return {score.case: score for score in score_cases(read_cases(suite), results)}


def test_crashes_are_neither_successes_nor_failures() -> None:
    episodes = [finished(0, True), finished(1, False), {"status": "crashed", "seed": 2, "error": "x"}]
    score = scored({"a": {"episodes": 3}}, a=episodes)["a"]
    assert (score.count, score.of, score.crashed) == (1, 2, 1)
    assert score.low == pytest.approx(0.0945, abs=1e-3)  # Wilson, 1 of 2
    assert score.expected == ""
    assert score.met is None


def test_a_pair_counts_when_both_sentences_were_heeded() -> None:
    suite = {"words": {"episodes": 8, "judged": "pairs", "at_least": 0.5}}
    episodes = [
        finished(0, True, "lemon", "lemon"),
        finished(1, False, "can", "can"),  # it need not succeed
        finished(2, True, "lemon", "lemon"),
        finished(3, False, "can", "lemon"),  # always the lemon
        finished(4, True, "lemon", "lemon"),
        finished(5, True, "lemon", "lemon"),  # the same thing twice: left out
        finished(6, False, "lemon", None),
        finished(7, True, "can", "can"),
    ]
    score = scored(suite, words=episodes)["words"]
    assert (score.count, score.of) == (1, 3)
    assert score.met is False


def test_half_a_pair_does_not_count() -> None:
    suite = {"words": {"episodes": 2, "judged": "pairs"}}
    assert scored(suite, words=[finished(0, True)])["words"].of == 0


def test_a_share_of_another_case() -> None:
    suite = {
        "plain": {"episodes": 10, "at_least": 0.9},
        "moved": {"episodes": 10, "share_of": "plain", "at_least_share": 0.85},
        "blank": {"episodes": 10, "at_most": 0.2},
    }

    def wins(count: int) -> list[dict[str, Any]]:
        return [finished(seed, seed < count) for seed in range(10)]

    scores = scored(suite, plain=wins(8), moved=wins(7), blank=wins(3))
    assert [scores[name].met for name in suite] == [False, True, False]  # 7 of 10 is 0.875 of 8 of 10
    assert scores["moved"].expected == "at least 85 % of plain"
    assert scored(suite, plain=wins(8), moved=wins(6), blank=wins(2))["moved"].met is False


@pytest.mark.parametrize(
    ("suite", "message"),
    [
        ({}, "no cases"),
        ({"a": {"episodes": 0}}, "suite.a.episodes=0: expected a whole number, at least 1"),
        ({"a": {"episodes": 3, "judged": "pairs"}}, "expected an even number"),
        ({"a": {"episodes": 3, "judged": "luck"}}, "expected success or pairs"),
        ({"a": {"episodes": 3, "at_least": 97}}, "expected 0 to 1"),
        ({"a": {"episodes": 3, "seeds": 2}}, "unknown key 'seeds'"),
        (
            {"a": {"episodes": 3, "share_of": "b", "at_least_share": 0.5}},
            "there is no such case; known: a",
        ),
        ({"a": {"episodes": 3, "at_least_share": 0.5}}, "expected share_of and at_least_share together"),
    ],
)
def test_what_makes_no_sense_is_refused(suite: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_cases(suite)
