"""Merged data sets hold the same rows and, without coding anew, the same pictures."""

import json
import shutil
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.vla_runtime.datasets.made import CAMERA, FEATURES, FPS, as_v21, change_info, decoded, make
from vla_runtime.commands.dataset import main
from vla_runtime.datasets import DatasetWriter, open_dataset
from vla_runtime.datasets.merge import merge
from vla_runtime.datasets.verify import verify
from vla_runtime.errors import ConfigurationError, InvalidDataset

VIDEOS = f"videos/{CAMERA}/chunk-000"


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("made")
    return make(folder / "a", (6, 7)), make(folder / "b", (5, 4, 3))


def test_rows_and_videos_are_the_same(sets: tuple[Path, Path], tmp_path: Path) -> None:
    old = as_v21(sets[1], tmp_path / "old")
    assert merge([sets[0], old], tmp_path / "both").episodes == 5
    assert verify(tmp_path / "both", deep=True).wrong == ()
    both = open_dataset(tmp_path / "both")
    for name in ("observation.state", "action", "verdict", "next.done"):
        parts = [open_dataset(folder) for folder in sets]
        values = np.concatenate([part.column(name, 0, len(part)) for part in parts])
        np.testing.assert_array_equal(both.column(name, 0, len(both)), values)
    assert (tmp_path / "both" / VIDEOS / "file-002.mp4").read_bytes() == (
        sets[1] / VIDEOS / "file-000.mp4"
    ).read_bytes()
    assert [note.get("seed") for note in both.notes()] == [0, 1, None, None, None]


