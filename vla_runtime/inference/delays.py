"""How long inferences take, from the last ones only: one spike long ago must not count for ever."""

from collections import deque
from typing import final

WINDOW = 50  # [inferences]
SHARE = 0.95


@final
class DelayEstimate:
    """The 95th percentile of the last 50 latencies."""

    def __init__(self, first_guess_s: float) -> None:
        """Args: first_guess_s: until there is a measurement [s]."""
        self._first_guess_s = first_guess_s
        self._latencies_s: deque[float] = deque(maxlen=WINDOW)

    def add(self, latency_s: float) -> None:
        """Take in one more [s]."""
        self._latencies_s.append(latency_s)

    @property
    def p95_s(self) -> float:
        """What 95 % of the last ones stayed within [s]."""
        if not self._latencies_s:
            return self._first_guess_s
        ordered = sorted(self._latencies_s)
        return ordered[min(int(SHARE * len(ordered)), len(ordered) - 1)]
