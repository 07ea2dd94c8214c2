"""What recorders write can be read back, and says what happened."""

import errno
import json
import math
from pathlib import Path

import av
import pytest

from tests.conftest import SPEC, STILL, FakeClock, FakeEngine, FakeEnvironment, FakeRecorder
from vla_runtime.errors import RecordingFailed
from vla_runtime.guards.chain import GuardChain
from vla_runtime.guards.supervisor import Supervisor
from vla_runtime.interfaces import Recorder
from vla_runtime.loop import run_episode
from vla_runtime.recording.group import RecorderGroup
from vla_runtime.recording.steps import StepsRecorder
from vla_runtime.recording.video import LAST_FRAME_S, VideoRecorder
from vla_runtime.types import ActionTokens, NormalizedAction, Proposal, StepRecord


def record(recorder: Recorder, environment: FakeEnvironment | None = None) -> None:
    def propose(seen: object) -> Proposal:
        step = getattr(seen, "step")  # noqa: B009
        x = (0.01, 9.0, math.nan)[step] if step < 3 else 0.0
        return Proposal(NormalizedAction((x, *STILL[1:])), ActionTokens((31800 + step,) * 7))

    environment = environment or FakeEnvironment()
    engine = FakeEngine(propose)
    run_episode(environment, engine, Supervisor(GuardChain({}, SPEC)), recorder, FakeClock(), seed=0)


def test_steps_hold_proposal_verdict_and_what_was_executed(tmp_path: Path) -> None:
    record(StepsRecorder(tmp_path))
    lines = [json.loads(line) for line in (tmp_path / "steps.jsonl").read_text().splitlines()]
    assert [line["verdict"] for line in lines] == ["PASS", "CLAMP", "HOLD", "PASS", "PASS"]
    assert lines[0]["token_ids"] == [31800] * 7
    assert (lines[1]["action"][0], lines[1]["executed_action"][0]) == (9.0, 0.05)
    assert lines[2]["action"][0] == "nan"
    assert lines[2]["executed_action"] == list(STILL)
    assert "x is nan" in lines[2]["interventions"][0]["reason"]
    assert [line["step"] for line in lines] == [0, 1, 2, 3, 4]


def test_equal_episodes_give_equal_step_files(tmp_path: Path) -> None:
    texts = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        record(StepsRecorder(tmp_path / name))
        texts.append((tmp_path / name / "steps.jsonl").read_text())
    assert texts[0] == texts[1]


def test_the_video_has_a_frame_per_step_and_shows_the_outcome(tmp_path: Path) -> None:
    record(VideoRecorder(tmp_path, control_hz=5.0))
    with av.open(str(tmp_path / "episode.mp4")) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert stream.codec_context.name == "h264"
        assert float(stream.average_rate or 0) == pytest.approx(5.0)
    assert len(frames) == 5 + round(LAST_FRAME_S * 5)
    badge = [frame[500, 160].astype(int) for frame in frames]
    assert badge[0][1] > badge[0][0]  # PASS is green
    assert badge[2][0] > badge[2][1]  # HOLD is orange


def test_an_abandoned_video_is_closed(tmp_path: Path) -> None:
    environment = FakeEnvironment()
    environment.fails_in = "act"
    with pytest.raises(RuntimeError):
        record(VideoRecorder(tmp_path, 5.0), environment)


class FullDisk(FakeRecorder):
    """Fails like a disk without space."""

    def record(self, step: StepRecord) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_named_and_every_recorder_is_released(tmp_path: Path) -> None:
    before, after = FakeRecorder(), FakeRecorder()
    with pytest.raises(RecordingFailed, match="FullDisk: No space left on device"):
        record(RecorderGroup([before, FullDisk(), after]))
    assert (before.abandoned, after.abandoned) == (1, 1)


def test_every_recorder_is_released_even_when_one_fails_to() -> None:
    class Stubborn(FakeRecorder):
        def abandon(self) -> None:
            raise OSError(errno.EIO, "Input/output error")

    others = FakeRecorder(), FakeRecorder()
    with pytest.raises(RecordingFailed, match="Stubborn"):
        RecorderGroup([others[0], Stubborn(), others[1]]).abandon()
    assert (others[0].abandoned, others[1].abandoned) == (1, 1)


def test_steps_on_a_full_device_are_refused(tmp_path: Path) -> None:
    """/dev/full accepts nothing: the failure comes when the buffer is written out."""
    (tmp_path / "steps.jsonl").symlink_to("/dev/full")
    with pytest.raises(RecordingFailed, match="No space left"):
        record(RecorderGroup([StepsRecorder(tmp_path)]))
