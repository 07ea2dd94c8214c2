"""The collision reflex: too much force from outside, and the arm stops itself, as real arms do."""

import math
from collections import deque

from sim.errors import InvalidSetting
from sim.sensing import FORCE_WINDOW_S
from sim.world import SUBSTEP_S, Vector

WINDOW = round(FORCE_WINDOW_S / SUBSTEP_S)  # [substeps]
NO_FORCE: Vector = (0.0, 0.0, 0.0)  # [N]


class Reflex:
    """Takes in the external force of every physics substep, averages it, and says when it has become too much.

    The average is all that keeps single spikes from stopping the arm: waiting for longer lets a rigid contact build up
    (100 N and more on a bowl's rim, per motor interval).

    Attributes:
        force: The average, world frame [N].
        peak_n: The largest norm of the average since the last command [N].
        reason: Why the arm has stopped, in words, or None.
    """

    def __init__(self, limit_n: float | None) -> None:
        """Args: limit_n: largest average force [N]; None: never stop."""
        if limit_n is not None and not 0.0 < limit_n < math.inf:
            raise InvalidSetting(
                f"collision_force_n {limit_n!r}: expected more than 0 [N], or null for never"
            )
        self.limit_n = limit_n
        self.start()

    def start(self) -> None:
        """Forget everything: a new episode begins."""
        self._recent = deque([NO_FORCE] * WINDOW, WINDOW)
        self._sum = NO_FORCE
        self._quiet = WINDOW  # [substeps] without any force
        self.force = NO_FORCE
        self.peak_n = 0.0
        self.reason: str | None = None

    def begin_command(self) -> None:
        """Count the peak from now on."""
        self.peak_n = math.hypot(*self.force)

    def feel(self, force: Vector) -> bool:
        """Take in the external force of one substep [N], world frame. Returns whether the arm must stop now."""
        self._quiet = self._quiet + 1 if force == NO_FORCE else 0
        if self._quiet > WINDOW:
            return False
        norm = self._average(force)
        self.peak_n = max(self.peak_n, norm)
        if self.limit_n is None or norm <= self.limit_n or self.reason is not None:
            return False
        self.reason = f"an external force of {norm:.0f} N, where {self.limit_n:g} N are allowed"
        return True

    def _average(self, force: Vector) -> float:
        """Move the window on by one substep. Returns the norm [N]."""
        old, total = self._recent[0], self._sum
        self._recent.append(force)
        x = total[0] + force[0] - old[0]
        y = total[1] + force[1] - old[1]
        z = total[2] + force[2] - old[2]
        # An empty window is exactly zero, whatever rounding has left of the forces that went through it.
        self._sum = (x, y, z) if self._quiet < WINDOW else NO_FORCE
        self.force = (self._sum[0] / WINDOW, self._sum[1] / WINDOW, self._sum[2] / WINDOW)
        return math.sqrt(self.force[0] ** 2 + self.force[1] ** 2 + self.force[2] ** 2)
