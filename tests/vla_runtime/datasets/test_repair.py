"""After anything that can happen to the files: verify says what is wrong, repair loses nothing that was finished."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.vla_runtime.datasets.made import (
    CAMERA,
    FEATURES,
    FPS,
    change_column,
    change_info,
    frames,
    make,
    stage,
)
from vla_runtime.datasets import DatasetWriter, EpisodeWriter, open_dataset
from vla_runtime.datasets import writer as writer_module
from vla_runtime.datasets.repair import repair
from vla_runtime.datasets.verify import verify
from vla_runtime.errors import DatasetBusy, InvalidDataset

DATA, VIDEOS, INDEX = (
    "data/chunk-000",
    f"videos/{CAMERA}/chunk-000",
    "meta/episodes/chunk-000/file-000.parquet",
)
COUNTS = (6, 7, 5)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("made") / "set", COUNTS)


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "set"))


def actions(folder: Path) -> np.ndarray:
    dataset = open_dataset(folder)
    return dataset.actions(0, len(dataset))


def expected(*seeds: int) -> np.ndarray:
    rows = [frame["action"] for seed in seeds for frame in frames(seed, COUNTS[seed])]
    return np.array(rows, np.float32).astype(np.float64)


def test_a_whole_one_is_left_alone(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    before.pop(folder / ".writer.lock")
    assert verify(folder, deep=True).wrong == ()
    assert repair(folder).changes == ()
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_lost_index_is_made_anew(folder: Path) -> None:
    rows = pq.read_table(folder / INDEX).to_pylist()
    (folder / INDEX).write_bytes(b"no parquet")
    assert verify(folder).wrong
    assert any("index: made anew" in change for change in repair(folder).changes)
    assert verify(folder, deep=True).wrong == ()
    np.testing.assert_array_equal(actions(folder), expected(0, 1, 2))
    for old, new in zip(rows, pq.read_table(folder / INDEX).to_pylist(), strict=True):
        assert {key: value for key, value in new.items() if CAMERA not in key or "stats" not in key} == {
            key: value for key, value in old.items() if CAMERA not in key or "stats" not in key
        }


def test_an_info_that_is_behind_is_brought_up(folder: Path) -> None:
    change_info(folder, total_episodes=2, total_frames=13)
    assert "the index has 3 episodes, info.json says 2" in verify(folder).wrong[0]
    assert repair(folder).changes == ("info.json: 3 episodes with 18 frames, it said 2",)
    assert verify(folder).wrong == ()


def test_missing_rows_of_the_index_come_from_the_files(folder: Path) -> None:
    pq.write_table(pq.read_table(folder / INDEX).slice(0, 1), folder / INDEX)
    changes = repair(folder).changes
    assert changes[:2] == ("index: episode 1 added from its files", "index: episode 2 added from its files")
    assert verify(folder).wrong == ()
    np.testing.assert_array_equal(actions(folder), expected(0, 1, 2))


def test_a_half_written_last_file_is_moved_aside(folder: Path) -> None:
    """As lerobot leaves it when it is killed: a parquet file without an end, and its video."""
    (folder / DATA / "file-003.parquet").write_bytes((folder / DATA / "file-002.parquet").read_bytes()[:300])
    shutil.copy(folder / VIDEOS / "file-002.mp4", folder / VIDEOS / "file-003.mp4")
    assert any("file-003.parquet: the index does not name it" in line for line in verify(folder).wrong)
    changes = repair(folder).changes
    assert [change.split(":")[0] for change in changes] == [
        f"{DATA}/file-003.parquet",
        f"{VIDEOS}/file-003.mp4",
    ]
    assert verify(folder).wrong == ()
    assert (folder / ".aside" / DATA / "file-003.parquet").exists()
    assert (folder / ".aside" / VIDEOS / "file-003.mp4").exists()


def test_a_damaged_last_episode_makes_room(folder: Path) -> None:
    (folder / DATA / "file-002.parquet").write_bytes(b"PAR1")
    repair(folder)
    assert verify(folder).wrong == ()
    np.testing.assert_array_equal(actions(folder), expected(0, 1))


def test_a_damaged_one_in_the_middle_is_named_and_nothing_is_touched(folder: Path) -> None:
    (folder / DATA / "file-001.parquet").write_bytes(b"PAR1")
    with pytest.raises(InvalidDataset, match=r"episode 1 is damaged .* leave it out: vla-dataset merge"):
        repair(folder)
    assert (folder / DATA / "file-002.parquet").exists()


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("short video", "7 frames; expected 5"),
        ("cut video", "cannot be read as a video"),
        ("old statistics", "stats.json: covers 0 of 18 frames"),
        ("no finite state", "observation.state of episode 2 has numbers that are not finite"),
        ("extra column", "column more is not declared"),
        ("other task", "episode 2 has the tasks ['sentence 1']; the index says ('sentence 0',)"),
    ],
)
def test_verify_sees(what: str, said: str, folder: Path) -> None:
    data = folder / DATA / "file-002.parquet"
    if what == "short video":
        shutil.copy(folder / VIDEOS / "file-001.mp4", folder / VIDEOS / "file-002.mp4")
    elif what == "cut video":
        (folder / VIDEOS / "file-002.mp4").write_bytes((folder / VIDEOS / "file-002.mp4").read_bytes()[:900])
    elif what == "old statistics":
        (folder / "meta/stats.json").unlink()
    elif what == "no finite state":
        table = pq.read_table(data)
        states = [[float("inf")] * 3, *table["observation.state"].to_pylist()[1:]]
        change_column(data, "observation.state", states)
    elif what == "extra column":
        table = pq.read_table(data)
        pq.write_table(table.append_column("more", table["index"]), data)
    elif what == "other task":
        change_column(data, "task_index", [1] * 5)
    assert any(said in line for line in verify(folder).wrong), verify(folder).wrong


def test_deep_verify_decodes(folder: Path) -> None:
    path = folder / VIDEOS / "file-000.mp4"
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 40
    content[start : start + 600] = bytes(600)
    path.write_bytes(content)
    assert verify(folder).wrong == ()
    assert "file-000.mp4" in verify(folder, deep=True).wrong[0]


def test_staged_episodes_are_added_unfinished_ones_removed_living_ones_left(folder: Path) -> None:
    finished = stage(folder / ".staging/finished", 0, 6, "sentence 0")
    dead = folder / ".staging/dead"
    shutil.copytree(finished, dead)
    (dead / "staged.json").unlink()
    living = EpisodeWriter(folder / ".staging/living", FEATURES, FPS, "go")
    notes = verify(folder).notes
    assert [note.split(": ")[1].split(" ")[0] for note in notes] == ["unfinished;", "finished", "is"]
    assert repair(folder).changes == (
        ".staging/dead: unfinished, removed",
        ".staging/finished: finished, added as episode 3",
    )
    assert sorted(path.name for path in (folder / ".staging").iterdir()) == ["living"]
    living.discard()
    np.testing.assert_array_equal(actions(folder), expected(0, 1, 2, 0))


def test_repair_waits_for_nobody(folder: Path) -> None:
    with DatasetWriter(folder, FEATURES, FPS), pytest.raises(DatasetBusy):
        repair(folder)


STEPS = ("append_note", "place", "write_parquet", "_append_row", "write_info", "rmtree")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("how", ["reopened", "repaired"])
def test_killed_at_any_step_of_adding_nothing_is_lost_or_doubled(
    step: str, how: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child is stopped dead right before each step; the staged episode gets in exactly once."""
    staged = stage(folder / ".staging/new", 1, 7, "a new sentence")
    child = os.fork()
    if child == 0:
        owner = {
            "_append_row": DatasetWriter,
            "write_info": writer_module.index_writing,
            "rmtree": shutil,
        }.get(step, writer_module)
        with DatasetWriter(folder, FEATURES, FPS) as writer:
            setattr(owner, step, lambda *_, **__: os._exit(9))
            writer.add(staged)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    if how == "reopened":
        with DatasetWriter(folder, FEATURES, FPS) as writer:
            assert writer.add(staged) == 3
    else:
        repair(folder)
    assert verify(folder, deep=True).wrong == ()
    assert verify(folder).notes == ()
    assert not (folder / ".aside").exists()
    np.testing.assert_array_equal(actions(folder), expected(0, 1, 2, 1))
    assert json.loads((folder / "meta/info.json").read_text())["total_episodes"] == 4
