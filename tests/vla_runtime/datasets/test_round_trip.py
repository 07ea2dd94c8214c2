"""What is written is what is read, in every column and every pixel."""

import copy
import io
import json
import re
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.vla_runtime.datasets.made import CAMERA, FEATURES, FPS, as_v21, decoded, frames, make, stage
from vla_runtime.datasets import DatasetWriter, EpisodeWriter, LeRobotDataset, VideoCodec, open_dataset
from vla_runtime.datasets.verify import verify

COUNTS = (6, 7, 5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("made") / "set", COUNTS)


@pytest.fixture(scope="module")
def dataset(folder: Path) -> LeRobotDataset:
    return open_dataset(folder)


def test_every_number_comes_back(dataset: LeRobotDataset) -> None:
    written = [frame for seed, count in enumerate(COUNTS) for frame in frames(seed, count)]
    for name in ("observation.state", "action", "verdict", "next.done"):
        expected = np.array([np.atleast_1d(frame[name]) for frame in written]).astype(FEATURES[name].dtype)
        np.testing.assert_array_equal(dataset.column(name, 0, len(dataset)), expected)
    assert dataset.column("frame_index", 0, 18)[:, 0].tolist() == [*range(6), *range(7), *range(5)]
    np.testing.assert_allclose(dataset.column("timestamp", 6, 13)[:, 0], np.arange(7) / FPS, rtol=1e-6)


def test_a_frame_is_what_was_recorded(dataset: LeRobotDataset) -> None:
    for index, frame in ((0, frames(0, 6)[0]), (12, frames(1, 7)[6]), (13, frames(2, 5)[0])):
        read = dataset.frame(index)
        np.testing.assert_array_equal(read.action, frame["action"].astype(np.float32))
        assert read.state is not None
        np.testing.assert_array_equal(read.state, frame["observation.state"].astype(np.float32))
    assert (dataset.frame(12).episode, dataset.frame(12).step, dataset.frame(12).instruction) == (
        1,
        6,
        "sentence 1",
    )
    assert dataset.frame(13).instruction == "sentence 0"


def test_pixels_are_those_that_pyav_decodes_in_any_order(folder: Path, dataset: LeRobotDataset) -> None:
    expected = [
        picture
        for number in range(3)
        for picture in decoded(folder / f"videos/{CAMERA}/chunk-000/file-{number:03d}.mp4")
    ]
    assert len(expected) == len(dataset) == 18
    for index in np.random.default_rng(0).permutation(np.repeat(np.arange(18), 2)):
        np.testing.assert_array_equal(dataset.frame(int(index), ["front"]).images["front"], expected[index])
    streamed = [frame.images["front"] for frame in dataset.stream(["front"])]
    np.testing.assert_array_equal(streamed, expected)


def test_pictures_look_like_those_recorded(dataset: LeRobotDataset) -> None:
    for step, frame in enumerate(frames(0, 6)):
        difference = dataset.frame(step, ["front"]).images["front"].astype(int) - frame[CAMERA]
        assert np.abs(difference).mean() < 12.0  # of 255, lossy


def test_a_random_frame_costs_at_most_two_decodings(folder: Path) -> None:
    with open_dataset(folder) as dataset:
        for index in np.random.default_rng(1).permutation(18).tolist():
            before = dataset.frames_decoded
            dataset.frame(index, ["front"])
            assert dataset.frames_decoded - before <= 2
        before = dataset.frames_decoded
        list(dataset.stream(["front"]))
        assert (
            dataset.frames_decoded - before <= 18 + 3
        )  # each once, and a key frame where an episode is begun


def test_an_open_data_set_travels_to_other_processes(dataset: LeRobotDataset) -> None:
    dataset.frame(3, ["front"])
    twin = copy.copy(dataset)  # by the way that a data loader's workers get it, too
    np.testing.assert_array_equal(
        twin.frame(3, ["front"]).images["front"], dataset.frame(3, ["front"]).images["front"]
    )


def test_appended_equals_written_at_once(folder: Path, tmp_path: Path) -> None:
    for seed, count in enumerate(COUNTS):
        with DatasetWriter(tmp_path / "set", FEATURES, FPS) as writer:
            assert writer.add(stage(tmp_path / f"staged{seed}", seed, count, f"sentence {seed % 2}")) == seed
    assert contents(tmp_path / "set") == contents(folder)


