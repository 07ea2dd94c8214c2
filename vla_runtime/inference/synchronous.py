"""Synchronous inference: the loop waits for the policy, and plays its chunk before asking again."""

from collections import deque
from typing import final

from vla_runtime.errors import ConfigurationError
from vla_runtime.interfaces import Policy
from vla_runtime.types import Observation, Proposal


@final
class SynchronousInference:
    """Runs the policy whenever the last chunk has been played."""

    def __init__(self, policy: Policy, execution_horizon: int | None = None) -> None:
        """Args: execution_horizon: how many actions of a chunk are executed before replanning; None: all."""
        if execution_horizon is not None and execution_horizon < 1:
            raise ConfigurationError(
                f"execution_horizon {execution_horizon}: expected 1 or more, or null for all"
            )
        self._policy = policy
        self._horizon = execution_horizon
        self._queue: deque[Proposal] = deque()

    def reset(self, seed: int) -> None:
        """Start an episode."""
        self._queue.clear()
        self._policy.reset(seed)

    def propose(self, observation: Observation) -> Proposal | None:
        """The next action of the chunk, or the first of a new one."""
        if not self._queue:
            self._queue.extend(self._policy.act(observation).proposals[: self._horizon])
        return self._queue.popleft() if self._queue else None

    def drop_chunk(self) -> None:
        """Replan at the next tick."""
        self._queue.clear()
