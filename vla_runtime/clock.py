"""Clocks and the fixed-rate ticker. Time is monotonic seconds; deadlines are absolute."""

import time
from typing import final

from vla_runtime.interfaces import Clock


@final
class MonotonicClock:
    """Wall-clock pace, for robots and for watching a simulation in real time."""

    def now_s(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()

    def sleep_until(self, deadline_s: float) -> None:
        """Sleep to the deadline; return at once when it has passed."""
        remaining = deadline_s - time.monotonic()
        if remaining > 0:
            time.sleep(remaining)


@final
class LockstepClock:
    """Simulated time: the world waits for the policy, and a tick takes exactly one control period."""

    def __init__(self) -> None:
        """Start at 0 s."""
        self._now_s = 0.0

    def now_s(self) -> float:
        """Simulated seconds."""
        return self._now_s

    def sleep_until(self, deadline_s: float) -> None:
        """Jump to the deadline."""
        self._now_s = max(self._now_s, deadline_s)


@final
class Ticker:
    """Ticks at a fixed rate from its creation on. A late tick is skipped and counted, never made up for in a burst."""

    def __init__(self, clock: Clock, rate_hz: float) -> None:
        """Args: rate_hz: ticks per second [Hz]."""
        self._clock = clock
        self._period_s = 1.0 / rate_hz
        self._start_s = clock.now_s()
        self._tick = 0
        self.late_ticks = 0

    def wait(self) -> None:
        """Return at the next tick that has not passed yet."""
        self._tick += 1
        behind_s = self._clock.now_s() - (self._start_s + self._tick * self._period_s)
        if behind_s > 0:
            skipped = int(behind_s / self._period_s) + 1
            self.late_ticks += skipped
            self._tick += skipped
        self._clock.sleep_until(self._start_s + self._tick * self._period_s)


@final
class Stopwatch:
    """Wall time of consecutive stages."""

    def __init__(self) -> None:
        """Start now."""
        self._last_s = time.perf_counter()
        self.stage_s: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """The time since the last lap belongs to this stage."""
        now_s = time.perf_counter()
        self.stage_s[stage] = now_s - self._last_s
        self._last_s = now_s
