"""Chunks are played in order, up to the execution horizon, and dropped when told to."""

import pytest

from tests.conftest import SPEC, FakeClock, SameUnits
from vla_runtime.errors import ConfigurationError
from vla_runtime.inference.synchronous import SynchronousInference
from vla_runtime.types import ActionChunk, ActionTokens, NormalizedAction, Observation, Proposal


class CountingPolicy:
    """Each call gives a chunk of three actions that say which call and which action they are."""

    action_spec = SPEC
    unnormalizer = SameUnits()
    privileged = False

    def __init__(self) -> None:
        self.calls = 0

    def describe(self) -> dict[str, object]:
        return {}

    def reset(self, seed: int) -> None:
        self.calls = 0

    def act(self, observation: Observation) -> ActionChunk:
        self.calls += 1
        return ActionChunk(
            tuple(
                Proposal(
                    NormalizedAction((float(self.calls), float(index))), ActionTokens((self.calls, index))
                )
                for index in range(3)
            )
        )


def played(engine: SynchronousInference, observation: Observation, ticks: int) -> list[tuple[float, ...]]:
    candidates = [engine.propose(observation) for _ in range(ticks)]
    return [candidate.action.values for candidate in candidates if candidate.action]


def started(execution_horizon: int | None = None) -> SynchronousInference:
    engine = SynchronousInference(CountingPolicy(), execution_horizon)
    engine.reset(0, FakeClock())
    return engine


def test_a_chunk_is_played_before_the_next(observation: Observation) -> None:
    engine = started()
    assert played(engine, observation, 5) == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]


def test_the_execution_horizon_cuts_it(observation: Observation) -> None:
    engine = started(2)
    assert played(engine, observation, 4) == [(1, 0), (1, 1), (2, 0), (2, 1)]


def test_a_dropped_chunk_is_not_played(observation: Observation) -> None:
    engine = started()
    played(engine, observation, 1)
    engine.drop_chunk()
    assert played(engine, observation, 1) == [(2, 0)]


def test_tokens_go_with_their_action(observation: Observation) -> None:
    engine = started()
    proposals = [engine.propose(observation).proposal for _ in range(2)]
    assert [p.tokens.ids for p in proposals if p and p.tokens] == [(1, 0), (1, 1)]


def test_reset_forgets_the_chunk(observation: Observation) -> None:
    engine = started()
    played(engine, observation, 2)
    engine.reset(0, FakeClock())
    assert played(engine, observation, 1) == [(1, 0)]


def test_a_senseless_horizon_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="execution_horizon 0"):
        SynchronousInference(CountingPolicy(), execution_horizon=0)


def test_thinking_takes_the_time_that_the_clock_charges(observation: Observation) -> None:
    clock = FakeClock()
    clock.charge_s = lambda wall_s: 0.3  # type: ignore[method-assign]
    engine = SynchronousInference(CountingPolicy())
    engine.reset(0, clock)
    played(engine, observation, 4)  # a chunk of three, then one of the next
    assert clock.now == pytest.approx(100.6)
