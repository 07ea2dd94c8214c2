"""What is seen must be fresh."""

from typing import final

from vla_runtime import limits
from vla_runtime.guards.order import Rank
from vla_runtime.types import Action, GuardContext, Intervention, Verdict


@final
class ObservationAge:
    """HOLD when the newest observation is too old, or from the future."""

    name = "observation_age"
    rank = Rank.OBSERVATION_AGE

    def __init__(self, max_age_s: float) -> None:
        """Args: max_age_s: between capture and judgement, on the loop's clock [s]."""
        limits.positive(self.name, max_age_s=max_age_s)
        self._max_age_s = max_age_s

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        """Judge the age."""
        age_s = context.now_s - context.observation.capture_time_s
        if 0.0 <= age_s <= self._max_age_s:
            return None
        if age_s < 0.0:
            reason = f"observation from {-age_s:.3f} s in the future: clocks disagree"
            return Intervention(self.name, Verdict.HOLD, reason, None, age_s, 0.0, "s")
        reason = f"observation is {age_s:.3f} s old, at most {self._max_age_s:.3f} s"
        return Intervention(self.name, Verdict.HOLD, reason, None, age_s, self._max_age_s, "s")
