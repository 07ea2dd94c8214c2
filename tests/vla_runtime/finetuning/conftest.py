"""A tiny checkpoint, and episodes that live in memory."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.models.openvla.random_checkpoint import write_random_checkpoint
from vla_runtime.types import Frame

STATISTICS = ActionStatistics(
    (-0.05,) * 3 + (-0.25,) * 3 + (0.0,), (0.05,) * 3 + (0.25,) * 3 + (1.0,), (True,) * 6 + (False,)
)


@dataclass
class MemoryFrames:
    """Episodes with random pictures; each action is written into its picture, so that it can be learnt."""

    lengths: Sequence[int] = (4, 3)
    instructions: Sequence[str] = ("pick up the lemon", "push the cube")
    seed: int = 0
    side: int = 32
    fps: float = 5.0
    cameras: Sequence[str] = ("front", "wrist")
    values: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        generator = np.random.default_rng(self.seed)
        low, high = np.array(STATISTICS.q01), np.array(STATISTICS.q99)
        self.values = low + (high - low) * generator.random((sum(self.lengths), 7))
        self.values[:, 6] = self.values[:, 6].round()

    @property
    def episode_bounds(self) -> list[tuple[int, int]]:
        ends = np.cumsum(self.lengths).tolist()
        return [(end - length, end) for end, length in zip(ends, self.lengths, strict=True)]

    def __len__(self) -> int:
        return sum(self.lengths)

    def frame(self, index: int, cameras: Sequence[str] = ()) -> Frame:
        episode = next(i for i, (_, stop) in enumerate(self.episode_bounds) if index < stop)
        generator = np.random.default_rng([self.seed, index])
        pictures = {
            camera: generator.integers(0, 256, (self.side, self.side, 3), dtype=np.uint8)
            for camera in cameras
        }
        step = index - self.episode_bounds[episode][0]
        return Frame(pictures, None, self.values[index], self.instructions[episode], episode, step)

    def actions(self, start: int, stop: int) -> NDArray[np.float64]:
        return self.values[start:stop]


def write_statistics(folder: Path, **changes: object) -> Path:
    """dataset_statistics.json of those episodes."""
    entry = {"q01": STATISTICS.q01, "q99": STATISTICS.q99, "mask": STATISTICS.mask, **changes}
    file = folder / "dataset_statistics.json"
    file.write_text(json.dumps({"memory": {"action": entry}}))
    return file


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """As the processes that tests start have it: sums in another order differ in their last digit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finetuning") / "tiny"
    write_random_checkpoint(folder)
    return folder


@pytest.fixture
def copied(tiny: Path, tmp_path: Path) -> Callable[[], Path]:
    def copy() -> Path:
        return Path(shutil.copytree(tiny, tmp_path / "copy"))

    return copy
