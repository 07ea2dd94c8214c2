"""Reading a data set: any frame at random, or all in sequence."""

import bisect
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from vla_runtime.datasets.decoding import OPEN_VIDEOS, OpenVideos
from vla_runtime.datasets.features import Feature
from vla_runtime.datasets.index import DatasetIndex, Episode, check_usable, feature_of_camera
from vla_runtime.datasets.layout import ACTION, STATE
from vla_runtime.datasets.notes import read_notes
from vla_runtime.datasets.opening import read_index
from vla_runtime.datasets.rows import CACHE_BYTES, Columns, Rows
from vla_runtime.errors import InvalidDataset
from vla_runtime.types import Frame, Image


def open_dataset(
    folder: Path | str, *, open_videos: int = OPEN_VIDEOS, cache_bytes: int = CACHE_BYTES
) -> "LeRobotDataset":
    """Open a LeRobotDataset, v3.0 or v2.1.

    Args:
        folder: The one with `meta/` in it.
        open_videos: How many videos stay open for random access.
        cache_bytes: How much of the rows is kept in memory [bytes].

    Raises:
        InvalidDataset: In one line: empty, incomplete, damaged, an unknown version, an empty instruction, no actions.
    """
    index = read_index(Path(folder).expanduser())
    check_usable(index)
    dataset = LeRobotDataset(index, open_videos, cache_bytes)
    try:
        dataset.check_first_frame()
    except BaseException:
        dataset.close()
        raise
    return dataset


