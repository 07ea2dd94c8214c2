"""Clocks and the fixed-rate ticker. Time is monotonic seconds; deadlines are absolute."""

import time
from collections.abc import Callable
from typing import final

import numpy as np

from vla_runtime.interfaces import Clock
from vla_runtime.latencies import Latency

ON_TIME_S = 1e-6  # [s] later than a tick by this much is rounding


@final
class MonotonicClock:
    """Wall-clock pace, for robots and for watching a simulation in real time."""

    real_time = True

    def now_s(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()

    def sleep_until(self, deadline_s: float) -> None:
        """Sleep to the deadline; return at once when it has passed."""
        remaining = deadline_s - time.monotonic()
        if remaining > 0:
            time.sleep(remaining)

    def charge_s(self, wall_s: float) -> float:
        """What it took."""
        return wall_s


@final
class LockstepClock:
    """Simulated time: the world waits for the policy, and a tick takes exactly one control period."""

    real_time = False

    def __init__(self) -> None:
        """Start at 0 s."""
        self._now_s = 0.0

    def now_s(self) -> float:
        """Simulated seconds."""
        return self._now_s

    def sleep_until(self, deadline_s: float) -> None:
        """Jump to the deadline."""
        self._now_s = max(self._now_s, deadline_s)

    def charge_s(self, wall_s: float) -> float:
        """Nothing: the world waits."""
        return 0.0


@final
class SimulatedClock:
    """Simulated time in which thinking takes time: the world goes on while the clock is slept on."""

    real_time = False

    def __init__(self, latency: Latency, advance: Callable[[float], None], seed: int = 0) -> None:
        """Start at 0 s.

        Args:
            latency: How long each inference counts.
            advance: Lets the world go on for a time [s]; the composition root passes the environment's.
            seed: Of the episode; the latencies have a stream of their own.
        """
        self._latency, self._advance = latency, advance
        self._rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))
        self._inferences = 0
        self._now_s = 0.0

    def now_s(self) -> float:
        """Simulated seconds."""
        return self._now_s

    def sleep_until(self, deadline_s: float) -> None:
        """Let the world go on to the deadline."""
        if deadline_s > self._now_s:
            self._advance(deadline_s - self._now_s)
            self._now_s = deadline_s

    def charge_s(self, wall_s: float) -> float:
        """What the latency model says of the next inference."""
        latency_s = self._latency.draw_s(self._rng, self._inferences, wall_s)
        self._inferences += 1
        return latency_s


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
        if behind_s > ON_TIME_S:
            skipped = int((behind_s - ON_TIME_S) / self._period_s) + 1
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

    def split(self, stage: str, part: str, seconds: float) -> None:
        """Of a stage's time, so much belongs to a part of it, which is listed on its own [s]."""
        self.stage_s[part] = seconds
        self.stage_s[stage] -= seconds
