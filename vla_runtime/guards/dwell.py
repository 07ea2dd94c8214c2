"""A policy that is corrected all the time, or that trembles, does not know what it does: hold, and ask a person."""

from typing import NamedTuple, final

from vla_runtime import limits
from vla_runtime.guards.order import Rank
from vla_runtime.types import Action, GuardContext, Intervention, Judgement, Verdict

AXES = ("x", "y", "z")
NO_FLIPS = (0, 0, 0)


class Recent(NamedTuple):
    """The last steps. A number's lowest bit is the last step, the next one the step before, and so on.

    Attributes:
        steps: How many there were, up to the window.
        touched: In which guards intervened, one bit each.
        heading: Last direction along x, y, z of what was let through: 1, -1, or 0 before the first.
        flipped: In which it changed along x, y, z, one bit each.
    """

    steps: int = 0
    touched: int = 0
    heading: tuple[int, int, int] = (0, 0, 0)
    flipped: tuple[int, int, int] = (0, 0, 0)


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
        self._all_steps, self._all_flips = (1 << window_steps) - 1, (1 << flip_window_steps) - 1

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        """Judge the last steps."""
        recent: Recent = context.memory.get(self.name) or NOTHING
        steps, touched, _, (x, y, z) = recent
        if touched and steps == self._window:
            share = touched.bit_count() / self._window
            if share > self._max_share:
                reason = f"{share:.0%} of the last {self._window} steps were touched by guards, at most {self._max_share:.0%}: ask the operator"
                return Intervention(self.name, Verdict.HOLD, reason, None, share, self._max_share, "share")
        most = self._max_flips
        if x.bit_count() <= most and y.bit_count() <= most and z.bit_count() <= most:
            return None
        for axis, bits in zip(AXES, recent.flipped, strict=True):
            flips = bits.bit_count()
            if flips > self._max_flips:
                reason = f"{axis} changed its direction {flips} times in {self._flip_window} steps, at most {self._max_flips}: ask the operator"
                value, limit = float(flips), float(self._max_flips)
                return Intervention(self.name, Verdict.HOLD, reason, None, value, limit, "flips")
        return None

    def remember(self, context: GuardContext, judgement: Judgement) -> Recent:
        """The last steps and this one."""
        recent: Recent = context.memory.get(self.name) or NOTHING
        steps, touched, heading, flipped = recent
        if judgement.interventions and judgement.touched_by:
            touched = (touched << 1 | 1) & self._all_steps
        else:
            touched = touched << 1 & self._all_steps
        (dx, dy, dz, *_), (x, y, z), least = judgement.action.values, heading, self._flip_step_m
        now = (  # a small step has the direction of before
            1 if dx >= least else -1 if dx <= -least else x,
            1 if dy >= least else -1 if dy <= -least else y,
            1 if dz >= least else -1 if dz <= -least else z,
        )
        if now != heading or flipped != NO_FLIPS:
            flipped = tuple(map(self._with_flip, flipped, heading, now))
        return Recent(min(steps + 1, self._window), touched, now, flipped)  # type: ignore[arg-type]

    def _with_flip(self, flips: int, before: int, now: int) -> int:
        return (flips << 1 | (before * now < 0)) & self._all_flips
