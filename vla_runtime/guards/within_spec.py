"""The last guard of every chain: finite, and inside the action spec."""

import math
from typing import final

from vla_runtime.specs import ActionSpec
from vla_runtime.types import Action, GuardContext, Intervention, Judgement, Verdict


@final
class WithinSpec:
    """HOLD for what is not an action at all, CLAMP for what is too large."""

    name = "within_spec"

    def __init__(self, spec: ActionSpec) -> None:
        """Args: spec: what the environment expects."""
        self._spec = spec

    def check(self, action: Action, context: GuardContext) -> Judgement:
        """Judge one action."""
        spec, values = self._spec, action.values
        if len(values) != len(spec.axes):
            return self._hold(action, f"action of {len(values)} numbers, expected {len(spec.axes)}")
        for axis, value in zip(spec.axes, values, strict=True):
            if not math.isfinite(value):
                return self._hold(action, f"{axis} is {value}, expected a finite number")
        clamped = tuple(map(_clamped, values, spec.low, spec.high))
        if clamped == values:
            return Judgement(Verdict.PASS, action)
        reason = "; ".join(
            f"{axis} {value:.4g} outside [{low:.4g}, {high:.4g}] {unit}"
            for axis, unit, value, low, high in zip(
                spec.axes, spec.units, values, spec.low, spec.high, strict=True
            )
            if not low <= value <= high
        )
        return Judgement(Verdict.CLAMP, Action(clamped), (Intervention(self.name, Verdict.CLAMP, reason),))

    def _hold(self, action: Action, reason: str) -> Judgement:
        return Judgement(Verdict.HOLD, action, (Intervention(self.name, Verdict.HOLD, reason),))


def _clamped(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