@final
class LeRobotDataset:
    """Frames of a data set, by number. It is an `interfaces.FrameSource`; it may be pickled and forked."""

    def __init__(
        self, index: DatasetIndex, open_videos: int = OPEN_VIDEOS, cache_bytes: int = CACHE_BYTES
    ) -> None:
        """Use `open_dataset`. Args: index: what there is; open_videos, cache_bytes: as there."""
        self.index = index
        self._settings = (open_videos, cache_bytes)
        self._starts = [episode.start for episode in index.episodes]
        self._videos = OpenVideos(index.fps, open_videos)
        self._rows = Rows(index.features, index.fps, cache_bytes)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels without its open files."""
        return LeRobotDataset, (self.index, *self._settings)

    def __enter__(self) -> "LeRobotDataset":
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the open files. They are opened again when they are needed."""
        self._videos.close()

    # ------------------------------------------------------------------------------------------------ what there is

    @property
    def fps(self) -> float:
        """Frames per second [Hz]."""
        return self.index.fps

    @property
    def features(self) -> Mapping[str, Feature]:
        """Its columns and cameras, as info.json declares them."""
        return self.index.features

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras: the part behind `observation.images.`."""
        return tuple(self.index.pictures)

    @property
    def tasks(self) -> tuple[str, ...]:
        """All sentences."""
        return tuple(self.index.tasks.values())

    @property
    def episodes(self) -> Sequence[Episode]:
        """Where each episode lies, and its sentences."""
        return self.index.episodes

    @property
    def episode_bounds(self) -> list[tuple[int, int]]:
        """First frame and one past the last frame of each episode."""
        return [(episode.start, episode.stop) for episode in self.index.episodes]

    @property
    def frames_decoded(self) -> int:
        """How many frames of videos were decoded so far."""
        return self._videos.decoded

    def notes(self) -> list[Mapping[str, Any]]:
        """What our recorder noted of each episode (seed, policy, success); empty where there is nothing."""
        found = read_notes(self.index.folder)
        return [found.get(episode.number, {}) for episode in self.index.episodes]

    def __len__(self) -> int:
        """How many frames."""
        return self.index.frames

    # ------------------------------------------------------------------------------------------------------- frames

    def frame(self, index: int, cameras: Sequence[str] = ()) -> Frame:
        """One frame, with the pictures of these cameras.

        Raises:
            InvalidDataset: An unknown camera, a damaged file, an action that is not finite, no instruction.
        """
        episode = self._episode_at(index)
        return self._frame(episode, self._rows.of(episode), index - episode.start, cameras)

    def stream(self, cameras: Sequence[str] = (), episodes: Sequence[int] | None = None) -> Iterator[Frame]:
        """All frames in sequence, or those of some episodes; each picture is decoded once."""
        for number in range(len(self.index.episodes)) if episodes is None else episodes:
            episode = self.index.episodes[number]
            columns = self._rows.of(episode)
            for step in range(episode.length):
                yield self._frame(episode, columns, step, cameras)

    def actions(self, start: int, stop: int) -> NDArray[np.float64]:
        """The actions of frames start to stop, shape (stop - start, axes), without decoding a picture."""
        return self.column(ACTION, start, stop).astype(np.float64)

    def column(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """The numbers of a column for frames start to stop, shape (stop - start, n).

        Raises:
            InvalidDataset: There is no such column of numbers, or an action is not finite.
        """
        feature = self.features.get(name)
        if feature is None or not feature.is_number:
            numbers = [key for key, known in self.features.items() if known.is_number]
            raise InvalidDataset(
                f"data set {self.index.folder}: no numbers {name!r}; there are {', '.join(numbers)}"
            )
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"frames {start} to {stop}: expected within 0 to {len(self)}")
        parts, at = [np.empty((0, *feature.shape), feature.dtype)], start
        while at < stop:
            episode = self._episode_at(at)
            upto = min(stop, episode.stop)
            values = self._rows.of(episode)[name][at - episode.start : upto - episode.start]
            if name == ACTION:
                _check_finite(episode, values, at - episode.start, feature)
            parts.append(values)
            at = upto
        return np.concatenate(parts)

    def check_first_frame(self) -> None:
        """Read the first frame with all cameras: most of what can be wrong shows there.

        Raises:
            InvalidDataset: In one line.
        """
        self.frame(0, self.cameras)

    def _episode_at(self, index: int) -> Episode:
        if not 0 <= index < len(self):
            raise IndexError(f"frame {index}: expected 0 to {len(self) - 1}")
        return self.index.episodes[bisect.bisect_right(self._starts, index) - 1]

    def _frame(self, episode: Episode, columns: Columns, step: int, cameras: Sequence[str]) -> Frame:
        action = columns[ACTION][step : step + 1]
        _check_finite(episode, action, step, self.features[ACTION])
        state = columns.get(STATE)
        return Frame(
            {camera: self._picture(episode, columns, step, camera) for camera in cameras},
            None if state is None else state[step].astype(np.float64),
            action[0].astype(np.float64),
            self._instruction(episode, int(columns["task_index"][step, 0])),
            episode.number,
            step,
        )

    def _instruction(self, episode: Episode, task: int) -> str:
        sentence = self.index.tasks.get(task, "")
        if not sentence.strip():
            raise InvalidDataset(
                f"data set {self.index.folder}: episode {episode.number} has task {task}, which has no instruction"
            )
        return sentence

    def _picture(self, episode: Episode, columns: Columns, step: int, camera: str) -> Image:
        feature = feature_of_camera(self.index, camera)
        if self.features[feature].dtype == "image":
            return _stored_picture(columns[feature][step], episode, feature)
        part = episode.videos[feature]
        return self._videos.at(part.path, part.from_s + step / self.fps)


def _stored_picture(stored: Any, episode: Episode, feature: str) -> Image:
    """A picture that lies in the data file itself, as PNG or JPEG."""
    try:
        with PillowImage.open(io.BytesIO(stored["bytes"])) as picture:
            return np.asarray(picture.convert("RGB"))
    except (TypeError, KeyError, UnidentifiedImageError, OSError) as error:
        raise InvalidDataset(f"{episode.data}: {feature} holds no picture ({error})") from error


def _check_finite(episode: Episode, actions: NDArray[Any], first: int, feature: Feature) -> None:
    """Refuse an action that is not finite; `first` is the step of the first row."""
    if np.isfinite(actions).all():
        return
    row, axis = (int(at) for at in np.argwhere(~np.isfinite(actions))[0])
    name = feature.names[axis] if isinstance(feature.names, list) and len(feature.names) > axis else axis
    raise InvalidDataset(
        f"{episode.data}: action of episode {episode.number}, frame {first + row}: {name} is {actions[row, axis]}; "
        "expected finite numbers"
    )
