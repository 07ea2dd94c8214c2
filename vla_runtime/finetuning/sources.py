"""From settings to the sources of a mixture: robots' data sets and image-text data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.errors import ConfigurationError, InvalidStatistics
from vla_runtime.finetuning.augmentation import ImageAugmentation
from vla_runtime.finetuning.conversations import (
    ConversationExamples,
    read_conversations,
    read_hugging_face,
)
from vla_runtime.finetuning.examples import (
    Augmentation,
    ExampleSource,
    FrameExamples,
    Vocabulary,
    check_frames,
)
from vla_runtime.finetuning.recipe import Recipe
from vla_runtime.interfaces import FrameSource
from vla_runtime.models.openvla.configuration import read_json
from vla_runtime.models.openvla.images import EvaluationPath

KINDS = ("robot", "image_text", "huggingface")
STATISTICS_FILE = "dataset_statistics.json"

OpenFrames = Callable[[Path], FrameSource]


@dataclass(frozen=True)
class SourceSettings:
    """One source of a mixture.

    Attributes:
        kind: "robot": a folder of a data set; "image_text": a folder or a JSONL file; "huggingface": a folder or hub id.
        path: Where it is.
        weight: Share of the examples, in any scale.
        statistics: Of a robot's actions: a dataset_statistics.json; None: the one in the data set's folder.
        key: Of the entry in it; None: the only one.
        camera: Of a robot's data set.
        split: Of a Hugging Face data set.
    """

    kind: str
    path: str
    weight: float = 1.0
    statistics: str | None = None
    key: str | None = None
    camera: str = "front"
    split: str = "train"

    def __post_init__(self) -> None:
        """Refuse an unknown kind. Raises ConfigurationError."""
        if self.kind not in KINDS:
            raise ConfigurationError(f"mixture: kind={self.kind}: expected {', '.join(KINDS)}")


@dataclass(frozen=True)
class RobotData:
    """A robot's data set, ready to train on and to be scored.

    Attributes:
        key: Name of its statistics in the exported checkpoint.
        entry: Its statistics as they are in the file.
        statistics: The same, as used.
        training: Examples that are trained on.
        fps: Frames and actions per second [Hz].
        scored: By name, examples whose tokens are scored, and the rows of them.
    """

    key: str
    entry: Mapping[str, Any]
    statistics: ActionStatistics
    training: FrameExamples
    fps: float
    scored: Mapping[str, tuple[FrameExamples, Sequence[int]]]


@dataclass(frozen=True)
class CentreCrop:
    """What an augmented training's pictures are scored and run with: the original's evaluation path without JPEG.

    Attributes:
        size: Side of the result [px].
    """

    size: int

    def apply(self, image: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
        """The middle 90 % of the area; nothing depends on the number."""
        return EvaluationPath(self.size, centre_crop=True, jpeg=False).apply(image)


def open_robot(
    name: str,
    settings: SourceSettings,
    vocabulary: Vocabulary,
    recipe: Recipe,
    seed: int,
    holdout: float,
    score_frames: int,
    open_frames: OpenFrames,
) -> RobotData:
    """Open a data set, check it, and put episodes aside for scoring.

    Args:
        name: In the mixture and in errors.
        settings: Where it is.
        vocabulary: Of the checkpoint.
        recipe: Of the training.
        seed: Of the augmentation, and of which episodes are put aside.
        holdout: Share of episodes that are not trained on; at least one where there are two or more, none at 0.
        score_frames: At most so many frames are scored, of each kind.
        open_frames: Opens a data set's folder.

    Raises:
        InvalidStatistics, InvalidExample, InvalidDataset: In one line.
    """
    frames = open_frames(Path(settings.path))
    key, entry = _statistics(name, settings)
    statistics = ActionStatistics.from_mapping(entry["action"])
    check_frames(name, frames, statistics, settings.camera)
    train, held = put_aside(len(frames.episode_bounds), holdout, seed)
    size = vocabulary.preprocessing.size
    changed: Augmentation | None = ImageAugmentation(size, seed) if recipe.augment else None
    plain: Augmentation | None = CentreCrop(size) if recipe.augment else None

    def examples(episodes: Sequence[int], augmentation: Augmentation | None) -> FrameExamples:
        return FrameExamples(
            name,
            frames,
            episodes,
            vocabulary,
            statistics,
            settings.camera,
            augmentation=augmentation,
            predict_stop=recipe.predict_stop,
        )

    training = examples(train, changed)
    scored = {"train": examples(train, plain)} | ({"held_out": examples(held, plain)} if held else {})
    return RobotData(
        key,
        entry,
        statistics,
        training,
        float(frames.fps),
        {kind: (found, _spread(len(found), score_frames)) for kind, found in scored.items()},
    )


def open_image_text(name: str, settings: SourceSettings, vocabulary: Vocabulary) -> ExampleSource:
    """Open image-text data. Raises InvalidExample in one line."""
    if settings.kind == "image_text":
        found: Any = read_conversations(name, Path(settings.path))
    else:
        found = read_hugging_face(name, settings.path, settings.split)
    return ConversationExamples(name, found, vocabulary)


def put_aside(episodes: int, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Numbers of the episodes to train on, and of those to score only; a function of the seed."""
    if not 0.0 <= share < 1.0:
        raise ConfigurationError(f"holdout={share}: expected a share from 0 to less than 1")
    count = 0 if share == 0.0 or episodes < 2 else min(max(round(share * episodes), 1), episodes - 1)
    order = np.random.default_rng([seed, 2]).permutation(episodes).tolist()
    return sorted(order[count:]), sorted(order[:count])


def _spread(length: int, most: int) -> list[int]:
    """At most so many rows, evenly spread."""
    return np.unique(np.linspace(0, length - 1, min(length, most)).astype(int)).tolist()


def _statistics(name: str, settings: SourceSettings) -> tuple[str, Mapping[str, Any]]:
    """Key and entry of the statistics."""
    path = Path(settings.statistics or Path(settings.path) / STATISTICS_FILE)
    if not path.is_file():
        raise InvalidStatistics(
            f"{name}: no statistics at {path}; expected a {STATISTICS_FILE}, made by scripts/compute_statistics.py"
        )
    sets = read_json(path)
    key = settings.key or (next(iter(sets)) if len(sets) == 1 else None)
    if key not in sets or "action" not in sets[key]:
        asked = "no key is set" if key is None else f"no key {key!r}"
        raise InvalidStatistics(f"{name}: {path}: {asked}; it has {', '.join(sorted(sets)) or 'none'}")
    return key, sets[key]
