"""The flight recorder writes after what went wrong, and only then."""

import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from tests.conftest import SPEC, STILL, FakeClock, FakeEngine, FakeEnvironment
from vla_runtime.errors import ConfigurationError, RecordingFailed
from vla_runtime.guards.chain import GuardChain
from vla_runtime.guards.supervisor import Supervisor
from vla_runtime.loop import run_episode
from vla_runtime.recording.flight import FlightRecorder
from vla_runtime.recording.group import RecorderGroup
from vla_runtime.types import NormalizedAction, Observation, Proposal

Propose = Callable[[Observation], Proposal | None]


def still(seen: Observation) -> Proposal:
    return Proposal(NormalizedAction(STILL))


def nan_from(step: int) -> Propose:
    """Actions that are held from some step on."""
    return lambda seen: Proposal(NormalizedAction(((float("nan") if seen.step >= step else 0.0), *STILL[1:])))


def fly(
    recorder: FlightRecorder, propose: Propose = still, environment: FakeEnvironment | None = None
) -> None:
    guards = Supervisor(GuardChain({}, SPEC))
    run_episode(
        environment or FakeEnvironment(ends_after=30),
        FakeEngine(propose),
        guards,
        recorder,
        FakeClock(),
        seed=3,
    )


def pictures(path: Path) -> list[int]:
    """Mean brightness of each picture; the fake environment's is the step."""
    with av.open(str(path)) as container:
        return [round(frame.to_ndarray(format="rgb24").mean()) for frame in container.decode(video=0)]


def test_nothing_is_written_when_an_episode_ends_well(tmp_path: Path) -> None:
    fly(FlightRecorder(tmp_path / "episode", SPEC))
    assert list(tmp_path.iterdir()) == []


def test_held_too_long_leaves_the_last_seconds(tmp_path: Path) -> None:
    fly(FlightRecorder(tmp_path / "episode", SPEC, seconds=2.0), nan_from(20))
    folder = tmp_path / "flight" / "seed_000003_held_too_long"
    assert sorted(path.name for path in folder.iterdir()) == ["flight.json", "front.mp4", "steps.jsonl"]
    lines = [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(13, 23))  # 2 s at 5 Hz, the last of them held
    assert [line["verdict"] for line in lines[-4:]] == ["PASS", "HOLD", "HOLD", "HOLD"]
    assert lines[-1]["action"][0] == "nan"
    assert "x is nan" in lines[-1]["judgements"][0]["reason"]
    np.testing.assert_allclose(pictures(folder / "front.mp4"), range(13, 23), atol=2)
    record = json.loads((folder / "flight.json").read_text())
    assert (record["ended_by"], record["seed"], record["steps"], record["steps_kept"]) == (
        "held_too_long",
        3,
        23,
        10,
    )
    assert record["instruction"] == "do nothing"


@pytest.mark.parametrize("where", ["act", "observe"])
def test_a_crash_leaves_what_was_seen_before_and_the_exception(where: str, tmp_path: Path) -> None:
    environment = FakeEnvironment()

    def breaks_later(seen: Observation) -> Proposal:
        environment.fails_in = where if seen.step == 3 else None
        return still(seen)

    recorder = FlightRecorder(tmp_path / "elsewhere" / ".episode.partial", SPEC, out=tmp_path)
    with pytest.raises(RuntimeError, match="broke"):
        fly(RecorderGroup([recorder]), breaks_later, environment)  # type: ignore[arg-type]
    record = json.loads((tmp_path / "flight/seed_000003_crash/flight.json").read_text())
    assert record["reason"] == f"RuntimeError: {where} broke"
    assert record["steps"] == {"act": 3, "observe": 4}[where]


def test_an_interrupt_is_no_good_end_either(tmp_path: Path) -> None:
    def interrupted(seen: Observation) -> Proposal:
        if seen.step == 2:
            raise KeyboardInterrupt
        return still(seen)

    with pytest.raises(KeyboardInterrupt):
        fly(FlightRecorder(tmp_path / "episode", SPEC), interrupted)
    assert "KeyboardInterrupt" in (tmp_path / "flight/seed_000003_crash/flight.json").read_text()


def test_no_action_in_time_is_written(tmp_path: Path) -> None:
    class GaveUp(FakeEngine):
        def propose(self, observation: Observation):
            candidate = super().propose(observation)
            return (
                candidate if observation.step < 2 else type(candidate)(None, reason="too late", give_up=True)
            )

    guards = Supervisor(GuardChain({}, SPEC))
    recorder = FlightRecorder(tmp_path / "episode", SPEC)
    run_episode(FakeEnvironment(), GaveUp(still), guards, recorder, FakeClock(), seed=3)
    assert (tmp_path / "flight/seed_000003_no_action_in_time/front.mp4").exists()


def test_memory_is_bounded_and_the_time_gets_shorter(tmp_path: Path) -> None:
    recorder = FlightRecorder(tmp_path / "episode", SPEC, megabytes=4 * 8 * 8 * 3 / 1e6)
    fly(recorder, nan_from(20))
    record = json.loads((tmp_path / "flight/seed_000003_held_too_long/flight.json").read_text())
    assert record["pictures_kept"] == {"front": 4}
    assert record["steps_kept"] == 23
    np.testing.assert_allclose(
        pictures(tmp_path / "flight/seed_000003_held_too_long/front.mp4"), range(19, 23), atol=2
    )


def test_a_later_flight_does_not_replace_an_earlier_one(tmp_path: Path) -> None:
    for _ in range(3):
        fly(FlightRecorder(tmp_path / "episode", SPEC), nan_from(2))
    names = sorted(path.name for path in (tmp_path / "flight").iterdir())
    assert names == [f"seed_000003_held_too_long{end}" for end in ("", "_2", "_3")]


def test_a_recorder_can_be_used_again(tmp_path: Path) -> None:
    recorder = FlightRecorder(tmp_path / "episode", SPEC)
    fly(recorder, nan_from(2))
    fly(recorder)
    assert len(list((tmp_path / "flight").iterdir())) == 1


def test_what_cannot_be_written_is_absent(tmp_path: Path) -> None:
    (tmp_path / "flight").write_text("a file where the folder should be")
    with pytest.raises(RecordingFailed, match="flight/seed_000003_held_too_long: "):
        fly(FlightRecorder(tmp_path / "episode", SPEC), nan_from(2))


@pytest.mark.parametrize("setting", ["seconds", "megabytes"])
def test_a_senseless_limit(setting: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=rf"flight\.{setting}=0: expected a number above 0"):
        FlightRecorder(tmp_path, SPEC, **{setting: 0})  # type: ignore[arg-type]
