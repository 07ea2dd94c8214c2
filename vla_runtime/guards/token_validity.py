"""Action tokens are the last 256 of the vocabulary; whatever else a model says is no action.

OpenVLA's own decoding turns every other id into the largest positive motion of its axis.
"""

from collections.abc import Sequence
from typing import final

from vla_runtime import limits
from vla_runtime.guards.order import Rank
from vla_runtime.types import Action, GuardContext, Intervention, Verdict

LLAMA_2 = (31_744, 31_999)  # the last 256 ids of its vocabulary


@final
class TokenValidity:
    """HOLD when an id is not an action token."""

    name = "token_validity"
    rank = Rank.TOKENS

    def __init__(
        self,
        first_id: int | None = None,
        last_id: int | None = None,
        action_ids: Sequence[int] | None = None,
    ) -> None:
        """Which ids are action tokens.

        Args:
            first_id: The smallest; None: the policy's own.
            last_id: The largest; None: the policy's own.
            action_ids: The policy's smallest and largest, where it says so, else those of Llama 2's vocabulary; the
                composition root fills it in.
        """
        smallest, largest = action_ids or LLAMA_2
        first_id = smallest if first_id is None else first_id
        last_id = largest if last_id is None else last_id
        limits.count(self.name, 0, 10_000_000, first_id=first_id, last_id=last_id)
        limits.ordered(self.name, first_id=first_id, last_id=last_id)
        self._first, self._last = first_id, last_id
        self._is_valid = range(first_id, last_id + 1).__contains__

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        """Judge the tokens that the action was decoded from."""
        if context.tokens is None or all(map(self._is_valid, context.tokens.ids)):
            return None
        for token in context.tokens.ids:
            if not self._first <= token <= self._last:
                reason = f"token {token} is no action token, expected {self._first} to {self._last}"
                limit = self._first if token < self._first else self._last
                return Intervention(self.name, Verdict.HOLD, reason, None, float(token), float(limit), "id")
        return None
