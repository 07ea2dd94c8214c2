"""The first guard of every chain: an action is seven finite numbers."""

import math
from typing import final

from vla_runtime.guards.order import Rank
from vla_runtime.specs import ActionSpec
from vla_runtime.types import Action, GuardContext, Intervention, Verdict


@final
class Finite:
    """HOLD for what is not an action at all."""

    name = "finite"
    rank = Rank.FINITE

    def __init__(self, spec: ActionSpec) -> None:
        """Args: spec: what the environment expects."""
        self._spec = spec

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        """Judge one action."""
        values = action.values
        if len(values) != len(self._spec.axes):
            return self._hold(f"action of {len(values)} numbers, expected {len(self._spec.axes)}")
        if math.isfinite(sum(values)):
            return None
        for axis, value in zip(self._spec.axes, values, strict=True):
            if not math.isfinite(value):
                return self._hold(f"{axis} is {value}, expected a finite number")
        return None  # only their sum is too large for a float: the next guards cut them

    def _hold(self, reason: str) -> Intervention:
        return Intervention(self.name, Verdict.HOLD, reason)
