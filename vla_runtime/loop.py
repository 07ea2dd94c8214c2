"""The closed loop: perceive, decode, un-normalise, guard, act. The same for simulation, benchmark and robot."""

from collections import Counter, defaultdict

from vla_runtime.clock import Stopwatch, Ticker
from vla_runtime.interfaces import Clock, Environment, InferenceEngine, Judge, Recorder, Unnormalizer
from vla_runtime.types import (
    Action,
    EndedBy,
    EpisodeEnd,
    GuardContext,
    Intervention,
    Judgement,
    Proposal,
    StepRecord,
    Verdict,
)


def run_episode(
    environment: Environment,
    engine: InferenceEngine,
    unnormalizer: Unnormalizer,
    guards: Judge,
    recorder: Recorder,
    clock: Clock,
    *,
    seed: int,
    holds_before_stop: int = 3,
) -> EpisodeEnd:
    """Run one episode. Whatever happens, the robot ends stopped.

    Args:
        environment: The world; its `action_spec` sets the control frequency.
        engine: Proposes an action at each tick.
        unnormalizer: Turns proposals into physical actions.
        guards: Judge each action before it is executed.
        recorder: Sees every step.
        clock: Paces the ticks.
        seed: Of the episode.
        holds_before_stop: This many HOLDs in a row end the episode.

    Returns:
        How it went. Success is the environment's to say: see `environment.outcome()`.
    """
    tally = _Tally(holds_before_stop)
    try:
        environment.reset(seed)
        engine.reset(seed)
        recorder.begin(environment.observe(clock.now_s()).instruction, seed)
        ticker = Ticker(clock, environment.action_spec.control_hz)
        while True:
            step = _step(environment, engine, unnormalizer, guards, clock)
            recorder.record(step)
            if tally.ends_with(step, environment):
                break
            if step.judgement.verdict is Verdict.HOLD:
                engine.drop_chunk()
            ticker.wait()
        environment.stop()
        end = tally.end(ticker.late_ticks)
        recorder.finish(end, environment.observe(clock.now_s()), environment.outcome())
        return end
    finally:
        try:
            environment.stop()
        finally:
            recorder.abandon()


def _step(
    environment: Environment, engine: InferenceEngine, unnormalizer: Unnormalizer, guards: Judge, clock: Clock
) -> StepRecord:
    """One pass: observe at the start of the tick, act at its end."""
    watch = Stopwatch()
    observation = environment.observe(clock.now_s())
    watch.lap("observe")
    proposal = engine.propose(observation)
    watch.lap("infer")
    normalized = proposal.action if proposal else None
    action = unnormalizer.unnormalize(normalized) if normalized else None
    watch.lap("unnormalize")
    hold = environment.hold_action(observation)
    context = GuardContext(observation, clock.now_s(), proposal.tokens if proposal else None)
    judgement = guards.judge(action, context) if action else _without_action(proposal, hold)
    executed = hold if judgement.verdict is Verdict.HOLD else judgement.action
    watch.lap("guard")
    if judgement.verdict is Verdict.STOP:
        executed = None
    else:
        environment.act(executed)
    watch.lap("act")
    return StepRecord(observation, proposal, action, executed, judgement, watch.stage_s)


def _without_action(proposal: Proposal | None, hold: Action) -> Judgement:
    """HOLD, because the policy was late or could not decode an action."""
    who, why = ("policy", proposal.refusal or "no action") if proposal else ("loop", "no action in time")
    return Judgement(Verdict.HOLD, hold, (Intervention(who, Verdict.HOLD, why),))


class _Tally:
    """Counts what happened, and knows when it is enough."""

    def __init__(self, holds_before_stop: int) -> None:
        self._holds_before_stop = holds_before_stop
        self._verdicts: Counter[Verdict] = Counter()
        self._stage_s: defaultdict[str, list[float]] = defaultdict(list)
        self._steps = self._holds = 0
        self._why: tuple[EndedBy, str] = (EndedBy.ENVIRONMENT, "the environment ended the episode")

    def ends_with(self, step: StepRecord, environment: Environment) -> bool:
        """Take in a step; whether the episode ends with it."""
        verdict = step.judgement.verdict
        self._verdicts[verdict] += 1
        self._steps += step.executed is not None
        self._holds = self._holds + 1 if verdict is Verdict.HOLD else 0
        for stage, seconds in step.stage_s.items():
            self._stage_s[stage].append(seconds)
        reasons = "; ".join(why.reason for why in step.judgement.interventions)
        if verdict is Verdict.STOP:
            self._why = (EndedBy.GUARD_STOP, reasons or "a guard said STOP without a reason")
        elif self._holds >= self._holds_before_stop:
            self._why = (EndedBy.HELD_TOO_LONG, f"{self._holds} HOLDs in a row: {reasons}")
        elif not environment.done:
            if self._steps < environment.step_limit:
                return False
            self._why = (EndedBy.STEP_LIMIT, f"step limit of {environment.step_limit}")
        return True

    def end(self, late_ticks: int) -> EpisodeEnd:
        """All of it."""
        timings = {stage: tuple(seconds) for stage, seconds in self._stage_s.items()}
        return EpisodeEnd(self._steps, *self._why, dict(self._verdicts), late_ticks, timings)
