"""What a data set's meta folder says: features, sentences, and where each episode lies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vla_runtime.datasets.features import ACTION_DTYPES, DEFAULTS, Feature
from vla_runtime.datasets.layout import ACTION, CAMERA, camera_of
from vla_runtime.errors import InvalidDataset


@dataclass(frozen=True)
class VideoPart:
    """An episode's part of a video.

    Attributes:
        path: The file.
        from_s, to_s: Where it begins and ends in the file [s].
    """

    path: Path
    from_s: float
    to_s: float


@dataclass(frozen=True)
class Episode:
    """Where an episode lies.

    Attributes:
        number: Counts from 0 in the data set.
        start, stop: Its first frame, and one past its last, counted over the whole data set.
        data: The file with its rows.
        videos: By feature.
        tasks: Its sentences.
        statistics: By feature; empty where they were not read.
        index_file: Chunk and file of the index that has its row; None in v2.1.
    """

    number: int
    start: int
    stop: int
    data: Path
    videos: Mapping[str, VideoPart]
    tasks: tuple[str, ...]
    statistics: Mapping[str, Any] = field(default_factory=dict)
    index_file: tuple[int, int] | None = None

    @property
    def length(self) -> int:
        """How many frames."""
        return self.stop - self.start


@dataclass(frozen=True)
class DatasetIndex:
    """All of a data set but its rows and pictures.

    Attributes:
        folder: Where it lies.
        version: Of the format: v3.0 or v2.1.
        fps: Frames per second [Hz].
        features: By name, those that every data set has included.
        tasks: The sentences by `task_index`.
        episodes: In order.
        robot_type: Name of the robot, where it is known.
        info: The whole of info.json.
    """

    folder: Path
    version: str
    fps: float
    features: Mapping[str, Feature]
    tasks: Mapping[int, str]
    episodes: Sequence[Episode]
    robot_type: str | None
    info: Mapping[str, Any]

    @property
    def own_features(self) -> dict[str, Feature]:
        """Without those that every data set has."""
        return {name: feature for name, feature in self.features.items() if name not in DEFAULTS}

    @property
    def frames(self) -> int:
        """How many there are."""
        return self.episodes[-1].stop if self.episodes else 0

    @property
    def pictures(self) -> dict[str, str]:
        """The feature of each camera, by the camera's name."""
        return {camera_of(name): name for name, feature in self.features.items() if feature.is_picture}


def check_usable(index: DatasetIndex) -> None:
    """Refuse what nobody can learn from: no frames, no actions, no sentence.

    Raises:
        InvalidDataset: In one line.
    """
    folder = index.folder
    if not index.episodes or not index.frames:
        raise InvalidDataset(f"data set {folder}: is empty; expected at least one episode")
    action = index.features.get(ACTION)
    if action is None or action.dtype not in ACTION_DTYPES or len(action.shape) != 1:
        raise InvalidDataset(
            f"data set {folder}: feature {ACTION!r} is {action}; expected numbers of shape (n,)"
        )
    for number, task in index.tasks.items():
        if not task.strip():
            raise InvalidDataset(
                f"data set {folder}: the instruction of task {number} is empty; expected a sentence"
            )


def feature_of_camera(index: DatasetIndex, camera: str) -> str:
    """The feature of a camera.

    Raises:
        InvalidDataset: There is no such camera.
    """
    pictures = index.pictures
    name = pictures.get(camera.removeprefix(CAMERA))
    if name is None:
        known = ", ".join(pictures) or "none"
        raise InvalidDataset(f"data set {index.folder}: no camera {camera!r}; its cameras: {known}")
    return name
