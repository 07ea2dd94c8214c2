"""Files are whole or absent."""

import json
from pathlib import Path

import pytest

from vla_runtime.errors import RecordingFailed
from vla_runtime.recording.files import EpisodeFolder, writable_folder, write_json


def test_an_episode_appears_at_once_with_its_result_last(tmp_path: Path) -> None:
    folder = EpisodeFolder(tmp_path / "episode")
    (folder.staging / "steps.jsonl").write_text("{}\n")
    assert not (tmp_path / "episode").exists()
    folder.publish({"seed": 3})
    assert sorted(file.name for file in (tmp_path / "episode").iterdir()) == ["result.json", "steps.jsonl"]
    assert json.loads((tmp_path / "episode" / "result.json").read_text()) == {"seed": 3}
    assert [file.name for file in tmp_path.iterdir()] == ["episode"]


def test_a_discarded_episode_leaves_nothing(tmp_path: Path) -> None:
    folder = EpisodeFolder(tmp_path / "episode")
    (folder.staging / "episode.mp4").write_text("half")
    folder.discard()
    folder.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_second_run_replaces_the_first(tmp_path: Path) -> None:
    for seed in (1, 2):
        folder = EpisodeFolder(tmp_path / "episode")
        (folder.staging / "steps.jsonl").write_text(str(seed))
        folder.publish({"seed": seed})
    assert (tmp_path / "episode" / "steps.jsonl").read_text() == "2"
    assert json.loads((tmp_path / "episode" / "result.json").read_text()) == {"seed": 2}


def test_json_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    write_json(tmp_path / "result.json", {"good": 1})
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "result.json", {"bad": float("nan")})
    assert json.loads((tmp_path / "result.json").read_text()) == {"good": 1}


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingFailed, match=r"out=.*file/inside: Not a directory; expected a folder"):
        writable_folder(tmp_path / "file" / "inside", "out")
