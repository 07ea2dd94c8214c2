"""Whatever happens, the robot ends stopped."""

import math

import pytest

from tests.conftest import SPEC, STILL, FakeClock, FakeEngine, FakeEnvironment, FakeRecorder
from vla_runtime.guards.chain import GuardChain
from vla_runtime.guards.supervisor import Supervisor
from vla_runtime.loop import run_episode
from vla_runtime.types import (
    Action,
    Candidate,
    EndedBy,
    EpisodeEnd,
    GuardContext,
    Intervention,
    NormalizedAction,
    Proposal,
    Verdict,
)

SMALL = Proposal(NormalizedAction((0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)))
NAN = Proposal(NormalizedAction((math.nan, *STILL[1:])))
LARGE = Proposal(NormalizedAction((9.0, *STILL[1:])))


def play(
    environment: FakeEnvironment,
    engine: FakeEngine,
    recorder: FakeRecorder | None = None,
    guards: GuardChain | None = None,
    clock: FakeClock | None = None,
) -> EpisodeEnd:
    return run_episode(
        environment,
        engine,
        Supervisor(guards or GuardChain({}, SPEC)),
        recorder or FakeRecorder(),
        clock or FakeClock(),
        seed=0,
    )


def test_actions_reach_the_environment_in_order(fake_environment: FakeEnvironment) -> None:
    moves = [Proposal(NormalizedAction((0.01 * k, *STILL[1:]))) for k in range(5)]
    end = play(fake_environment, FakeEngine(lambda seen: moves[seen.step]))
    assert [action.values[0] for action in fake_environment.acted] == [0.01 * k for k in range(5)]
    assert (end.steps, end.ended_by) == (5, EndedBy.ENVIRONMENT)
    assert fake_environment.stopped


def test_observation_precedes_each_action(fake_environment: FakeEnvironment) -> None:
    play(fake_environment, FakeEngine(lambda _: SMALL))
    calls = [call for call in fake_environment.calls if call in ("observe", "act")]
    for index, call in enumerate(calls):
        if call == "act":
            assert calls[index - 1] == "observe"


@pytest.mark.parametrize("where", ["reset", "observe", "act"])
def test_any_exception_ends_in_stop(fake_environment: FakeEnvironment, where: str) -> None:
    fake_environment.fails_in = where
    recorder = FakeRecorder()
    with pytest.raises(RuntimeError, match=f"{where} broke"):
        play(fake_environment, FakeEngine(lambda _: SMALL), recorder)
    assert fake_environment.stopped
    assert recorder.abandoned == 1
    assert recorder.finished == []


def test_failing_policy_ends_in_stop(fake_environment: FakeEnvironment) -> None:
    def broken(_: object) -> Proposal:
        raise ValueError("policy broke")

    with pytest.raises(ValueError, match="policy broke"):
        play(fake_environment, FakeEngine(broken))
    assert fake_environment.stopped
    assert fake_environment.acted == []


def test_ctrl_c_ends_in_stop(fake_environment: FakeEnvironment) -> None:
    def interrupted(_: object) -> Proposal:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play(fake_environment, FakeEngine(interrupted))
    assert fake_environment.stopped


def test_recorder_is_released_even_when_stop_fails(fake_environment: FakeEnvironment) -> None:
    def broken_stop() -> None:
        raise RuntimeError("stop broke")

    fake_environment.stop = broken_stop  # type: ignore[method-assign]
    recorder = FakeRecorder()
    with pytest.raises(RuntimeError, match="stop broke"):
        play(fake_environment, FakeEngine(lambda _: SMALL), recorder)
    assert recorder.abandoned == 1


def test_waiting_for_the_policy_holds_but_does_not_end_it(fake_environment: FakeEnvironment) -> None:
    """How long to wait is the engine's ladder to say, not the count of HOLDs."""
    end = play(fake_environment, FakeEngine(lambda _: None))
    assert end.ended_by is EndedBy.ENVIRONMENT
    assert [action.values for action in fake_environment.acted] == [STILL] * 5
    assert end.missed_deadlines == 5
    assert (end.touched_steps, end.interventions) == (0, {})


