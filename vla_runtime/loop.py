"""The closed loop: perceive, decode, un-normalise, guard, act. The same for simulation, benchmark and robot."""

from collections import Counter, defaultdict

from vla_runtime.clock import Stopwatch, Ticker
from vla_runtime.interfaces import Clock, Environment, InferenceEngine, Judge, Recorder
from vla_runtime.types import EndedBy, EpisodeEnd, StepRecord, Verdict


def run_episode(
    environment: Environment,
    engine: InferenceEngine,
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
        engine: Says at each tick what to do, in physical units.
        guards: Judge each action before it is executed.
        recorder: Sees every step.
        clock: Paces the ticks.
        seed: Of the episode.
        holds_before_stop: This many HOLDs of guards or policy in a row end the episode.

    Returns:
        How it went. Success is the environment's to say: see `environment.outcome()`.
    """
    tally = _Tally(holds_before_stop)
    try:
        environment.reset(seed)
        engine.reset(seed, clock)
        guards.reset()
        recorder.begin(environment.observe(clock.now_s()).instruction, seed)
        ticker = Ticker(clock, environment.action_spec.control_hz)
        while True:
            step = _step(environment, engine, guards, clock)
            recorder.record(step)
            if step.judgement.verdict is Verdict.HOLD:
                engine.drop_chunk()
            if tally.ends_with(step):
                break
            ticker.wait()
            if tally.ended_by_itself(environment):
                break
        environment.stop()
        end = tally.end(ticker.late_ticks)
        recorder.finish(end, environment.observe(clock.now_s()), environment.outcome())
        return end
    finally:
        try:
            environment.stop()
        finally:
            recorder.abandon()


def _step(environment: Environment, engine: InferenceEngine, guards: Judge, clock: Clock) -> StepRecord:
    """One pass: observe at the start of the tick, act at its end."""
    watch = Stopwatch()
    observation = environment.observe(clock.now_s())
    watch.lap("capture")
    candidate = engine.propose(observation)
    watch.lap("inference")
    watch.split("inference", "preprocessing", candidate.preprocessing_s)
    hold = environment.hold_action(observation)
    judgement = guards.judge(candidate, observation, hold, clock.now_s())
    watch.lap("guards")
    executed = None if judgement.verdict is Verdict.STOP else judgement.action
    if executed is not None:
        environment.act(executed)
    watch.lap("command")
    from_s = candidate.planned_from_s
    age_s = None if from_s is None else clock.now_s() - from_s
    return StepRecord(observation, candidate, executed, judgement, age_s, watch.stage_s)


class _Tally:
    """Counts what happened, and knows when it is enough."""

    def __init__(self, holds_before_stop: int) -> None:
        self._holds_before_stop = holds_before_stop
        self._verdicts: Counter[Verdict] = Counter()
        self._stage_s: defaultdict[str, list[float]] = defaultdict(list)
        self._age_s: list[float] = []
        self._interventions: Counter[str] = Counter()
        self._steps = self._holds = self._missed = self._touched = 0
        self._why: tuple[EndedBy, str] = (EndedBy.ENVIRONMENT, "the environment ended the episode")

    def ends_with(self, step: StepRecord) -> bool:
        """Take in a step; whether the episode ends with it."""
        verdict, waiting = step.judgement.verdict, step.candidate.proposal is None
        self._verdicts[verdict] += 1
        self._steps += step.executed is not None
        self._missed += waiting
        self._interventions.update(step.judgement.touched_by)
        self._touched += bool(step.judgement.touched_by)
        self._holds = 0 if verdict is not Verdict.HOLD else self._holds + (not waiting)
        if step.age_s is not None:
            self._age_s.append(step.age_s)
        for stage, seconds in step.stage_s.items():
            self._stage_s[stage].append(seconds)
        reasons = "; ".join(
            f"{why.guard}: {why.reason}" for why in step.judgement.interventions if why.verdict >= verdict
        )
        if verdict is Verdict.STOP:
            ended_by = EndedBy.NO_ACTION_IN_TIME if step.candidate.give_up else EndedBy.GUARD_STOP
            self._why = (ended_by, reasons or "a guard said STOP without a reason")
            return True
        if self._holds >= self._holds_before_stop:
            self._why = (EndedBy.HELD_TOO_LONG, f"{self._holds} HOLDs in a row: {reasons}")
            return True
        return False

    def ended_by_itself(self, environment: Environment) -> bool:
        """Whether the environment has ended the episode, or its limit has passed."""
        if environment.done:
            return True
        if self._steps < environment.step_limit:
            return False
        self._why = (EndedBy.STEP_LIMIT, f"step limit of {environment.step_limit}")
        return True

    def end(self, late_ticks: int) -> EpisodeEnd:
        """All of it."""
        return EpisodeEnd(
            self._steps,
            *self._why,
            dict(self._verdicts),
            late_ticks,
            self._missed,
            {stage: tuple(seconds) for stage, seconds in self._stage_s.items()},
            tuple(self._age_s),
            dict(self._interventions),
            self._touched,
        )
