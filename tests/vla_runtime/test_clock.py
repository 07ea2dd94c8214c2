"""The ticker neither drifts nor bursts."""

import pytest

from tests.conftest import FakeClock
from vla_runtime.clock import LockstepClock, MonotonicClock, Ticker


def test_no_drift_after_200_ticks(fake_clock: FakeClock) -> None:
    ticker = Ticker(fake_clock, 7.0)
    for _ in range(200):
        fake_clock.now += 0.031  # work that fits into the period
        ticker.wait()
    assert fake_clock.now == pytest.approx(100.0 + 200 / 7.0, abs=1e-9)
    assert ticker.late_ticks == 0


def test_late_step_never_bursts(fake_clock: FakeClock) -> None:
    ticker = Ticker(fake_clock, 10.0)
    fake_clock.now += 0.35  # three deadlines pass
    ticker.wait()
    assert ticker.late_ticks == 3
    assert fake_clock.now == pytest.approx(100.4)
    ticker.wait()
    assert fake_clock.now == pytest.approx(100.5)
    assert ticker.late_ticks == 3


def test_exactly_on_time_is_not_late(fake_clock: FakeClock) -> None:
    ticker = Ticker(fake_clock, 4.0)
    fake_clock.now += 0.25
    ticker.wait()
    assert ticker.late_ticks == 0


def test_lockstep_time_is_simulated() -> None:
    clock = LockstepClock()
    clock.sleep_until(3600.0)
    clock.sleep_until(10.0)
    assert clock.now_s() == 3600.0


def test_monotonic_clock_sleeps_to_its_deadline() -> None:
    clock = MonotonicClock()
    deadline = clock.now_s() + 0.02
    clock.sleep_until(deadline)
    assert clock.now_s() >= deadline
    before = clock.now_s()
    clock.sleep_until(before - 5.0)
    assert clock.now_s() - before < 1.0