def test_giving_up_stops(fake_environment: FakeEnvironment) -> None:
    engine = FakeEngine(lambda _: None)
    engine.propose = lambda observation: Candidate(None, reason="too late", give_up=True)  # type: ignore[method-assign]
    end = play(fake_environment, engine)
    assert end.ended_by is EndedBy.NO_ACTION_IN_TIME
    assert "too late" in end.reason
    assert fake_environment.acted == []


def test_a_refusal_is_a_hold_with_its_reason(fake_environment: FakeEnvironment) -> None:
    refused = Proposal(None, refusal="token 2 is no action token")
    end = play(fake_environment, FakeEngine(lambda _: refused))
    assert end.ended_by is EndedBy.HELD_TOO_LONG
    assert "token 2 is no action token" in end.reason


def test_holds_that_are_not_in_a_row_do_not_end_it(fake_environment: FakeEnvironment) -> None:
    fake_environment.ends_after = 9
    end = play(fake_environment, FakeEngine(lambda seen: SMALL if seen.step % 3 == 2 else NAN))
    assert end.ended_by is EndedBy.ENVIRONMENT
    assert end.verdicts[Verdict.HOLD] == 6


def test_nan_never_reaches_the_environment(fake_environment: FakeEnvironment) -> None:
    end = play(fake_environment, FakeEngine(lambda seen: NAN if seen.step == 1 else SMALL))
    assert end.verdicts[Verdict.HOLD] == 1
    assert all(math.isfinite(value) for action in fake_environment.acted for value in action.values)
    assert fake_environment.acted[1].values == STILL


def test_too_large_is_clamped(fake_environment: FakeEnvironment) -> None:
    end = play(fake_environment, FakeEngine(lambda _: LARGE))
    assert {action.values[0] for action in fake_environment.acted} == {SPEC.high[0]}
    assert end.verdicts == {Verdict.CLAMP: 5}


def test_a_hold_drops_the_rest_of_the_chunk(fake_environment: FakeEnvironment) -> None:
    engine = FakeEngine(lambda seen: NAN if seen.step == 1 else SMALL)
    play(fake_environment, engine)
    assert engine.dropped == 1


class StopsAt:
    """A guard that says STOP from one step on."""

    name = "stops_at"

    def __init__(self, step: int, reason: str) -> None:
        self._step = step
        self._reason = reason

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        if context.observation.step < self._step:
            return None
        return Intervention(self.name, Verdict.STOP, self._reason)


@pytest.mark.parametrize("reason", ["", "too close"])
def test_stop_executes_nothing_more(fake_environment: FakeEnvironment, reason: str) -> None:
    recorder = FakeRecorder()
    guards = GuardChain({"stops_at": StopsAt(2, reason)}, SPEC)
    end = play(fake_environment, FakeEngine(lambda _: SMALL), recorder, guards)
    assert end.ended_by is EndedBy.GUARD_STOP
    assert end.reason == f"stops_at: {reason}"
    assert len(fake_environment.acted) == end.steps == 2
    assert recorder.steps[-1].executed is None
    assert fake_environment.stopped


def test_step_limit_ends_it() -> None:
    environment = FakeEnvironment(ends_after=1000, step_limit=7)
    end = play(environment, FakeEngine(lambda _: SMALL))
    assert (end.steps, end.ended_by) == (7, EndedBy.STEP_LIMIT)


def test_every_step_is_recorded_with_its_stages(fake_environment: FakeEnvironment) -> None:
    recorder = FakeRecorder()
    end = play(fake_environment, FakeEngine(lambda _: SMALL), recorder)
    assert [step.observation.step for step in recorder.steps] == [0, 1, 2, 3, 4]
    assert set(end.stage_s) == {"capture", "preprocessing", "inference", "guards", "command"}
    assert all(len(seconds) == 5 for seconds in end.stage_s.values())
    assert len(recorder.finished) == 1
    assert end.age_s == pytest.approx((0.0,) * 5)


def test_ticks_follow_the_control_frequency(fake_environment: FakeEnvironment) -> None:
    clock = FakeClock()
    play(fake_environment, FakeEngine(lambda _: SMALL), clock=clock)
    assert clock.slept_until == pytest.approx([100.2, 100.4, 100.6, 100.8, 101.0])
