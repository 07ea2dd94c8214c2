"""Frames with everything that can be learnt from them, on disk and in memory.

A shard is one .npz, written under another name and renamed when whole. Pictures are kept at the model's size.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from vla_runtime.errors import InvalidDataset
from vla_runtime.types import Image

MOST_ANSWERS = 12  # instructions of one frame; of more, some are left out
MOST_THINGS = 12  # things in one frame
NOTHING = -1

FIELDS = (
    "images",
    "answer_count",
    "sentences",
    "actions",
    "targets",
    "destinations",
    "thing_count",
    "names",
    "pixels",
    "positions",
    "turns",
    "tool",
    "tool_pixel",
    "tool_turn",
    "episodes",
)


@final
class ShardWriter:
    """Collects frames, then writes them."""

    def __init__(self, size: int) -> None:
        """Args: size: side of the pictures kept [px]."""
        self._size = size
        self._columns: dict[str, list[Any]] = {name: [] for name in FIELDS}
        self._sentences: dict[str, int] = {}
        self._names: dict[str, int] = {}

    def __len__(self) -> int:
        """Frames so far."""
        return len(self._columns["images"])

    def add(self, image: Image, lesson: Any, episode: int) -> None:
        """One frame.

        Args:
            image: Shape (height, width, 3), RGB; brought to the model's size as the original's processor does it.
            lesson: With `answers`, `sightings`, `tool`, `tool_pixel`, `tool_turn`; see sim.experts.lessons.Lesson.
            episode: Seed of the episode.
        """
        rows = self._columns
        answers, things = lesson.answers[:MOST_ANSWERS], lesson.sightings[:MOST_THINGS]
        places = {thing.body: index for index, thing in enumerate(things)}
        rows["images"].append(shrunk(image, self._size))
        rows["answer_count"].append(len(answers))
        rows["sentences"].append(
            _filled([self._number(self._sentences, a.instruction) for a in answers], MOST_ANSWERS)
        )
        rows["actions"].append(_padded(np.array([a.action for a in answers], np.float32), MOST_ANSWERS))
        rows["targets"].append(_filled([places.get(a.target, NOTHING) for a in answers], MOST_ANSWERS))
        rows["destinations"].append(
            _filled([places.get(a.destination, NOTHING) for a in answers], MOST_ANSWERS)
        )
        rows["thing_count"].append(len(things))
        names = [self._number(self._names, f"{thing.colour} {thing.kind}") for thing in things]
        rows["names"].append(_filled(names, MOST_THINGS))
        rows["pixels"].append(_padded(np.array([thing.pixel for thing in things], np.float32), MOST_THINGS))
        rows["positions"].append(
            _padded(np.array([thing.position for thing in things], np.float32), MOST_THINGS)
        )
        rows["turns"].append(_padded(np.array([thing.turn for thing in things], np.float32), MOST_THINGS))
        rows["tool"].append(np.array(lesson.tool, np.float32))
        rows["tool_pixel"].append(np.array(lesson.tool_pixel, np.float32))
        rows["tool_turn"].append(np.array(lesson.tool_turn, np.float32))
        rows["episodes"].append(episode)

    def write(self, path: Path) -> None:
        """Write everything to a file, whole or not at all."""
        arrays = {name: np.array(column) for name, column in self._columns.items()}
        tables = {
            "sentence_table": np.array(list(self._sentences)),
            "name_table": np.array(list(self._names)),
        }
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, allow_pickle=False, **{**arrays, **tables})
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    @staticmethod
    def _number(table: dict[str, int], text: str) -> int:
        return table.setdefault(text, len(table))


@dataclass(frozen=True)
class Frames:
    """All frames of some shards, in memory.

    Attributes:
        sentences: Every instruction, once.
        names: Every "colour kind", once.
        columns: By FIELDS; `sentences` and `names` are indices into the tables.
    """

    sentences: tuple[str, ...]
    names: tuple[str, ...]
    columns: dict[str, NDArray[Any]]

    def __len__(self) -> int:
        """How many."""
        return len(self.columns["images"])

    @classmethod
    def load(cls, paths: Sequence[Path]) -> "Frames":
        """Read shards, in order. Raises InvalidDataset: none, or a damaged one."""
        if not paths:
            raise InvalidDataset("no shards of frames; expected at least one")
        sentences: dict[str, int] = {}
        names: dict[str, int] = {}
        parts: dict[str, list[NDArray[Any]]] = {name: [] for name in FIELDS}
        for path in paths:
            try:
                with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                    shard = {name: file[name] for name in file.files}
            except (OSError, ValueError, KeyError, BadZipFile) as error:
                raise InvalidDataset(f"{path}: not a whole shard of frames ({error})") from error
            missing = [name for name in FIELDS if name not in shard]
            if missing:
                raise InvalidDataset(
                    f"{path}: without {', '.join(missing)}; expected a shard of this version"
                )
            for column, table in (("sentences", sentences), ("names", names)):
                texts = shard["sentence_table" if column == "sentences" else "name_table"].tolist()
                numbers = np.array([table.setdefault(text, len(table)) for text in texts] or [NOTHING])
                shard[column] = np.where(shard[column] >= 0, numbers[shard[column]], NOTHING)
            for name in FIELDS:
                parts[name].append(shard[name])
        columns = {name: np.concatenate(arrays) for name, arrays in parts.items()}
        return cls(tuple(sentences), tuple(names), columns)


def frame_count(path: Path) -> int:
    """How many frames a shard has."""
    with np.load(path) as file:
        return len(file["episodes"])


def shrunk(image: Image, size: int) -> Image:
    """A square picture at another size, bicubic, as the original's processor does it."""
    picture = PillowImage.fromarray(image)
    return np.asarray(picture.resize((size, size), PillowImage.Resampling.BICUBIC), np.uint8)


def _filled(numbers: Sequence[int], length: int) -> NDArray[np.int32]:
    return np.array([*numbers, *[NOTHING] * (length - len(numbers))], np.int32)


def _padded(rows: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    padded = np.zeros((length, *rows.shape[1:]), np.float32)
    padded[: len(rows)] = rows
    return padded
