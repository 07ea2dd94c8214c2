"""A threshold that a further good episode exceeds as seldom as was asked."""

import json
import random
from pathlib import Path

import pytest

from vla_runtime.errors import ConfigurationError, InvalidRecord
from vla_runtime.evaluation.calibration import conformal_threshold, episode_scores, largest_window
from vla_runtime.guards.confidence import Confidence


def test_the_alarm_share_is_kept() -> None:
    rng = random.Random(0)
    alarms = 0
    for _ in range(2000):
        scores = [rng.gauss(1.0, 0.3) for _ in range(60)]
        alarms += rng.gauss(1.0, 0.3) > conformal_threshold(scores, 0.1)
    assert 0.08 < alarms / 2000 <= 0.115


def test_too_few_episodes_are_refused_with_how_many_are_needed() -> None:
    with pytest.raises(InvalidRecord, match=r"18 successful episodes .* needs at least 19"):
        conformal_threshold([1.0] * 18, 0.05)
    assert conformal_threshold([1.0] * 19, 0.05) == 1.0


def test_the_worst_window_counts() -> None:
    assert largest_window([0.0, 1.0, 3.0, 0.0], 2) == 2.0
    assert largest_window([1.0], 2) is None


def episode(folder: Path, entropies: list[float], *, success: bool = True, checksum: str = "abc") -> Path:
    folder.mkdir()
    result = {"status": "finished", "success_at_end": success, "policy_details": {"checksum": checksum}}
    (folder / "result.json").write_text(json.dumps(result))
    lines = [json.dumps({"token_entropies": [value] * 7}) for value in entropies]
    (folder / "steps.jsonl").write_text("\n".join(lines))
    return folder


def test_only_successful_episodes_count(tmp_path: Path) -> None:
    good = episode(tmp_path / "good", [0.1, 0.5, 0.3])
    bad = episode(tmp_path / "bad", [5.0, 5.0, 5.0], success=False)
    scores, checksums = episode_scores([good, bad], 2)
    assert scores == pytest.approx([0.4])
    assert checksums == {"abc"}


def test_a_calibration_of_another_checkpoint_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "confidence.json"
    content = {"threshold_nats": 0.7, "window_steps": 5, "checkpoint_checksum": "abc"}
    file.write_text(json.dumps(content))
    Confidence(5, calibration=str(file), checkpoint_checksum="abc")
    with pytest.raises(ConfigurationError, match="is for the checkpoint abc, this one is xyz"):
        Confidence(5, calibration=str(file), checkpoint_checksum="xyz")
    with pytest.raises(ConfigurationError, match="was calibrated with 5"):
        Confidence(3, calibration=str(file), checkpoint_checksum="abc")
