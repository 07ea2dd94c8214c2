"""The gripper does not chatter: it opens or closes only when asked clearly, and not again at once."""

from typing import NamedTuple, final

from vla_runtime import limits
from vla_runtime.guards.order import Rank
from vla_runtime.types import Action, GuardContext, Intervention, Judgement, Verdict


class Gripper(NamedTuple):
    """What the gripper was told.

    Attributes:
        opening: Last let through, 0 to 1.
        is_open: On which side it is.
        votes: How often in a row the other side was asked for.
        toggled_s: When it last changed sides [s].
    """

    opening: float
    is_open: bool
    votes: int = 0
    toggled_s: float = float("-inf")


@final
class GripperDebounce:
    """CLAMP the opening to what it was until a change of sides is certain."""

    name = "gripper_debounce"
    rank = Rank.GRIPPER

    def __init__(self, closed_below: float, open_above: float, votes: int, min_interval_s: float) -> None:
        """Set the limits.

        Args:
            closed_below: Opening that asks for closing, 0 to 1.
            open_above: Opening that asks for opening; between the two it stays as it is.
            votes: How often in a row the other side must be asked for [steps].
            min_interval_s: Between two changes of sides [s].
        """
        limits.within(self.name, 0.0, 1.0, closed_below=closed_below, open_above=open_above)
        limits.ordered(self.name, closed_below=closed_below, open_above=open_above)
        limits.count(self.name, 1, 100, votes=votes)
        limits.within(self.name, 0.0, 60.0, min_interval_s=min_interval_s)
        self._closed_below, self._open_above = closed_below, open_above
        self._votes, self._min_interval_s = votes, min_interval_s
        self._judged: tuple[GuardContext, Gripper] | None = None  # what `check` found last

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        """Judge the opening."""
        asked, now = action.values[-1], self._after(action.values[-1], self._before(context), context.now_s)
        self._judged = (context, now)
        if now.opening == asked:
            return None
        cut = Action((*action.values[:-1], now.opening))
        reason = f"gripper stays at {now.opening:.2f}: {self._why(asked, now)}"
        return Intervention(self.name, Verdict.CLAMP, reason, cut, asked, now.opening, "opening")

    def remember(self, context: GuardContext, judgement: Judgement) -> Gripper:
        """What it was told, and what was asked of it."""
        if self._judged is not None and self._judged[0] is context and not judgement.interventions:
            return self._judged[1]  # nothing came between: most steps
        before, told = self._before(context), judgement.action.values[-1]
        asked = next((why.value for why in judgement.interventions if why.guard == self.name), None)
        after = self._after(told if asked is None else asked, before, context.now_s)
        if after.opening == told:
            return after
        return Gripper(told, before.is_open, 0, before.toggled_s)  # a HOLD came between

    def _before(self, context: GuardContext) -> Gripper:
        told = context.hold.values[-1]
        return context.memory.get(self.name) or Gripper(told, told > 0.5)

    def _after(self, asked: float, before: Gripper, now_s: float) -> Gripper:
        if asked == before.opening and before.votes == 0 and before.is_open == (asked >= self._open_above):
            return before  # nothing new: most steps
        if self._closed_below < asked < self._open_above:
            return Gripper(before.opening, before.is_open, 0, before.toggled_s)
        wants_open = asked >= self._open_above
        if wants_open == before.is_open:
            return Gripper(asked, before.is_open, 0, before.toggled_s)
        votes = before.votes + 1
        too_soon = now_s - before.toggled_s < self._min_interval_s
        if votes < self._votes or too_soon:
            return Gripper(before.opening, before.is_open, votes, before.toggled_s)
        return Gripper(asked, wants_open, 0, now_s)

    def _why(self, asked: float, now: Gripper) -> str:
        if self._closed_below < asked < self._open_above:
            return f"{asked:.2f} is neither open nor closed"
        if now.votes < self._votes:
            return f"asked to change {now.votes} times in a row, expected {self._votes}"
        return f"changed less than {self._min_interval_s:g} s ago"
