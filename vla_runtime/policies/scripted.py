"""A scripted expert as a policy. Its actions go the whole way of a model's: normalised, tokenised, decoded."""

from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.errors import ConfigurationError
from vla_runtime.interfaces import ActionTokenizer
from vla_runtime.specs import ActionSpec
from vla_runtime.types import Action, ActionChunk, ActionTokens, NormalizedAction, Observation, Proposal

MOST_STEPS = 100  # [steps] of a chunk


class Expert(Protocol):
    """Knows the simulator, and what to do."""

    def act(self, simulator: Any, pending: NDArray[np.float64]) -> NDArray[np.float64]:
        """The physical action for the simulator's state after actions that are on their way already, shape (k, 7)."""
        ...

    def plan(self, simulator: Any, steps: int, pending: NDArray[np.float64]) -> NDArray[np.float64]:
        """The actions of several control periods, shape (steps, 7)."""
        ...


@final
class ScriptedPolicy:
    """Asks an expert, and speaks its answer in action tokens. Privileged: it does not look at the images."""

    privileged = True

    def __init__(
        self,
        expert: Expert,
        simulator: object | None,
        action_spec: ActionSpec,
        tokenizer: ActionTokenizer | None = None,
        chunk_steps: int = 1,
    ) -> None:
        """Put them together.

        Args:
            expert: Knows what to do.
            simulator: The environment's simulator, which the expert reads.
            action_spec: What the environment expects; its bounds are the quantiles that actions are normalised with.
            tokenizer: Through which actions go; None leaves them as they are, to measure what tokens cost. One for several
                control periods needs chunks of that many.
            chunk_steps: Control periods that one inference plans for; beyond the first the expert forecasts the state.
        """
        if simulator is None:
            raise ConfigurationError(
                "policy: a scripted expert reads a simulator, and this environment has none"
            )
        if not 1 <= chunk_steps <= MOST_STEPS:
            raise ConfigurationError(f"policy.chunk_steps={chunk_steps}: expected from 1 to {MOST_STEPS}")
        if tokenizer is not None and tokenizer.periods not in (1, chunk_steps):
            raise ConfigurationError(
                f"policy.chunk_steps={chunk_steps}: the tokenizer is for {tokenizer.periods} control periods; "
                f"expected {tokenizer.periods}"
            )
        self._chunk_steps = chunk_steps
        self.action_spec = action_spec
        self.unnormalizer = ActionStatistics.from_spec(action_spec)
        self._expert = expert
        self._simulator = simulator
        self._tokenizer = tokenizer

    def describe(self) -> dict[str, object]:
        """Nothing beside its configuration."""
        return {}

    def reset(self, seed: int) -> None:
        """Nothing to forget: the expert is a function of the state."""

    def act(self, observation: Observation) -> ActionChunk:
        """The expert's actions, decoded from their tokens."""
        pending = np.array([action.values for action in observation.pending]).reshape(-1, 7)
        if self._chunk_steps == 1:
            actions = self._expert.act(self._simulator, pending)[np.newaxis]
        else:
            actions = self._expert.plan(self._simulator, self._chunk_steps, pending)
        normalized = [self.unnormalizer.inverse(Action(tuple(row))) for row in actions.tolist()]
        if self._tokenizer is not None and self._tokenizer.periods > 1:
            values = [action.values for action in normalized]
            decoded = self._tokenizer.decode(self._tokenizer.encode(values)).tolist()
            return ActionChunk(tuple(Proposal(NormalizedAction(tuple(row))) for row in decoded))
        return ActionChunk(tuple(map(self._proposal, normalized)))

    def _proposal(self, normalized: NormalizedAction) -> Proposal:
        """One action, through its tokens."""
        if self._tokenizer is None:
            return Proposal(normalized)
        ids = self._tokenizer.encode(normalized.values)
        decoded = NormalizedAction(tuple(self._tokenizer.decode(ids).tolist()))
        return Proposal(decoded, ActionTokens(tuple(ids.tolist())))
