"""Suites: what a policy is tried on, and what its episodes come to.

A case is a number of seeds under some settings. Its score is a count out of a count with its interval, and beside it what was asked
of it: at least so much, or at least such a share of what the policy does in another case.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vla_runtime.errors import ConfigurationError
from vla_runtime.evaluation.intervals import anytime_interval, clopper_pearson_interval, wilson_interval

Judged = Literal["success", "pairs"]
JUDGED: tuple[Judged, ...] = ("success", "pairs")
EPISODES_OF_A_PAIR = 2


@dataclass(frozen=True)
class Case:
    """Some seeds under some settings.

    Attributes:
        episodes: How many seeds.
        overrides: Settings as on the command line.
        judged: "success": episodes with success at the end. "pairs": consecutive seeds share a scene and name different
            things (with environment.env.instructions_per_scene=2); a pair counts when the first thing lifted was, in both, the
            one that was named, and pairs that name the same thing twice are left out.
        at_least: What is asked of the rate, 0 to 1; None: nothing.
        at_most: The same from above: for cases in which a policy that uses what it sees must fail.
        share_of: Another case, with which `at_least_share` compares.
        at_least_share: What is asked of this rate over that one's.
        note: What it is about, for people.
    """

    episodes: int
    overrides: tuple[str, ...] = ()
    judged: Judged = "success"
    at_least: float | None = None
    at_most: float | None = None
    share_of: str | None = None
    at_least_share: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Score:
    """What the episodes of a case came to.

    Attributes:
        case: Its name.
        count, of: Successes, and of how many.
        low, high: 95 % interval of the rate: Wilson's, and with sequential the anytime one.
        exact_low, exact_high: The exact one by Clopper and Pearson; not true to its name after sequential stopping.
        crashed: Episodes that broke off: neither successes nor failures.
        expected: What was asked of it, in words; empty: nothing.
        met: Whether it was met; None: nothing was asked, or no episode finished.
    """

    case: str
    count: int
    of: int
    low: float
    high: float
    exact_low: float
    exact_high: float
    crashed: int
    expected: str
    met: bool | None


def read_cases(suite: Mapping[str, Mapping[str, Any]]) -> dict[str, Case]:
    """The cases of a suite's YAML, by name.

    Raises:
        ConfigurationError: A key that there is not, a number out of range, or a case that another one needs.
    """
    if not suite:
        raise ConfigurationError("suite: no cases; expected at least one")
    cases = {str(name): _read_case(str(name), content) for name, content in suite.items()}
    for name, case in cases.items():
        if (case.share_of is None) != (case.at_least_share is None):
            raise ConfigurationError(f"suite.{name}: expected share_of and at_least_share together")
        if case.share_of is not None and case.share_of not in cases:
            raise ConfigurationError(
                f"suite.{name}.share_of={case.share_of}: there is no such case; known: {', '.join(cases)}"
            )
    return cases


def _read_case(name: str, content: Mapping[str, Any]) -> Case:
    known = list(Case.__dataclass_fields__)
    for key in content:
        if key not in known:
            raise ConfigurationError(f"suite.{name}: unknown key {key!r}; known: {', '.join(known)}")
    case = Case(**{**content, "overrides": tuple(content.get("overrides", ()))})
    if isinstance(case.episodes, bool) or not isinstance(case.episodes, int) or case.episodes < 1:
        raise ConfigurationError(
            f"suite.{name}.episodes={case.episodes}: expected a whole number, at least 1"
        )
    if case.judged not in JUDGED:
        raise ConfigurationError(f"suite.{name}.judged={case.judged}: expected {' or '.join(JUDGED)}")
    if case.judged == "pairs" and case.episodes % EPISODES_OF_A_PAIR:
        raise ConfigurationError(f"suite.{name}.episodes={case.episodes}: expected an even number for pairs")
    for key in ("at_least", "at_most", "at_least_share"):
        value = getattr(case, key)
        if value is not None and not 0.0 <= value <= 1.0:
            raise ConfigurationError(f"suite.{name}.{key}={value}: expected 0 to 1")
    return case


def score_cases(
    cases: Mapping[str, Case], results: Mapping[str, Sequence[Mapping[str, Any]]], *, sequential: bool = False
) -> list[Score]:
    """The scores of all cases.

    Args:
        cases: By name.
        results: Of the episodes of each case: `status`, `seed`, and of finished ones `success_at_end`, for pairs also `target`
            and `first_lifted`.
        sequential: Whether episodes may have ended as soon as the answer was known.
    """
    counts = {name: _count(case, results.get(name, ())) for name, case in cases.items()}
    scores = []
    for name, case in cases.items():
        count, of = counts[name]
        low, high = anytime_interval(count, of) if sequential else wilson_interval(count, of)
        crashed = sum(result["status"] == "crashed" for result in results.get(name, ()))
        expected, met = _judge(case, counts[name], counts.get(case.share_of or ""))
        exact = clopper_pearson_interval(count, of)
        scores.append(Score(name, count, of, low, high, *exact, crashed, expected, met))
    return scores


def decided(case: Case, results: Sequence[Mapping[str, Any]]) -> bool:
    """Whether it is known, with 95 %, on which side of what is asked of a case its rate lies; one may ask after every episode.

    Shares of another case are never decided early: both rates are uncertain.
    """
    low, high = anytime_interval(*_count(case, results))
    bounds = [bound for bound in (case.at_least, case.at_most) if bound is not None]
    return bool(bounds) and case.at_least_share is None and all(not low < bound <= high for bound in bounds)


def _count(case: Case, results: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    finished = [result for result in results if result["status"] == "finished"]
    if case.judged == "success":
        return sum(bool(result["success_at_end"]) for result in finished), len(finished)
    scenes: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for result in finished:
        scenes[int(result["seed"]) // EPISODES_OF_A_PAIR].append(result)
    pairs = [
        pair
        for pair in scenes.values()
        if len(pair) == EPISODES_OF_A_PAIR and len({result["target"] for result in pair}) == len(pair)
    ]
    right = sum(all(result["first_lifted"] == result["target"] for result in pair) for pair in pairs)
    return right, len(pairs)


def _judge(
    case: Case, counted: tuple[int, int], reference: tuple[int, int] | None
) -> tuple[str, bool | None]:
    """What was asked, in words, and whether it was met."""
    count, of = counted
    rate = count / of if of else None
    words: list[str] = []
    met: list[bool] = []
    if case.at_least is not None:
        words.append(f"at least {100 * case.at_least:g} %")
        met.append(rate is not None and rate >= case.at_least)
    if case.at_most is not None:
        words.append(f"at most {100 * case.at_most:g} %")
        met.append(rate is not None and rate <= case.at_most)
    if case.at_least_share is not None:
        words.append(f"at least {100 * case.at_least_share:g} % of {case.share_of}")
        there = reference[0] / reference[1] if reference and reference[1] else None
        met.append(rate is not None and there is not None and rate >= case.at_least_share * there)
    return ", ".join(words), all(met) if words and rate is not None else None
