"""Fakes that stand in for the world, the policy and time. Plain pytest needs no GPU, weights, display or network."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from vla_runtime.specs import DELTA_AXES, DELTA_UNITS, ActionSpec
from vla_runtime.types import (
    Action,
    Candidate,
    EpisodeEnd,
    NormalizedAction,
    Observation,
    Proposal,
    Proprioception,
    StepRecord,
)

SPEC = ActionSpec(
    DELTA_AXES, DELTA_UNITS, (-0.05,) * 3 + (-0.25,) * 3 + (0.0,), (0.05,) * 3 + (0.25,) * 3 + (1.0,)
)
STILL = (0.0,) * 6 + (1.0,)


class FakeClock:
    """Time that passes only when told to."""

    real_time = False

    def __init__(self) -> None:
        self.now = 100.0
        self.slept_until: list[float] = []

    def now_s(self) -> float:
        return self.now

    def sleep_until(self, deadline_s: float) -> None:
        self.slept_until.append(deadline_s)
        self.now = max(self.now, deadline_s)

    def charge_s(self, wall_s: float) -> float:
        return 0.0


class FakeEnvironment:
    """Remembers what was done to it; ends after a number of steps."""

    def __init__(self, ends_after: int = 5, step_limit: int = 50) -> None:
        self.action_spec = SPEC
        self.step_limit = step_limit
        self.ends_after = ends_after
        self.calls: list[str] = []
        self.acted: list[Action] = []
        self.stopped = True
        self.fails_in: str | None = None

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.fails_in == name:
            raise RuntimeError(f"{name} broke")

    def reset(self, seed: int) -> None:
        self.acted = []
        self.stopped = False
        self._called("reset")

    def observe(self, now_s: float) -> Observation:
        self._called("observe")
        image = np.full((8, 8, 3), len(self.acted), np.uint8)
        felt = Proprioception((0.0,) * 7, (0.4, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0), 1.0)
        return Observation({"front": image}, felt, "do nothing", now_s, len(self.acted))

    def act(self, action: Action) -> None:
        self._called("act")
        self.acted.append(action)

    def hold_action(self, observation: Observation) -> Action:
        return Action(STILL)

    @property
    def done(self) -> bool:
        return len(self.acted) >= self.ends_after

    def outcome(self) -> Mapping[str, Any]:
        return {"success_at_end": self.done, "success_once": self.done, "stage": None}

    def stop(self) -> None:
        self.calls.append("stop")
        self.stopped = True

    def close(self) -> None:
        self.stop()


class FakeEngine:
    """Proposes what it is told to, and remembers how often its chunk was dropped."""

    def __init__(self, propose: Callable[[Observation], Proposal | None]) -> None:
        self._propose = propose
        self.dropped = 0

    def reset(self, seed: int, clock: object) -> None:
        self.dropped = 0

    def propose(self, observation: Observation) -> Candidate:
        proposal = self._propose(observation)
        if proposal is None:
            return Candidate(None, reason="no action in time")
        action = Action(proposal.action.values) if proposal.action else None
        return Candidate(action, proposal, observation.capture_time_s, proposal.refusal)

    def drop_chunk(self) -> None:
        self.dropped += 1


class FakeRecorder:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.steps: list[StepRecord] = []
        self.finished: list[EpisodeEnd] = []
        self.abandoned = 0

    def begin(self, instruction: str, seed: int) -> None:
        self.steps = []

    def record(self, step: StepRecord) -> None:
        self.steps.append(step)

    def finish(self, end: EpisodeEnd, observation: Observation, outcome: Mapping[str, Any]) -> None:
        self.finished.append(end)

    def abandon(self) -> None:
        self.abandoned += 1


class SameUnits:
    """An unnormalizer that changes nothing."""

    def unnormalize(self, action: NormalizedAction) -> Action:
        return Action(action.values)


@pytest.fixture
def spec() -> ActionSpec:
    return SPEC


@pytest.fixture
def fake_clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def fake_environment() -> FakeEnvironment:
    return FakeEnvironment()


@pytest.fixture
def fake_recorder() -> FakeRecorder:
    return FakeRecorder()


@pytest.fixture
def observation(fake_environment: FakeEnvironment) -> Observation:
    return fake_environment.observe(0.0)
