"""Policies that see nothing, to compare with: a policy that beats them has learned something."""

from typing import final

import numpy as np

from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.specs import ActionSpec
from vla_runtime.types import Action, ActionChunk, Observation, Proposal


@final
class ZeroPolicy:
    """Stays where it is, with an open gripper."""

    privileged = False

    def __init__(self, action_spec: ActionSpec) -> None:
        """Args: action_spec: what the environment expects; a spec with deltas, so that 0 means no motion."""
        self.action_spec = action_spec
        self.unnormalizer = ActionStatistics.from_spec(action_spec)
        still = Action(tuple(1.0 if unit == "opening" else 0.0 for unit in action_spec.units))
        self._chunk = ActionChunk((Proposal(self.unnormalizer.normalize(still)),))

    def describe(self) -> dict[str, object]:
        """Nothing beside its configuration."""
        return {}

    def reset(self, seed: int) -> None:
        """Nothing to forget."""

    def act(self, observation: Observation) -> ActionChunk:
        """No motion."""
        return self._chunk


@final
class RandomPolicy:
    """Draws every number uniformly between its bounds."""

    privileged = False

    def __init__(self, action_spec: ActionSpec) -> None:
        """Args: action_spec: what the environment expects."""
        self.action_spec = action_spec
        self.unnormalizer = ActionStatistics.from_spec(action_spec)
        self._rng = np.random.default_rng(0)

    def describe(self) -> dict[str, object]:
        """Nothing beside its configuration."""
        return {}

    def reset(self, seed: int) -> None:
        """Start the stream of this seed; the environment's streams are others."""
        self._rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))

    def act(self, observation: Observation) -> ActionChunk:
        """Uniform between the bounds."""
        physical = Action(tuple(self._rng.uniform(self.action_spec.low, self.action_spec.high).tolist()))
        return ActionChunk((Proposal(self.unnormalizer.normalize(physical)),))
