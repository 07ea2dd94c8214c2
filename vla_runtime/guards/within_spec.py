"""No number outside the action spec. It is in every chain: no configuration can leave it out."""

from operator import le
from typing import final

from vla_runtime.guards.order import Rank
from vla_runtime.specs import ActionSpec
from vla_runtime.types import Action, GuardContext, Intervention, Verdict


@final
class WithinSpec:
    """CLAMP for what is larger than the environment takes."""

    name = "within_spec"
    rank = Rank.WITHIN_SPEC

    def __init__(self, spec: ActionSpec) -> None:
        """Args: spec: what the environment expects."""
        self._spec = spec

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        """Judge one action of finite numbers."""
        spec, values = self._spec, action.values
        if all(map(le, spec.low, values)) and all(map(le, values, spec.high)):
            return None
        clamped = tuple(map(_clamped, values, spec.low, spec.high))
        outside = [
            (axis, value, low, high, unit)
            for axis, unit, value, low, high in zip(
                spec.axes, spec.units, values, spec.low, spec.high, strict=True
            )
            if not low <= value <= high
        ]
        reason = "; ".join(
            f"{axis} {v:.4g} outside [{low:.4g}, {high:.4g}] {u}" for axis, v, low, high, u in outside
        )
        _, value, low, high, unit = outside[0]
        limit = high if value > high else low
        return Intervention(self.name, Verdict.CLAMP, reason, Action(clamped), value, limit, unit)


def _clamped(value: float, low: float, high: float) -> float:
    return low if value < low else high if value > high else value
