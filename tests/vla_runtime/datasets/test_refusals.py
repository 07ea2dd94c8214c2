"""Bad data gets one clear line, and what was there stays as it was."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.vla_runtime.datasets.made import (
    CAMERA,
    FEATURES,
    FPS,
    as_v21,
    change_column,
    change_info,
    frames,
    make,
    stage,
)
from vla_runtime.datasets import (
    DatasetWriter,
    EpisodeWriter,
    Feature,
    VideoCodec,
    index_writing,
    open_dataset,
)
from vla_runtime.datasets import writer as writer_module
from vla_runtime.datasets.features import camera_feature
from vla_runtime.datasets.verify import verify
from vla_runtime.errors import ConfigurationError, DatasetBusy, InvalidDataset, RecordingFailed

DATA = "data/chunk-000/file-001.parquet"
VIDEO = f"videos/{CAMERA}/chunk-000/file-000.mp4"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("made") / "set", (6, 7))


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "set"))


def refusal(folder: Path) -> str:
    """What reading everything says, in one line."""
    with pytest.raises(InvalidDataset) as caught, open_dataset(folder) as dataset:
        list(dataset.stream(dataset.cameras))
    (line,) = str(caught.value).splitlines()
    return line


def test_no_data_set(tmp_path: Path) -> None:
    assert "meta/info.json is missing; expected the folder of a LeRobotDataset" in refusal(tmp_path)


def test_empty(tmp_path: Path) -> None:
    DatasetWriter(tmp_path / "set", FEATURES, FPS).close()
    assert refusal(tmp_path / "set").endswith("is empty; expected at least one episode")


@pytest.mark.parametrize("version", ["v2.0", "v1.6", "v4.0", 3])
def test_another_version(folder: Path, version: Any) -> None:
    change_info(folder, codebase_version=version)
    assert f"version {version}; expected v3.0 or v2.1" in refusal(folder)


def test_another_rate_than_the_video(folder: Path) -> None:
    change_info(folder, fps=10)
    said = refusal(folder)
    assert "fps 10" in said or "5 frames per second; expected 10" in said


def test_another_rate_in_the_video_alone(folder: Path, tmp_path: Path) -> None:
    writer = EpisodeWriter(tmp_path / "e", FEATURES, 10, "go")
    for frame in frames(0, 6):
        writer.append(frame)
    shutil.copy(writer.finish() / f"{CAMERA}.mp4", folder / VIDEO)
    assert "file-000.mp4: 10 frames per second; expected 5, as info.json says" in refusal(folder)


def test_another_rate_in_the_rows_alone(folder: Path) -> None:
    change_column(folder / DATA, "timestamp", [0.1 * step for step in range(7)])
    assert "frame 1 of episode 1 is at 0.1000 s; expected 0.2000 s" in refusal(folder)


def test_a_camera_that_there_is_not(folder: Path) -> None:
    with pytest.raises(InvalidDataset, match=r"no camera 'wrist'; its cameras: front"):
        open_dataset(folder).frame(0, ["wrist"])


def test_a_missing_video(folder: Path) -> None:
    (folder / VIDEO).unlink()
    assert "file-000.mp4: the video is missing" in refusal(folder)


@pytest.mark.parametrize("kept", [0, 100, 2000])
def test_a_video_that_was_cut_off(folder: Path, kept: int) -> None:
    (folder / VIDEO).write_bytes((folder / VIDEO).read_bytes()[:kept])
    assert "file-000.mp4: " in refusal(folder)


def test_a_damaged_parquet_file(folder: Path) -> None:
    (folder / DATA).write_bytes((folder / DATA).read_bytes()[:-20])
    assert "file-001.parquet: cannot be read as parquet" in refusal(folder)


def test_a_missing_parquet_file(folder: Path) -> None:
    (folder / DATA).unlink()
    assert "file-001.parquet: the file is missing" in refusal(folder)


def test_a_damaged_index(folder: Path) -> None:
    (folder / "meta/episodes/chunk-000/file-000.parquet").write_bytes(b"PAR1 and no more")
    assert "cannot be read as parquet" in refusal(folder)


def test_a_damaged_info(folder: Path) -> None:
    (folder / "meta/info.json").write_text("{")
    assert "cannot be read as JSON" in refusal(folder)


def test_actions_that_are_not_finite(folder: Path) -> None:
    table = pq.read_table(folder / DATA)
    values = np.array(table["action"].to_pylist(), np.float32)
    values[3, 0] = np.nan
    change_column(folder / DATA, "action", pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), 2))
    assert "action of episode 1, frame 3: x is nan; expected finite numbers" in refusal(folder)
    with pytest.raises(InvalidDataset, match=r"episode 1, frame 3: x is nan"):
        open_dataset(folder).actions(8, 13)
    np.testing.assert_array_equal(open_dataset(folder).actions(10, 12), values[4:6])


def test_actions_of_another_size(folder: Path) -> None:
    values = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(21, np.float32)), 3)
    change_column(folder / DATA, "action", values)
    assert "action has 3 numbers; expected 2, as info.json says" in refusal(folder)


def test_no_actions_at_all(folder: Path) -> None:
    features = json.loads((folder / "meta/info.json").read_text())["features"]
    features["motion"] = features.pop("action")
    change_info(folder, features=features)
    assert "feature 'action' is None; expected numbers of shape (n,)" in refusal(folder)


def test_an_empty_instruction(folder: Path) -> None:
    change_column(folder / "meta/tasks.parquet", "__index_level_0__", ["sentence 0", " "])
    assert "the instruction of task 1 is empty; expected a sentence" in refusal(folder)


def test_a_task_without_a_sentence(folder: Path) -> None:
    change_column(folder / DATA, "task_index", [5] * 7)
    assert "episode 1 has task 5, which has no instruction" in refusal(folder)


def test_an_index_with_a_gap(folder: Path) -> None:
    path = folder / "meta/episodes/chunk-000/file-000.parquet"
    change_column(path, "dataset_from_index", [0, 7])
    assert "expected episode 1 from frame 6" in refusal(folder)


def test_rows_that_are_missing(folder: Path) -> None:
    pq.write_table(pq.read_table(folder / DATA).slice(0, 5), folder / DATA)
    assert "should have frames 6 to 12; 5 rows are there" in refusal(folder)


def test_a_v21_data_set_without_its_index(folder: Path, tmp_path: Path) -> None:
    old = as_v21(folder, tmp_path / "old")
    (old / "meta/episodes.jsonl").unlink()
    assert "meta/episodes.jsonl: the file is missing" in refusal(old)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"action": np.array([0.0, np.nan])}, "frame 0, action: gripper is nan; expected finite numbers"),
        ({"action": np.zeros(7)}, r"frame 0, action: shape (7,); expected (2,)"),
        ({"verdict": 0.5}, "frame 0, verdict: float64 numbers; expected int64"),
        ({CAMERA: np.zeros((8, 8, 3), np.uint8)}, "expected uint8 (32, 48, 3)"),
        ({CAMERA: np.zeros((32, 48, 3))}, "float64 (32, 48, 3); expected uint8"),
        ({"remark": 3}, "frame 0, remark: int; expected a text"),
        ({"wrist": 1}, "wrist missing or unknown"),
    ],
)
def test_a_bad_frame_is_refused_and_the_episode_goes_on(changed: dict, said: str, tmp_path: Path) -> None:
    writer = EpisodeWriter(tmp_path / "e", FEATURES, FPS, "go")
    with pytest.raises(InvalidDataset) as caught:
        writer.append({**frames(0, 2)[0], **changed})
    assert said in str(caught.value)
    writer.append(frames(0, 2)[0])
    writer.finish()
    with DatasetWriter(tmp_path / "set", FEATURES, FPS) as dataset:
        dataset.add(tmp_path / "e")
    assert len(open_dataset(tmp_path / "set")) == 1


def test_an_episode_without_frames_or_sentence_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataset, match="has no frames"):
        EpisodeWriter(tmp_path / "e", FEATURES, FPS, "go").finish()
    with pytest.raises(InvalidDataset, match=r"instruction ' ': is empty; expected a sentence"):
        EpisodeWriter(tmp_path / "e", FEATURES, FPS, " ")
    with pytest.raises(InvalidDataset, match=r"fps=2\.5: expected a whole number"):
        EpisodeWriter(tmp_path / "e", FEATURES, 2.5, "go")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("features", "fps", "said"),
    [
        ({**FEATURES, "action": Feature("float32", (3,), ["x", "y", "z"])}, FPS, "feature 'action' has shape (3,), the data set's has (2,)"),
        ({**FEATURES, "action": Feature("float32", (2,), ["y", "gripper"])}, FPS, "feature 'action' has names"),
        ({**FEATURES, "observation.images.wrist": camera_feature(32, 48)}, FPS, "'observation.images.wrist' is not in the data set"),
        ({name: feature for name, feature in FEATURES.items() if name != CAMERA}, FPS, f"feature '{CAMERA}' is missing"),
        (FEATURES, 10, "has 5 frames per second; the new episodes have 10"),
    ],
)  # fmt: skip
def test_other_features_do_not_go_on(folder: Path, features: dict, fps: int, said: str) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(InvalidDataset) as caught:
        DatasetWriter(folder, features, fps)
    assert said in str(caught.value)
    before.pop(folder / ".writer.lock")
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize(
    ("name", "feature", "said"),
    [
        ("a/b", Feature("float32", (1,)), "expected a name without '/'"),
        ("index", Feature("int64", (1,)), "expected a name"),
        ("x", Feature("float16", (1,)), "dtype 'float16'; expected video, string or"),
        ("x", Feature("float32", (2, 2)), "expected (n,)"),
        ("x", Feature("video", (31, 48, 3)), "even height and width"),
    ],
)
def test_features_that_cannot_be_written(name: str, feature: Feature, said: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidDataset) as caught:
        DatasetWriter(tmp_path / "set", {**FEATURES, name: feature}, FPS)
    assert said in str(caught.value)


def test_a_staged_episode_that_does_not_fit(folder: Path, tmp_path: Path) -> None:
    staged = stage(tmp_path / "e", 0)
    manifest = json.loads((staged / "staged.json").read_text())
    (staged / "staged.json").write_text(json.dumps({**manifest, "fps": 10}))
    with (
        DatasetWriter(folder, FEATURES, FPS) as writer,
        pytest.raises(InvalidDataset, match="10 frames per second"),
    ):
        writer.add(staged)
    (staged / "staged.json").unlink()
    with DatasetWriter(folder, FEATURES, FPS) as writer, pytest.raises(InvalidDataset, match="unfinished"):
        writer.add(staged)
    assert len(open_dataset(folder).episodes) == 2


def test_two_writers(folder: Path) -> None:
    with DatasetWriter(folder, FEATURES, FPS), pytest.raises(DatasetBusy, match=r"process \d+ writes to it"):
        DatasetWriter(folder, FEATURES, FPS)
    DatasetWriter(folder, FEATURES, FPS).close()


def test_an_unknown_encoder() -> None:
    with pytest.raises(ConfigurationError, match="codec h265: PyAV has no such encoder"):
        VideoCodec("h265")
    with pytest.raises(ConfigurationError, match="codec aac: codes audio"):
        VideoCodec("aac")


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    "step", ["write_tasks", "append_note", "place", "write_parquet", "write_rows", "write_info"]
)
def test_a_full_disk_leaves_the_data_set_as_it_was(
    step: str, at_once: bool, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At whatever step of adding; when there is room again, the same writer goes on."""

    def full(*_: object, **__: object) -> None:
        raise RecordingFailed("No space left on device")

    staged = stage(tmp_path / "e", 3, sentence="a new sentence")
    owner = index_writing if step in ("write_tasks", "write_info", "write_rows") else writer_module
    monkeypatch.setattr(writer_module, "ROWS_PER_INDEX_FILE", 2 if step == "write_rows" else 100)
    writer = DatasetWriter(folder, FEATURES, FPS)
    with monkeypatch.context() as patch:
        patch.setattr(owner, step, full)
        with pytest.raises(RecordingFailed, match="No space left on device"):
            writer.add(staged)
    if not at_once:
        writer.close()
        assert verify(folder).wrong == ()
        writer = DatasetWriter(folder, FEATURES, FPS)
    assert writer.add(staged) == 2
    writer.close()
    assert open_dataset(folder).episode_bounds == [(0, 6), (6, 13), (13, 19)]
    assert verify(folder).wrong == ()


def test_a_full_disk_is_named_with_its_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    staged = stage(tmp_path / "e", 3)
    with DatasetWriter(folder, FEATURES, FPS) as writer, monkeypatch.context() as patch:
        patch.setattr("vla_runtime.datasets.durable.pq.write_table", full)
        with pytest.raises(RecordingFailed, match=r"tasks\.parquet: No space left on device"):
            writer.add(staged)
    assert len(open_dataset(folder).episodes) == 2
