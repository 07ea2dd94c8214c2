"""The chain: most severe verdict, two links always there, a broken guard stops the robot."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SPEC, STILL, FakeEnvironment
from vla_runtime.errors import ConfigurationError
from vla_runtime.guards.chain import GuardChain
from vla_runtime.guards.contact_force import ContactForce
from vla_runtime.guards.finite import Finite
from vla_runtime.guards.within_spec import WithinSpec
from vla_runtime.interfaces import Guard
from vla_runtime.specs import ActionSpec
from vla_runtime.types import Action, Candidate, GuardContext, Intervention, Judgement, RobotState, Verdict

HOLD = Action(STILL)
CONTEXT = GuardContext(FakeEnvironment().observe(0.0), 0.0, None, HOLD)


def judged(guards: dict[str, Guard], values: tuple[float, ...] = STILL) -> Judgement:
    return GuardChain(guards, SPEC).fold(Candidate(Action(values)), CONTEXT)


class Says:
    """A guard with a fixed answer."""

    def __init__(self, verdict: Verdict, replacement: Action | None = None, name: str | None = None) -> None:
        self.name = name or f"says_{verdict.name}"
        self.asked: list[Action] = []
        self._verdict = verdict
        self._replacement = replacement

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        self.asked.append(action)
        if self._verdict is Verdict.PASS:
            return None
        return Intervention(self.name, self._verdict, "because", self._replacement or action)


class Breaks:
    name = "breaks"

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        raise ZeroDivisionError("of course")


@given(st.lists(st.sampled_from(list(Verdict)), max_size=5))
def test_the_most_severe_verdict_counts(verdicts: list[Verdict]) -> None:
    judgement = judged({str(i): Says(v, name=str(i)) for i, v in enumerate(verdicts)})
    assert judgement.verdict == max(verdicts, default=Verdict.PASS)


def test_a_hold_does_not_hide_a_stop() -> None:
    """Those that come after a HOLD judge the hold action."""
    later = Says(Verdict.STOP)
    judgement = judged({"hold": Says(Verdict.HOLD), "later": later}, (0.01, *STILL[1:]))
    assert judgement.verdict is Verdict.STOP
    assert later.asked == [HOLD]


def test_a_stop_ends_the_chain() -> None:
    later = Says(Verdict.PASS)
    judged({"stop": Says(Verdict.STOP), "later": later})
    assert later.asked == []


def test_each_guard_sees_what_the_one_before_let_through() -> None:
    small = Action((0.01, *STILL[1:]))
    judgement = judged({"clamp": Says(Verdict.CLAMP, small)})
    assert judgement.action == small
    assert judgement.interventions[0].before == Action(STILL)


def test_no_configuration_leaves_out_the_first_and_the_limiting_link() -> None:
    guards = GuardChain({}, SPEC).guards
    assert isinstance(guards[0], Finite)
    assert isinstance(guards[-1], WithinSpec)


def test_the_order_is_not_the_configurations_to_choose() -> None:
    class Motion(Says):
        rank = 18

    late, early = Motion(Verdict.PASS, name="late"), Says(Verdict.PASS, name="early")
    names = [guard.name for guard in GuardChain({"a": late, "b": early}, SPEC).guards]
    assert names == ["finite", "early", "within_spec", "late"]


def test_a_broken_guard_is_a_stop_with_its_reason() -> None:
    judgement = judged({"breaks": Breaks()})
    assert judgement.verdict is Verdict.STOP
    assert "ZeroDivisionError: of course" in judgement.interventions[0].reason


def test_a_clamp_without_an_action_is_a_stop() -> None:
    class Careless:
        name = "careless"

        def check(self, action: Action, context: GuardContext) -> Intervention | None:
            return Intervention(self.name, Verdict.CLAMP, "too much")

    assert judged({"careless": Careless()}).verdict is Verdict.STOP


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("axis", range(7))
def test_not_finite_is_a_hold_that_names_the_axis(bad: float, axis: int) -> None:
    values = list(STILL)
    values[axis] = bad
    judgement = judged({}, tuple(values))
    assert (judgement.verdict, judgement.action) == (Verdict.HOLD, HOLD)
    assert SPEC.axes[axis] in judgement.interventions[0].reason


@pytest.mark.parametrize("count", [0, 6, 8])
def test_wrong_length_is_a_hold(count: int) -> None:
    assert judged({}, (0.0,) * count).verdict is Verdict.HOLD


@given(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 7))
def test_what_passes_is_inside_the_spec_and_never_larger(values: tuple[float, ...]) -> None:
    judgement = judged({}, values)
    for value, passed, low, high in zip(values, judgement.action.values, SPEC.low, SPEC.high, strict=True):
        assert low <= passed <= high
        assert abs(passed) <= abs(value) or low <= value <= high or passed in (low, high)
    inside = all(low <= v <= high for v, low, high in zip(values, SPEC.low, SPEC.high, strict=True))
    assert judgement.verdict is (Verdict.PASS if inside else Verdict.CLAMP)
    assert inside == (judgement.interventions == ())


def test_guards_for_deltas_refuse_another_convention() -> None:
    absolute = ActionSpec(SPEC.axes, SPEC.units, SPEC.low, SPEC.high, mode="absolute")
    with pytest.raises(ConfigurationError, match="guards understand delta actions"):
        GuardChain({"any": Says(Verdict.PASS)}, absolute)


def test_the_same_guard_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="is there twice"):
        GuardChain({"a": Says(Verdict.PASS, name="same"), "b": Says(Verdict.HOLD, name="same")}, SPEC)


@given(st.floats(1e300, 1.7e308), st.sampled_from([-1.0, 1.0]))
def test_a_contact_and_an_absurd_step_are_judged_without_failing(size: float, sign: float) -> None:
    """Found by fuzzing: against a force, a step of 1e308 m overflowed."""
    robot = RobotState((0.4, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0), (), (), (), (1.0, 2.0, 17.0), 17.0, 0.1)
    context = replace(CONTEXT, observation=replace(CONTEXT.observation, robot=robot))
    chain = GuardChain({"contact_force": ContactForce(15.0, 20.0)}, SPEC)
    action = Action((sign * size, sign * size, -size, 0.0, 0.0, 0.0, 1.0))
    judgement = chain.fold(Candidate(action), context)
    assert judgement.verdict is not Verdict.STOP
    assert max(map(abs, judgement.action.values[:3])) <= SPEC.high[0]
