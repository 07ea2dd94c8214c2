"""How long an inference counts: repeatable from a seed, and senseless settings are refused in one line."""

import gc
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vla_runtime.clock import SimulatedClock
from vla_runtime.errors import ConfigurationError
from vla_runtime.latencies import FixedLatency, Latency, LognormalLatency, MeasuredLatency, TraceLatency
from vla_runtime.scheduling import no_collection, request_fifo


def drawn(latency: Latency, count: int = 20_000, seed: int = 0) -> list[float]:
    rng = np.random.default_rng(seed)
    return [latency.draw_s(rng, index, 0.05) for index in range(count)]


def test_fixed_is_always_the_same() -> None:
    assert set(drawn(FixedLatency(0.2), 10)) == {0.2}


def test_lognormal_has_its_median_its_p99_and_its_spikes() -> None:
    plain = drawn(LognormalLatency(0.2, 0.3))
    assert np.percentile(plain, 50) == pytest.approx(0.2, rel=0.01)
    assert np.percentile(plain, 99) == pytest.approx(0.3, rel=0.02)
    assert min(plain) > 0.0
    spiked = drawn(LognormalLatency(0.2, 0.3, spike_share=0.05, spike_s=2.0))
    assert np.mean(np.array(spiked) > 2.0) == pytest.approx(0.05, abs=0.01)


def test_the_same_seed_gives_the_same_numbers_and_another_one_others() -> None:
    latency = LognormalLatency(0.2, 0.3, 0.01, 1.0)
    assert drawn(latency, 50) == drawn(latency, 50)
    assert drawn(latency, 50) != drawn(latency, 50, seed=1)


def test_a_trace_is_played_over_and_over(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    file.write_text("[0.1, 0.2, 0.5]")
    assert drawn(TraceLatency(str(file)), 5) == [0.1, 0.2, 0.5, 0.1, 0.2]


def test_measured_is_scaled() -> None:
    assert drawn(MeasuredLatency(0.25), 1) == [pytest.approx(0.0125)]


SENSELESS: list[tuple[type, tuple[Any, ...]]] = [
    *((FixedLatency, (bad,)) for bad in (-0.1, math.nan, math.inf, 61.0, "200 ms", True, None)),
    *((MeasuredLatency, (bad,)) for bad in (-1.0, math.nan, "fast")),
    *((LognormalLatency, (bad, 0.3)) for bad in (0.0, -0.1, 0.4, math.nan, "0.2")),
    *((LognormalLatency, (0.2, bad)) for bad in (0.1, math.nan, math.inf, 1e9, "0.3")),
    *((LognormalLatency, (0.2, 0.3, bad, 1.0)) for bad in (-0.1, 1.1, math.nan, "1 %")),
    *((LognormalLatency, (0.2, 0.3, 0.1, bad)) for bad in (-1.0, math.nan)),
    (TraceLatency, (None,)),
    (TraceLatency, ("/no/such/file.json",)),
]


@pytest.mark.parametrize(("kind", "settings"), SENSELESS)
def test_senseless_settings_are_refused_in_one_line(kind: type, settings: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigurationError, match=r"^latency[^\n]*(expected|not set)[^\n]*$"):
        kind(*settings)


@pytest.mark.parametrize("content", [[], {}, ["fast"], [0.1, -1.0], [math.nan], 3, "not json ["])
def test_a_trace_that_is_none_is_refused_in_one_line(tmp_path: Path, content: Any) -> None:
    file = tmp_path / "trace.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ConfigurationError, match=r"^latency\.file[^\n]*expected[^\n]*$"):
        TraceLatency(str(file))


# ---------------------------------------------------------------------------------------------- simulated time


def simulated(seed: int = 0) -> tuple[SimulatedClock, list[float]]:
    advanced: list[float] = []
    return SimulatedClock(LognormalLatency(0.2, 0.3), advanced.append, seed), advanced


def test_the_world_goes_on_exactly_as_long_as_is_slept() -> None:
    clock, advanced = simulated()
    for deadline_s in (0.2, 0.35, 0.35, 0.1, 1.0):
        clock.sleep_until(deadline_s)
    assert advanced == pytest.approx([0.2, 0.15, 0.65])
    assert clock.now_s() == 1.0


def test_each_inference_is_charged_anew_and_nothing_moves_meanwhile() -> None:
    (clock, advanced), (same, _), (other, _) = simulated(), simulated(), simulated(seed=1)
    charged = [clock.charge_s(5.0) for _ in range(10)]
    assert len(set(charged)) == 10
    assert charged == [same.charge_s(0.001) for _ in range(10)]  # wall time does not count
    assert charged != [other.charge_s(0.001) for _ in range(10)]
    assert (advanced, clock.now_s()) == ([], 0.0)


# -------------------------------------------------------------------------------------------------- scheduling


def test_normal_scheduling_asks_for_nothing() -> None:
    before = os.sched_getscheduler(0)
    assert request_fifo(None) == "normal scheduling"
    assert os.sched_getscheduler(0) == before


@pytest.mark.parametrize(
    "error", [PermissionError("Operation not permitted"), AttributeError("no such thing")]
)
def test_a_refused_priority_is_said(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refused(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, "sched_setscheduler", refused)
    assert request_fifo(50).startswith(f"SCHED_FIFO 50 refused ({error})")


def test_a_granted_priority_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(os, "sched_setscheduler", lambda *what: asked.append(what[:2]))
    assert request_fifo(50) == "SCHED_FIFO 50"
    assert asked == [(0, os.SCHED_FIFO)]


@pytest.mark.parametrize("priority", [0, 100, -1])
def test_a_priority_that_does_not_exist_is_refused(priority: int) -> None:
    with pytest.raises(ConfigurationError, match=r"^realtime_priority=[^\n]*expected from 1 to 99"):
        request_fifo(priority)


@pytest.mark.parametrize("enabled", [True, False])
def test_collection_is_as_it_was_afterwards(enabled: bool) -> None:
    (gc.enable if enabled else gc.disable)()
    try:
        with no_collection():
            assert not gc.isenabled()
        assert (gc.isenabled(), gc.get_freeze_count()) == (enabled, 0)
    finally:
        gc.enable()


def test_collection_is_as_it_was_when_the_block_breaks() -> None:
    with pytest.raises(ZeroDivisionError), no_collection():
        raise ZeroDivisionError
    assert (gc.isenabled(), gc.get_freeze_count()) == (True, 0)
