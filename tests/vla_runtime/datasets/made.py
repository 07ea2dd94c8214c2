"""Small data sets for the tests, made here."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vla_runtime.datasets import DatasetWriter, EpisodeWriter, Feature, VideoCodec
from vla_runtime.datasets.features import camera_feature

FPS, HEIGHT, WIDTH = 5, 32, 48
CAMERA = "observation.images.front"
FEATURES = {
    "observation.state": Feature("float32", (3,), ["a", "b", "c"]),
    CAMERA: camera_feature(HEIGHT, WIDTH),
    "action": Feature("float32", (2,), ["x", "gripper"]),
    "verdict": Feature("int64", (1,)),
    "next.done": Feature("bool", (1,)),
    "remark": Feature("string", (1,)),
}


def frames(seed: int, count: int) -> list[dict[str, Any]]:
    """Frames of an episode: random numbers, and a picture that moves."""
    random = np.random.default_rng(seed)
    picture = np.kron(random.integers(0, 256, (4, 6, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    return [
        {
            "observation.state": random.normal(size=3),
            CAMERA: np.roll(picture, step, axis=1),
            "action": random.normal(size=2),
            "verdict": step % 3,
            "next.done": step == count - 1,
            "remark": f"step {step}",
        }
        for step in range(count)
    ]


def stage(
    folder: Path, seed: int, count: int = 6, sentence: str = "put it there", codec: str = "libx264"
) -> Path:
    """Stage one episode."""
    writer = EpisodeWriter(folder, FEATURES, FPS, sentence, VideoCodec(codec))
    for frame in frames(seed, count):
        writer.append(frame)
    return writer.finish({"seed": seed, "success": seed % 2 == 0})


def make(folder: Path, counts: tuple[int, ...] = (6, 7, 5), codec: str = "libx264") -> Path:
    """A data set of episodes with so many frames, seeds from 0 on, two sentences in turn."""
    with DatasetWriter(folder, FEATURES, FPS) as writer:
        for seed, count in enumerate(counts):
            writer.add(stage(writer.new_staging(f"e{seed}"), seed, count, f"sentence {seed % 2}", codec))
    return folder


def change_info(folder: Path, **changed: Any) -> None:
    """Replace keys of info.json."""
    path = folder / "meta" / "info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


def change_column(path: Path, name: str, values: Any) -> None:
    """Replace a column of a parquet file."""
    table = pq.read_table(path)
    column = pa.array(values, table.schema.field(name).type) if isinstance(values, list) else values
    pq.write_table(table.set_column(table.column_names.index(name), name, column), path)


def decoded(path: Path) -> list[np.ndarray]:
    """All pictures of a video, by PyAV itself, one after the other."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def as_v21(source: Path, target: Path) -> Path:
    """The same data set in the layout of v2.1."""
    info = json.loads((source / "meta/info.json").read_text())
    info |= {
        "codebase_version": "v2.1",
        "total_chunks": 1,
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    }
    rows = pq.read_table(source / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    tasks = pq.read_table(source / "meta/tasks.parquet").to_pydict()
    for row in rows:
        number = row["episode_index"]
        names = {"episode_chunk": 0, "episode_index": number}
        _copy(
            source / f"data/chunk-000/file-{number:03d}.parquet", target / info["data_path"].format(**names)
        )
        video = target / info["video_path"].format(video_key=CAMERA, **names)
        _copy(source / f"videos/{CAMERA}/chunk-000/file-{number:03d}.mp4", video)
    (target / "meta").mkdir()
    (target / "meta/info.json").write_text(json.dumps(info))
    _lines(
        target / "meta/episodes.jsonl",
        [{k: row[k] for k in ("episode_index", "tasks", "length")} for row in rows],
    )
    numbered = zip(tasks["task_index"], tasks["__index_level_0__"], strict=True)
    _lines(target / "meta/tasks.jsonl", [{"task_index": number, "task": task} for number, task in numbered])
    return target


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())


def _lines(path: Path, content: list[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in content))
