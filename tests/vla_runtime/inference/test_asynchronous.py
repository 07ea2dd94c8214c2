"""The loop never waits, and what arrives late is played at the time that it was meant for."""

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.conftest import SPEC, FakeEnvironment, FakeRecorder, SameUnits
from vla_runtime.clock import MonotonicClock, SimulatedClock
from vla_runtime.errors import ConfigurationError, InferenceStuck
from vla_runtime.guards.chain import GuardChain
from vla_runtime.guards.supervisor import Supervisor
from vla_runtime.inference import workers
from vla_runtime.inference.asynchronous import AsynchronousInference
from vla_runtime.inference.deadlines import DeadlineLadder
from vla_runtime.loop import run_episode
from vla_runtime.types import (
    ActionChunk,
    Candidate,
    EndedBy,
    NormalizedAction,
    Observation,
    Proposal,
    Proprioception,
)

PERIOD_S = 1.0 / SPEC.control_hz
LADDER = DeadlineLadder(decay_s=0.08, stop_after_s=1.0, first_action_within_s=10.0)
Act = Callable[[Observation], ActionChunk]


class Acts:
    """A policy that does what a function says, and remembers what it was shown."""

    action_spec = SPEC
    unnormalizer = SameUnits()
    privileged = False

    def __init__(self, act: Act) -> None:
        self._act = act
        self.shown: list[Observation] = []

    def describe(self) -> dict[str, object]:
        return {}

    def reset(self, seed: int) -> None:
        self.shown = []

    def act(self, observation: Observation) -> ActionChunk:
        self.shown.append(observation)
        return self._act(observation)


def chunk(*xs: float) -> ActionChunk:
    return ActionChunk(tuple(Proposal(NormalizedAction((x, *(0.0,) * 5, 1.0))) for x in xs))


class Draws:
    """A latency that a function says."""

    def __init__(self, draw: Callable[[int], float]) -> None:
        self._draw = draw

    def draw_s(self, rng: np.random.Generator, index: int, wall_s: float) -> float:
        return self._draw(index)


class Run:
    """An engine, simulated time, and a robot that goes where it is told along x."""

    def __init__(self, act: Act, latency_s: Callable[[int], float], **settings: Any) -> None:
        self.policy = Acts(act)
        self.engine = AsynchronousInference(self.policy, LADDER, **settings)
        self.clock = SimulatedClock(Draws(latency_s), lambda duration_s: None)
        self.engine.reset(0, self.clock)
        self.x, self.step = 0.0, 0
        self.positions: list[float] = []

    def tick(self) -> Candidate:
        felt = Proprioception((), (self.x, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0), 1.0)
        candidate = self.engine.propose(Observation({}, felt, "", self.clock.now_s(), self.step))
        self.x += candidate.action.values[0] if candidate.action else 0.0
        self.positions.append(self.x)
        self.step += 1
        self.clock.sleep_until(self.step * PERIOD_S)
        return candidate

    def ticks(self, count: int) -> list[Candidate]:
        return [self.tick() for _ in range(count)]


def test_late_chunks_are_played_at_the_time_that_they_were_meant_for() -> None:
    """2,000 arrivals: where the robot is says which delta was played when."""
    rng = random.Random(0)
    table = [rng.uniform(-0.01, 0.01) for _ in range(9000)]
    meant = np.cumsum(table)

    def to_where_it_is_meant_to_be(seen: Observation) -> ActionChunk:
        assert seen.proprioception is not None
        here = seen.proprioception.end_effector_pose[0]
        return chunk(meant[seen.step] - here, *table[seen.step + 1 : seen.step + 10])

    run = Run(to_where_it_is_meant_to_be, lambda _: rng.uniform(0.0, 0.8))
    candidates = []
    while len(run.policy.shown) < 2000:
        candidates.append(run.tick())
    assert all(candidate.proposal is not None for candidate in candidates[5:])
    assert run.positions[10:] == pytest.approx(meant[10 : len(run.positions)].tolist(), abs=1e-9)


@pytest.mark.parametrize(
    ("alignment", "first"), [("naive", 0.001), ("drop_late_deltas", 0.003), ("anchored", 0.006)]
)
def test_what_a_late_chunk_begins_with(alignment: Any, first: float) -> None:
    """Two of 0.001, 0.002, ... are late: played from the first, without the late ones, or with what they would have moved."""
    run = Run(
        lambda _: chunk(*(0.001 * k for k in range(1, 9))),
        lambda _: 2 * PERIOD_S,
        alignment=alignment,
        replan_after_steps=100,
    )
    third = run.ticks(3)[2]
    assert third.action is not None
    assert third.action.values[0] == pytest.approx(first)
    assert third.planned_from_s == 0.0


def test_plans_are_averaged() -> None:
    """The plan from step 0 says 0.01 a step, the one from step 1 says 0.02."""
    run = Run(lambda seen: chunk(*([0.01 * (1 + min(seen.step, 1))] * 9)), lambda _: 0.0, ensemble_plans=2)
    run.ticks(2)
    assert run.x == pytest.approx(0.01 + (0.01 + 0.02) / 2.0)


def test_the_policy_is_told_what_is_on_its_way() -> None:
    run = Run(
        lambda seen: chunk(*([0.001 * (seen.step + 1)] * 6)),
        lambda _: 2 * PERIOD_S,
        alignment="roll_forward",
        first_latency_s=2 * PERIOD_S,
    )
    run.ticks(12)
    for seen in run.policy.shown:
        assert len(seen.pending) == 2
    third = run.policy.shown[2]
    executed = np.diff([0.0, *run.positions])
    told = [action.values[0] for action in third.pending]
    assert told == pytest.approx(executed[third.step : third.step + 2].tolist())
    assert told[0] > 0.0


