"""The chain: most severe verdict, the last link always there, a broken guard stops the robot."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SPEC, STILL, FakeEnvironment
from vla_runtime.guards.chain import GuardChain
from vla_runtime.guards.within_spec import WithinSpec
from vla_runtime.types import Action, GuardContext, Intervention, Judgement, Verdict

CONTEXT = GuardContext(FakeEnvironment().observe(0.0), 0.0)


class Says:
    """A guard with a fixed answer."""

    def __init__(self, verdict: Verdict, replacement: Action | None = None) -> None:
        self.name = f"says_{verdict.name}"
        self.asked = 0
        self._verdict = verdict
        self._replacement = replacement

    def check(self, action: Action, context: GuardContext) -> Judgement:
        self.asked += 1
        why = (Intervention(self.name, self._verdict, "because"),) if self._verdict else ()
        return Judgement(self._verdict, self._replacement or action, why)


class Breaks:
    name = "breaks"

    def check(self, action: Action, context: GuardContext) -> Judgement:
        raise ZeroDivisionError("of course")


@given(st.lists(st.sampled_from(list(Verdict)), max_size=5))
def test_the_most_severe_verdict_counts(verdicts: list[Verdict]) -> None:
    chain = GuardChain({str(i): Says(v) for i, v in enumerate(verdicts)}, SPEC)
    refusals = [v for v in verdicts if v >= Verdict.HOLD]
    expected = refusals[0] if refusals else max(verdicts, default=Verdict.PASS)
    assert chain.judge(Action(STILL), CONTEXT).verdict == expected


def test_a_refusal_ends_the_chain() -> None:
    later = Says(Verdict.PASS)
    GuardChain({"hold": Says(Verdict.HOLD), "later": later}, SPEC).judge(Action(STILL), CONTEXT)
    assert later.asked == 0


def test_each_guard_sees_what_the_one_before_let_through() -> None:
    small = Action((0.01, *STILL[1:]))
    judgement = GuardChain({"clamp": Says(Verdict.CLAMP, small)}, SPEC).judge(Action(STILL), CONTEXT)
    assert judgement.action == small


def test_no_configuration_leaves_out_the_last_link() -> None:
    assert isinstance(GuardChain({}, SPEC).guards[-1], WithinSpec)
    careless = Says(Verdict.CLAMP, Action((math.inf, *STILL[1:])))
    assert GuardChain({"within_spec": careless}, SPEC).judge(Action(STILL), CONTEXT).verdict is Verdict.HOLD


def test_a_broken_guard_is_a_stop_with_its_reason() -> None:
    judgement = GuardChain({"breaks": Breaks()}, SPEC).judge(Action(STILL), CONTEXT)
    assert judgement.verdict is Verdict.STOP
    assert "ZeroDivisionError: of course" in judgement.interventions[0].reason


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("axis", range(7))
def test_not_finite_is_a_hold_that_names_the_axis(bad: float, axis: int) -> None:
    values = list(STILL)
    values[axis] = bad
    judgement = GuardChain({}, SPEC).judge(Action(tuple(values)), CONTEXT)
    assert judgement.verdict is Verdict.HOLD
    assert SPEC.axes[axis] in judgement.interventions[0].reason


@pytest.mark.parametrize("count", [0, 6, 8])
def test_wrong_length_is_a_hold(count: int) -> None:
    assert GuardChain({}, SPEC).judge(Action((0.0,) * count), CONTEXT).verdict is Verdict.HOLD


@given(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 7))
def test_what_passes_is_inside_the_spec_and_never_larger(values: tuple[float, ...]) -> None:
    judgement = GuardChain({}, SPEC).judge(Action(values), CONTEXT)
    for value, passed, low, high in zip(values, judgement.action.values, SPEC.low, SPEC.high, strict=True):
        assert low <= passed <= high
        assert abs(passed) <= abs(value) or low <= value <= high or passed in (low, high)
    inside = all(low <= v <= high for v, low, high in zip(values, SPEC.low, SPEC.high, strict=True))
    assert judgement.verdict is (Verdict.PASS if inside else Verdict.CLAMP)
    assert inside == (judgement.interventions == ())