def test_an_interrupted_merge_goes_on(sets: tuple[Path, Path], tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        merge(sets, tmp_path / "both", progress=stop)
    assert merge(sets, tmp_path / "both").episodes == 5
    assert open_dataset(tmp_path / "both").episode_bounds == [(0, 6), (6, 13), (13, 18), (18, 22), (22, 25)]
    assert verify(tmp_path / "both").wrong == ()


def together(source: Path, target: Path) -> Path:
    """The same data set with all episodes in one data file and one video, as lerobot records."""
    shutil.copytree(source, target)
    tables = [pq.read_table(path) for path in sorted((target / "data/chunk-000").glob("*"))]
    videos = sorted((target / VIDEOS).glob("*"))
    with av.open(str(target / "all.mp4"), "w") as container:
        copied, shift = None, 0
        for path in videos:
            with av.open(str(path)) as part:
                stream = part.streams.video[0]
                copied = copied or container.add_stream_from_template(stream, opaque=True)
                for packet in part.demux(stream):
                    if packet.size:
                        packet.pts, packet.dts = (packet.pts or 0) + shift, (packet.dts or 0) + shift
                        packet.stream = copied
                        container.mux(packet)
                shift += stream.duration or 0
    for path in [*videos, *(target / "data/chunk-000").glob("*")]:
        path.unlink()
    (target / "all.mp4").rename(videos[0])
    pq.write_table(pa.concat_tables(tables), target / "data/chunk-000/file-000.parquet")
    index = target / "meta/episodes/chunk-000/file-000.parquet"
    rows, schema, at = pq.read_table(index).to_pylist(), pq.read_schema(index), 0
    for row in rows:
        row |= {"data/file_index": 0, f"videos/{CAMERA}/file_index": 0}
        row |= {f"videos/{CAMERA}/from_timestamp": at / FPS}
        at += row["length"]
        row |= {f"videos/{CAMERA}/to_timestamp": at / FPS}
    pq.write_table(pa.Table.from_pylist(rows, schema), index)
    return target


@pytest.mark.parametrize("codec", ["libx264", "libsvtav1"])
def test_episodes_that_share_files_are_cut_out(codec: str, tmp_path: Path) -> None:
    """libsvtav1 is what lerobot writes; its decoder has another name than its encoder."""
    own = make(tmp_path / "own", (5, 4, 3), codec)
    shared = together(own, tmp_path / "shared")
    assert verify(shared, deep=True).wrong == ()
    merge([shared], tmp_path / "merged")
    assert verify(tmp_path / "merged", deep=True).wrong == ()
    for number in range(3):
        name = f"file-{number:03d}.mp4"
        np.testing.assert_array_equal(
            decoded(tmp_path / "merged" / VIDEOS / name), decoded(own / VIDEOS / name)
        )


def test_a_lost_index_of_shared_files_is_made_anew(sets: tuple[Path, Path], tmp_path: Path) -> None:
    shared = together(sets[1], tmp_path / "shared")
    index = shared / "meta/episodes/chunk-000/file-000.parquet"
    before = pq.read_table(index).to_pylist()
    index.write_bytes(b"")
    assert main(["repair", str(shared)]) == 0
    assert verify(shared, deep=True).wrong == ()
    places = [
        f"videos/{CAMERA}/from_timestamp",
        f"videos/{CAMERA}/to_timestamp",
        "dataset_from_index",
        "tasks",
    ]
    for old, new in zip(before, pq.read_table(index).to_pylist(), strict=True):
        assert [new[name] for name in places] == [old[name] for name in places]


def test_a_damaged_episode_is_named_or_left_out(sets: tuple[Path, Path], tmp_path: Path) -> None:
    damaged = Path(shutil.copytree(sets[1], tmp_path / "damaged"))
    (damaged / "data/chunk-000/file-001.parquet").write_bytes(b"PAR1")
    with pytest.raises(InvalidDataset, match=r"file-001\.parquet: cannot be read"):
        merge([damaged], tmp_path / "refused")
    done = merge([damaged], tmp_path / "rest", skip_damaged=True)
    assert (done.episodes, len(done.left_out)) == (2, 1)
    assert verify(tmp_path / "rest", deep=True).wrong == ()
    assert open_dataset(tmp_path / "rest").episode_bounds == [(0, 5), (5, 8)]


def test_what_does_not_go_together(sets: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InvalidDataset, match="is a source too"):
        merge(sets, sets[0])
    faster = Path(shutil.copytree(sets[1], tmp_path / "faster"))
    change_info(faster, fps=10)
    with pytest.raises(InvalidDataset, match=r"faster has fps 10, .*a has 5"):
        merge([sets[0], faster], tmp_path / "both")
    features = json.loads((faster / "meta/info.json").read_text())["features"]
    change_info(faster, fps=5, features={**features, "more": {"dtype": "bool", "shape": [1], "names": None}})
    with pytest.raises(InvalidDataset, match=r"differs from .*: feature 'more' is not in the data set"):
        merge([sets[0], faster], tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_the_command_says_what_there_is(
    sets: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["merge", *map(str, sets), f"out={tmp_path / 'both'}"]) == 0
    assert main(["info", str(tmp_path / "both")]) == 0
    assert main(["verify", str(tmp_path / "both"), "deep=true"]) == 0
    said = capsys.readouterr().out
    for part in (
        "frames: 25 (5 s at 5 Hz)",
        "success: 3 of 5 episodes",
        "action: float32 [2]",
        "sentence 1",
        "all well",
    ):
        assert part in said
    (tmp_path / "both/meta/stats.json").unlink()
    assert main(["verify", str(tmp_path / "both")]) == 1
    assert "stats.json: covers 0 of 25 frames" in capsys.readouterr().out
    assert main(["repair", str(tmp_path / "both")]) == 0
    assert main(["verify", str(tmp_path / "both")]) == 0


def test_an_empty_one_has_information_too(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    DatasetWriter(tmp_path / "set", FEATURES, FPS).close()
    assert main(["info", str(tmp_path / "set")]) == 0
    assert "episodes: 0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["look", "x"], "vla-dataset look: expected one of info, verify, repair, merge"),
        (["verify"], "vla-dataset verify: 0 folders; expected one"),
        (["verify", "a", "b"], "vla-dataset verify: 2 folders; expected one"),
        (["merge", "a"], "out is missing; expected out=NEW_FOLDER"),
        (["info", "/nowhere"], "data set /nowhere: meta/info.json is missing"),
        (["verify", "a", "deep=perhaps"], "deep"),
    ],
)
def test_mistakes_get_one_clear_line(arguments: list[str], said: str) -> None:
    with pytest.raises((ConfigurationError, InvalidDataset)) as caught:
        main(arguments)
    assert said in str(caught.value)