def test_a_plan_that_comes_early_does_not_end_the_one_before() -> None:
    run = Run(
        lambda seen: chunk(*([0.01] * 8)),
        lambda index: PERIOD_S if index % 2 else 3 * PERIOD_S,
        alignment="roll_forward",
        first_latency_s=3 * PERIOD_S,
    )
    assert all(candidate.proposal is not None for candidate in run.ticks(60)[3:])


def test_chunks_that_are_always_over_when_they_come_are_refused_in_one_line() -> None:
    run = Run(lambda _: chunk(0.01, 0.01), lambda _: 3 * PERIOD_S)
    with pytest.raises(
        ConfigurationError,
        match=r"^inference: a chunk of 2 actions lasts 0\.40 s, and an inference took 0\.60 s; expected longer [^\n]*$",
    ):
        run.ticks(20)


def test_a_single_spike_is_left_to_the_ladder() -> None:
    run = Run(lambda _: chunk(*([0.01] * 4)), lambda index: 0.9 if index in (0, 4) else 0.1)
    candidates = run.ticks(30)
    assert [candidate.give_up for candidate in candidates] == [False] * 30
    assert candidates[-1].proposal is not None


def test_a_refusal_is_said_once_and_asked_about_again() -> None:
    refusal = ActionChunk((Proposal(None, refusal="token 2 is no action token"),))
    run = Run(lambda seen: refusal if seen.step == 0 else chunk(*([0.01] * 8)), lambda _: 0.1)
    reasons = [candidate.reason for candidate in run.ticks(6)]
    assert reasons.count("token 2 is no action token") == 1
    assert reasons[-1] is None


def test_a_dropped_plan_is_not_played_and_what_is_computed_is_kept() -> None:
    run = Run(lambda _: chunk(*([0.01] * 8)), lambda _: 2 * PERIOD_S)
    run.ticks(3)  # the second inference has begun
    run.engine.drop_chunk()
    asked = len(run.policy.shown)
    following = run.ticks(2)
    assert following[0].proposal is None
    assert following[1].proposal is not None
    assert following[1].planned_from_s == run.policy.shown[asked - 1].capture_time_s


@pytest.mark.parametrize(
    "settings",
    [
        {"alignment": "none"},
        {"alignment": "naive", "ensemble_plans": 2},
        {"replan_after_steps": 0},
        {"ensemble_decay": float("nan")},
        {"first_latency_s": -1.0},
    ],
)
def test_senseless_settings_are_refused_in_one_line(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"^inference[^\n]*$"):
        AsynchronousInference(Acts(lambda _: chunk(0.0)), LADDER, **settings)


# ------------------------------------------------------------------------------------------------- in a thread


def threaded(act: Act, ladder: DeadlineLadder = LADDER) -> AsynchronousInference:
    engine = AsynchronousInference(Acts(act), ladder)
    engine.reset(0, MonotonicClock())
    return engine


def test_a_slow_policy_never_delays_the_loop() -> None:
    go_on = threading.Event()

    def slow(_: Observation) -> ActionChunk:
        go_on.wait(5.0)
        return chunk(*([0.01] * 50))

    engine, environment, took_s = threaded(slow), FakeEnvironment(), []
    for _ in range(20):
        began_s = time.perf_counter()
        candidate = engine.propose(environment.observe(time.monotonic()))
        took_s.append(time.perf_counter() - began_s)
        assert candidate.action is None
    go_on.set()
    assert sorted(took_s)[-2] < 0.01  # one may be unlucky on a busy machine
    for _ in range(200):
        time.sleep(0.005)
        if engine.propose(environment.observe(time.monotonic())).action is not None:
            return
    pytest.fail("the chunk never arrived")


def test_what_the_policy_raises_surfaces_in_the_loop() -> None:
    def broken(_: Observation) -> ActionChunk:
        raise RuntimeError("policy broke")

    engine, environment = threaded(broken), FakeEnvironment(ends_after=1000)
    guards = Supervisor(GuardChain({}, SPEC))
    with pytest.raises(RuntimeError, match="policy broke"):
        run_episode(environment, engine, guards, FakeRecorder(), MonotonicClock(), seed=0)
    assert environment.stopped


def test_a_stuck_policy_ends_the_episode_and_the_next_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()

    def stuck(_: Observation) -> ActionChunk:
        never.wait(20.0)
        return chunk(0.0)

    monkeypatch.setattr(workers, "RESET_WITHIN_S", 0.05)
    engine = AsynchronousInference(Acts(stuck), DeadlineLadder(0.08, 0.3, 0.3))
    environment = FakeEnvironment(ends_after=1000)
    guards = Supervisor(GuardChain({}, SPEC))
    end = run_episode(environment, engine, guards, FakeRecorder(), MonotonicClock(), seed=0)
    assert end.ended_by is EndedBy.NO_ACTION_IN_TIME
    assert environment.stopped
    with pytest.raises(InferenceStuck, match=r"^the policy has not come back for 0\.05 s: start anew$"):
        engine.reset(1, MonotonicClock())
    never.set()


def test_a_privileged_policy_is_refused_in_real_time() -> None:
    policy = Acts(lambda _: chunk(0.0))
    policy.privileged = True
    engine = AsynchronousInference(policy, LADDER)
    with pytest.raises(ConfigurationError, match="expected clock=simulated or inference=synchronous"):
        engine.reset(0, MonotonicClock())