def test_staged_in_parallel_equals_written_serially(folder: Path, tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        jobs = [
            pool.submit(stage, tmp_path / f"staged{seed}", seed, count, f"sentence {seed % 2}")
            for seed, count in enumerate(COUNTS)
        ]
        with DatasetWriter(tmp_path / "set", FEATURES, FPS) as writer:
            for job in jobs:
                writer.add(job.result())
    assert contents(tmp_path / "set") == contents(folder)


def contents(folder: Path) -> dict[str, bytes | list]:
    """All files but our notes, which hold a random token."""
    paths = [path for path in folder.rglob("*") if path.is_file() and "vla_runtime" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.name != ".writer.lock"}


def test_quantiles_are_global(folder: Path, dataset: LeRobotDataset) -> None:
    statistics = json.loads((folder / "meta/stats.json").read_text())
    actions = dataset.actions(0, len(dataset))
    for name, share in (("q01", 0.01), ("q50", 0.5), ("q99", 0.99)):
        np.testing.assert_allclose(
            statistics["action"][name], np.quantile(actions, share, axis=0), rtol=1e-12
        )
    np.testing.assert_allclose(statistics["action"]["std"], actions.std(axis=0), rtol=1e-12)
    assert statistics["action"]["count"] == [18]
    assert statistics["index"]["q99"][0] == pytest.approx(np.quantile(np.arange(18), 0.99))
    assert np.shape(statistics[CAMERA]["q50"]) == (3, 1, 1)
    pixels = (
        np.array([frame[CAMERA] for seed, count in enumerate(COUNTS) for frame in frames(seed, count)]) / 255
    )
    np.testing.assert_allclose(np.ravel(statistics[CAMERA]["mean"]), pixels.mean(axis=(0, 1, 2)), atol=0.05)


def test_sentences_are_the_pandas_index(folder: Path) -> None:
    schema = pq.read_schema(folder / "meta/tasks.parquet")
    pandas = json.loads((schema.metadata or {})[b"pandas"])
    assert pandas["index_columns"] == ["__index_level_0__"]
    assert schema.names == ["task_index", "__index_level_0__"]


def test_v21_reads_the_same(folder: Path, dataset: LeRobotDataset, tmp_path: Path) -> None:
    old = open_dataset(as_v21(folder, tmp_path / "old"))
    assert (old.index.version, len(old), old.episode_bounds, old.tasks) == (
        "v2.1",
        18,
        dataset.episode_bounds,
        dataset.tasks,
    )
    for index in (0, 8, 17):
        ours, theirs = dataset.frame(index, ["front"]), old.frame(index, ["front"])
        np.testing.assert_array_equal(ours.images["front"], theirs.images["front"])
        np.testing.assert_array_equal(ours.action, theirs.action)
        assert (ours.instruction, ours.episode, ours.step) == (
            theirs.instruction,
            theirs.episode,
            theirs.step,
        )
    assert verify(tmp_path / "old").wrong == ()


def test_pictures_may_lie_in_the_rows(folder: Path, tmp_path: Path) -> None:
    """As some data sets have them: PNG instead of video."""
    target = Path(shutil.copytree(folder, tmp_path / "set"))
    info = json.loads((target / "meta/info.json").read_text())
    info["features"][CAMERA]["dtype"] = "image"
    (target / "meta/info.json").write_text(json.dumps(info))
    kept = [frame[CAMERA] for seed, count in enumerate(COUNTS) for frame in frames(seed, count)]
    for path in sorted((target / "data/chunk-000").glob("*.parquet")):
        table = pq.read_table(path)
        stored = [{"bytes": as_png(kept[int(at)]), "path": None} for at in table["index"].to_pylist()]
        pq.write_table(table.append_column(CAMERA, pa.array(stored)), path)
    dataset = open_dataset(target)
    assert dataset.cameras == ("front",)
    for index in (0, 9, 17):
        np.testing.assert_array_equal(dataset.frame(index, ["front"]).images["front"], kept[index])
    assert verify(target).wrong == ()


def as_png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def test_notes_say_what_frames_do_not(dataset: LeRobotDataset) -> None:
    assert [(note["seed"], note["success"]) for note in dataset.notes()] == [(0, True), (1, False), (2, True)]


@pytest.mark.parametrize("codec", ["libx265", "libsvtav1", "libvpx-vp9", "mpeg4"])
def test_other_codecs_have_exact_times_too(codec: str, tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "set", FEATURES, 3) as writer:
        episode = EpisodeWriter(tmp_path / "e", FEATURES, 3, "go", VideoCodec(codec))
        for frame in frames(0, 9):
            episode.append({**frame, CAMERA: np.kron(frame[CAMERA], np.ones((4, 4, 1), np.uint8))[:32, :48]})
        writer.add(episode.finish())
    assert verify(tmp_path / "set", deep=True).wrong == ()
    expected = decoded(tmp_path / f"set/videos/{CAMERA}/chunk-000/file-000.mp4")
    with open_dataset(tmp_path / "set") as dataset:
        for index in (7, 2, 8, 0, 3):
            np.testing.assert_array_equal(dataset.frame(index, ["front"]).images["front"], expected[index])


def test_many_episodes_fill_several_files_of_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vla_runtime.datasets.writer.ROWS_PER_INDEX_FILE", 2)
    folder = make(tmp_path / "set", (2, 2, 2, 2, 2))
    assert len(list((folder / "meta/episodes/chunk-000").glob("*"))) == 3
    assert verify(folder).wrong == ()
    assert open_dataset(folder).episode_bounds == [(2 * n, 2 * n + 2) for n in range(5)]


def test_the_documentations_examples_work(folder: Path, tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "datasets.md").read_text()
    reading, writing = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    exec(compile(writing, "docs/datasets.md", "exec"), {"folder": tmp_path / "set"})
    assert len(open_dataset(tmp_path / "set")) == 10
    reading = reading.replace("outputs/demos/lerobot", str(folder))
    exec(compile(reading, "docs/datasets.md", "exec"), {})
