"""A policy that is corrected all the time, or that trembles, does not know what it does: hold, and ask a person."""

from typing import NamedTuple, final

from vla_runtime import limits
from vla_runtime.guards.order import Rank
from vla_runtime.types import Action, GuardContext, Intervention, Judgement, Verdict

AXES = ("x", "y", "z")


class Recent(NamedTuple):
    """The last steps.

    Attributes:
        touched: Whether guards intervened in each.
        heading: Last direction along x, y, z of what was let through: 1, -1, or 0 before the first.
        flipped: Which axes changed their direction in each: the sum of 1 for x, 2 for y, 4 for z.
    """

    touched: tuple[bool, ...] = ()
    heading: tuple[int, ...] = (0, 0, 0)
    flipped: tuple[int, ...] = ()


NOTHING = Recent()


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
        recent: Recent = context.memory.get(self.name) or NOTHING
        share = recent.touched.count(True) / self._window
        if len(recent.touched) == self._window and share > self._max_share:
            reason = f"{share:.0%} of the last {self._window} steps were touched by guards, at most {self._max_share:.0%}: ask the operator"
            return Intervention(self.name, Verdict.HOLD, reason, None, share, self._max_share, "share")
        if not any(recent.flipped):
            return None
        for axis in range(3):
            flips = sum(mask >> axis & 1 for mask in recent.flipped)
            if flips > self._max_flips:
                reason = f"{AXES[axis]} changed its direction {flips} times in {self._flip_window} steps, at most {self._max_flips}: ask the operator"
                value, limit = float(flips), float(self._max_flips)
                return Intervention(self.name, Verdict.HOLD, reason, None, value, limit, "flips")
        return None

    def remember(self, context: GuardContext, judgement: Judgement) -> Recent:
        """The last steps and this one."""
        recent: Recent = context.memory.get(self.name) or NOTHING
        heading, flipped = list(recent.heading), 0
        for axis in range(3):
            delta = judgement.action.values[axis]
            if abs(delta) >= self._flip_step_m:
                now = 1 if delta > 0.0 else -1
                flipped |= (heading[axis] * now < 0) << axis
                heading[axis] = now
        return Recent(
            (*recent.touched, bool(judgement.touched_by))[-self._window :],
            tuple(heading),
            (*recent.flipped, flipped)[-self._flip_window :],
        )
