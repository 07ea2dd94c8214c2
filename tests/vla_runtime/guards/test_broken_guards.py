"""A guard, or a hold action, that is broken stops the robot."""

import math
from dataclasses import replace

import pytest

from tests.conftest import SPEC
from tests.vla_runtime.guards.scenarios import action, chain, context
from vla_runtime.guards.chain import GuardChain
from vla_runtime.types import Action, Candidate, GuardContext, Intervention, Judgement, Verdict

MOVE = Candidate(action(x=0.01, z=-0.01))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, None])
def test_a_hold_that_is_no_action_stops(bad: float | None) -> None:
    """HOLD would send it to the robot."""
    hold = Action((0.0,) * 6 if bad is None else (0.0,) * 6 + (bad,))
    guards = chain()
    for candidate in (MOVE, Candidate(None)):
        assert guards.fold(candidate, context(hold=hold)).verdict is Verdict.STOP


class Answers:
    """A guard of one's own that clamps to what is no action."""

    name = "answers"

    def __init__(self, values: tuple[float, ...]) -> None:
        self._values = values

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        return Intervention(self.name, Verdict.CLAMP, "smaller", Action(self._values))


@pytest.mark.parametrize("values", [(math.nan,) * 7, (0.0,) * 6, (0.0,) * 8, (*(0.0,) * 6, math.inf)])
def test_a_clamp_to_what_is_no_action_stops(values: tuple[float, ...]) -> None:
    judgement = GuardChain({"answers": Answers(values)}, SPEC).fold(MOVE, context())
    assert judgement.verdict is Verdict.STOP
    assert "guard answers failed" in judgement.interventions[-1].reason


class CannotRemember:
    name = "cannot_remember"

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        return None

    def remember(self, context: GuardContext, judgement: Judgement) -> int:
        raise ZeroDivisionError("of course")


def test_a_guard_that_cannot_remember_stops_the_next_step() -> None:
    guards = GuardChain({"cannot_remember": CannotRemember()}, SPEC)
    first = guards.fold(MOVE, context())
    memory = guards.remember(context(), first)
    second = guards.fold(MOVE, replace(context(), memory=memory))
    assert second.verdict is Verdict.STOP
    assert "guard cannot_remember failed: ZeroDivisionError: of course" in second.interventions[-1].reason
