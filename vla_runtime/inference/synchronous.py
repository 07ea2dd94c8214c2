"""Synchronous inference: the loop waits for the policy, and plays its chunk before asking again."""

import time
from collections import deque
from typing import final

from vla_runtime.errors import ConfigurationError
from vla_runtime.interfaces import Clock, Policy
from vla_runtime.types import Candidate, Observation, Proposal


@final
class SynchronousInference:
    """Runs the policy whenever the last chunk has been played. While it thinks, the robot holds."""

    def __init__(self, policy: Policy, execution_horizon: int | None = None) -> None:
        """Args: execution_horizon: how many actions of a chunk are executed before replanning; None: all."""
        if execution_horizon is not None and execution_horizon < 1:
            raise ConfigurationError(
                f"execution_horizon {execution_horizon}: expected 1 or more, or null for all"
            )
        self._policy = policy
        self._horizon = execution_horizon
        self._queue: deque[Proposal] = deque()
        self._planned_from_s = 0.0

    def reset(self, seed: int, clock: Clock) -> None:
        """Start an episode on a clock."""
        self._queue.clear()
        self._clock = clock
        self._policy.reset(seed)

    def propose(self, observation: Observation) -> Candidate:
        """The next action of the chunk, or the first of a new one."""
        prepared_s = 0.0 if self._queue else self._think(observation)
        from_s = self._planned_from_s
        if not self._queue:
            return Candidate(None, Proposal(None), from_s, "the policy gave an empty chunk")
        proposal = self._queue.popleft()
        label = None if proposal.label is None else self._policy.unnormalizer.unnormalize(proposal.label)
        if proposal.action is None:
            reason = proposal.refusal or "no action"
            return Candidate(None, proposal, from_s, reason, preprocessing_s=prepared_s, label=label)
        action = self._policy.unnormalizer.unnormalize(proposal.action)
        return Candidate(action, proposal, from_s, preprocessing_s=prepared_s, label=label)

    def drop_chunk(self) -> None:
        """Replan at the next tick."""
        self._queue.clear()

    def _think(self, observation: Observation) -> float:
        """Run the policy, let as much time pass as it counts on the clock; returns the wall time of preparing [s]."""
        began_s, began_wall_s = self._clock.now_s(), time.perf_counter()
        chunk = self._policy.act(observation)
        self._queue.extend(chunk.proposals[: self._horizon])
        latency_s = self._clock.charge_s(time.perf_counter() - began_wall_s)
        self._clock.sleep_until(began_s + latency_s)
        self._planned_from_s = observation.capture_time_s
        return chunk.preprocessing_s
