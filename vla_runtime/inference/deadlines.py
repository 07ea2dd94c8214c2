"""No action in time: what is done instead, step by step, until the episode is given up."""

import math
from dataclasses import dataclass

from vla_runtime import limits
from vla_runtime.types import Action, Candidate

NEGLIGIBLE = 3.0  # time constants after which a decaying motion counts as over


@dataclass(frozen=True)
class DeadlineLadder:
    """First the last motion decays, then the robot holds, then the episode is given up.

    Attributes:
        decay_s: Time constant with which the last motion decays [s]; 0: hold at once.
        stop_after_s: Without an action for so long, the episode is given up [s].
        first_action_within_s: The same before the first action: models warm up [s].
    """

    decay_s: float
    stop_after_s: float
    first_action_within_s: float

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        limits.within("ladder", 0.0, 10.0, decay_s=self.decay_s)
        limits.positive(
            "ladder", stop_after_s=self.stop_after_s, first_action_within_s=self.first_action_within_s
        )

    def rung(self, last: Action | None, missing_s: float, period_s: float) -> Candidate:
        """What to do when there is no action.

        Args:
            last: The last action that there was; None before the first.
            missing_s: For how long there has been none, 0 at the first tick without [s].
            period_s: Of control [s].
        """
        limit_s = self.stop_after_s if last is not None else self.first_action_within_s
        if missing_s >= limit_s:
            reason = f"no action for {missing_s:.2f} s, given up after {limit_s:g} s"
            return Candidate(None, reason=reason, give_up=True)
        elapsed_s = missing_s + period_s
        if last is None or elapsed_s > NEGLIGIBLE * self.decay_s:
            return Candidate(None, reason=f"no action in time for {elapsed_s:.2f} s")
        share = math.exp(-elapsed_s / self.decay_s)
        *motion, gripper = last.values
        action = Action((*(share * value for value in motion), gripper))
        return Candidate(action, reason=f"no action in time for {elapsed_s:.2f} s: the last motion decays")
