"""A very small checkpoint, and frames that are made by hand."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from vla_runtime.models.openvla.small_checkpoint import SmallSize, write_small_checkpoint
from vla_runtime.pretraining.batches import Classes
from vla_runtime.pretraining.shards import Frames, ShardWriter

SIZE = SmallSize(32, (8, 16, 24), 2, 2, 32, 64, 2, 2)
WORDS = ("put", "the", "red", "cube", "lemon", "in", "blue", "bowl", "green")
CLASSES = Classes(("cube", "lemon", "bowl"), ("own", "red", "blue", "green"))
STATISTICS = {
    "action": {
        "q01": [-0.05] * 3 + [0.0] * 2 + [-0.2, 0.0],
        "q99": [0.05] * 3 + [0.0] * 2 + [0.2, 1.0],
        "mask": [True] * 6 + [False],
    }
}


@dataclass(frozen=True)
class Answer:
    instruction: str
    action: np.ndarray
    target: str
    destination: str | None


@dataclass(frozen=True)
class Sighting:
    body: str
    kind: str
    colour: str
    position: tuple[float, float, float]
    pixel: tuple[float, float]
    turn: tuple[float, float] = (0.6, 0.8)


@dataclass(frozen=True)
class Lesson:
    answers: tuple[Answer, ...]
    sightings: tuple[Sighting, ...]
    tool: tuple[float, float, float] = (0.3, 0.0, 0.2)
    tool_pixel: tuple[float, float] = (0.55, 0.55)
    tool_turn: tuple[float, float] = (0.0, 1.0)


def lesson(step: int) -> Lesson:
    things = (
        Sighting("red cube", "cube", "red", (0.4, 0.0, 0.0), (0.06, 0.06)),
        Sighting("lemon", "lemon", "own", (0.5, 0.1, 0.0), (1.2, 0.5)),
        Sighting("blue bowl", "bowl", "blue", (0.3, 0.2, 0.0), (0.95, 0.95)),
    )
    answers = tuple(
        Answer(
            f"put the {name} in the blue bowl",
            np.array([0.01 * step, 0.02 * index, -0.05, 0, 0, 0.1, index]),
            name,
            "blue bowl",
        )
        for index, name in enumerate(("red cube", "lemon"))
    )
    return Lesson(answers, things)


def write_shard(path: Path, frames: int = 3, episode: int = 7) -> None:
    writer = ShardWriter(SIZE.image)
    rng = np.random.default_rng(0)
    for step in range(frames):
        writer.add(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), lesson(step), episode)
    writer.write(path)


def make_frames() -> Frames:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        write_shard(Path(folder) / "shard_0000.npz")
        return Frames.load([Path(folder) / "shard_0000.npz"])


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small") / "checkpoint"
    write_small_checkpoint(folder, WORDS, {"hand-made": STATISTICS}, SIZE)
    return folder
