"""Files are whole or absent."""

import json
from pathlib import Path

import pytest

from vla_runtime.errors import RecordingFailed
from vla_runtime.recording.files import EpisodeFolder, remove_leftovers, writable_folder, write_json


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


def test_a_new_folder_appears_in_one_step(tmp_path: Path) -> None:
    """A reader never sees a folder without its result."""
    folder = EpisodeFolder(tmp_path / "episode_000000")
    (folder.staging / "steps.jsonl").write_text("{}")
    before = folder.staging.stat().st_ino
    folder.publish({})
    assert (tmp_path / "episode_000000").stat().st_ino == before


def test_an_existing_folder_is_its_own_workplace(tmp_path: Path) -> None:
    """Its parent may not be writable, and it may be the present one."""
    folder = EpisodeFolder(tmp_path)
    assert folder.staging.parent == tmp_path
    folder.publish({"seed": 1})
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


def test_leftovers_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    EpisodeFolder(tmp_path / "episode_000003")
    EpisodeFolder(tmp_path)
    (tmp_path / ".result.json.partial").write_text("{")
    (tmp_path / "mine.txt").write_text("keep")
    remove_leftovers(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


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
