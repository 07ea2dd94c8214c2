"""A scripted expert as a policy. Its actions go the whole way of a model's: normalised, tokenised, decoded."""

from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from vla_runtime.actions.openvla_tokenizer import OpenVLATokenizer
from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.errors import ConfigurationError
from vla_runtime.specs import ActionSpec
from vla_runtime.types import Action, ActionChunk, ActionTokens, NormalizedAction, Observation, Proposal


class Expert(Protocol):
    """Knows the simulator, and what to do."""

    def act(self, simulator: Any) -> NDArray[np.float64]:
        """The physical action for the simulator's present state."""
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
        tokenizer: OpenVLATokenizer | None = None,
    ) -> None:
        """Put them together.

        Args:
            expert: Knows what to do.
            simulator: The environment's simulator, which the expert reads.
            action_spec: What the environment expects; its bounds are the quantiles that actions are normalised with.
            tokenizer: Through which actions go; None leaves them as they are, to measure what tokens cost.
        """
        if simulator is None:
            raise ConfigurationError(
                "policy: a scripted expert reads a simulator, and this environment has none"
            )
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
        """The expert's action, decoded from its tokens."""
        physical = Action(tuple(self._expert.act(self._simulator).tolist()))
        normalized = self.unnormalizer.normalize(physical)
        if self._tokenizer is None:
            return ActionChunk((Proposal(normalized),))
        ids = self._tokenizer.encode(normalized.values)
        decoded = NormalizedAction(tuple(self._tokenizer.decode(ids).tolist()))
        return ActionChunk((Proposal(decoded, ActionTokens(tuple(ids.tolist()))),))
