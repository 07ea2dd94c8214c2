"""A policy that is corrected all the time, or that trembles, does not know what it does: hold, and ask a person."""

from dataclasses import dataclass
from itertools import pairwise
from typing import final

from vla_runtime import limits
from vla_runtime.guards.order import Rank
from vla_runtime.types import Action, GuardContext, Intervention, Judgement, Verdict

AXES = ("x", "y", "z")


@dataclass(frozen=True)
class Recent:
    """The last steps.

    Attributes:
        touched: Whether guards intervened in each.
        deltas: What was let through for x, y, z in each [m].
    """

    touched: tuple[bool, ...] = ()
    deltas: tuple[tuple[float, ...], ...] = ()


@final
class Dwell:
    """HOLD when too many of the last steps were touched, or their direction flipped too often."""

    name = "dwell"
    rank = Rank.DWELL

    def __init__(
        self,
        window_steps: int,
        max_touched_share: float,
        flip_window_steps: int,
        max_flips: int,
        flip_step_m: float,
    ) -> None:
        """Set the limits.

        Args:
            window_steps: Over how many steps interventions are counted; fewer are not judged.
            max_touched_share: Largest share of them that may be touched, 0 to 1.
            flip_window_steps: Over how many steps flips are counted.
            max_flips: Most changes of sign of one axis among them.
            flip_step_m: Smaller steps do not count as a direction [m].
        """
        limits.count(self.name, 2, 10_000, window_steps=window_steps, flip_window_steps=flip_window_steps)
        limits.count(self.name, 1, flip_window_steps, max_flips=max_flips)
        limits.within(self.name, 0.0, 1.0, max_touched_share=max_touched_share)
        limits.positive(self.name, flip_step_m=flip_step_m)
        self._window, self._max_share = window_steps, max_touched_share
        self._flip_window, self._max_flips, self._flip_step_m = flip_window_steps, max_flips, flip_step_m

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        """Judge the last steps."""
        recent: Recent = context.memory.get(self.name, Recent())
        share = sum(recent.touched) / self._window
        if len(recent.touched) == self._window and share > self._max_share:
            reason = f"{share:.0%} of the last {self._window} steps were touched by guards, at most {self._max_share:.0%}: ask the operator"
            return Intervention(self.name, Verdict.HOLD, reason, None, share, self._max_share, "share")
        for axis in range(3):
            flips = self._flips([delta[axis] for delta in recent.deltas])
            if flips > self._max_flips:
                reason = f"{AXES[axis]} changed its direction {flips} times in {self._flip_window} steps, at most {self._max_flips}: ask the operator"
                value, limit = float(flips), float(self._max_flips)
                return Intervention(self.name, Verdict.HOLD, reason, None, value, limit, "flips")
        return None

    def remember(self, context: GuardContext, judgement: Judgement) -> Recent:
        """The last steps and this one."""
        recent: Recent = context.memory.get(self.name, Recent())
        return Recent(
            (*recent.touched, bool(judgement.touched_by))[-self._window :],
            (*recent.deltas, judgement.action.values[:3])[-self._flip_window :],
        )

    def _flips(self, deltas: list[float]) -> int:
        signs = [delta > 0.0 for delta in deltas if abs(delta) >= self._flip_step_m]
        return sum(a != b for a, b in pairwise(signs))
