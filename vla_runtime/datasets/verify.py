"""Looking a whole data set over: every file, every frame's time, the index, the statistics."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vla_runtime.datasets.decoding import OpenVideo, frame_times
from vla_runtime.datasets.features import Feature
from vla_runtime.datasets.index import DatasetIndex, Episode, VideoPart
from vla_runtime.datasets.index_v3 import read_table
from vla_runtime.datasets.index_writing import STATISTIC_NAMES
from vla_runtime.datasets.layout import STAGING, VERSION, files_under
from vla_runtime.datasets.opening import read_index
from vla_runtime.datasets.rows import Columns, check_episode, columns_of
from vla_runtime.datasets.staged import MANIFEST, is_alive
from vla_runtime.datasets.totals import FRESH, data_files, frames_covered
from vla_runtime.errors import InvalidDataset

SECONDS_OFF = 1e-4  # [s] by which a video frame may lie beside its time: lerobot's tolerance


@dataclass(frozen=True)
class Verified:
    """What was looked at, and what is wrong.

    Attributes:
        episodes, frames, data_files, videos: How many were read.
        wrong: A line for each thing that is wrong; empty when all is well.
        notes: What is worth knowing and not wrong.
    """

    episodes: int
    frames: int
    data_files: int
    videos: int
    wrong: tuple[str, ...]
    notes: tuple[str, ...]


def verify(
    folder: Path, *, deep: bool = False, progress: Callable[[int, int], None] | None = None
) -> Verified:
    """Read every file of a data set.

    Args:
        folder: Of the data set.
        deep: Whether to decode every picture too, not only to count them.
        progress: Is told how many files are done, of how many.
    """
    try:
        index = read_index(folder, statistics=True)
    except InvalidDataset as error:
        return Verified(0, 0, 0, 0, (str(error),), ())
    videos = _videos(index)
    paths = data_files(index)
    wrong: list[str] = []
    inside: dict[Path, list[Episode]] = {}
    for episode in index.episodes:
        inside.setdefault(episode.data, []).append(episode)
    for done, path in enumerate(paths):
        wrong += _data(index, path, inside[path])
        _tell(progress, done + 1, len(paths) + len(videos))
    for done, (path, parts) in enumerate(videos.items()):
        wrong += _video(index, path, parts, deep=deep)
        _tell(progress, len(paths) + done + 1, len(paths) + len(videos))
    wrong += [*_tasks(index), *_totals(index)]
    notes: list[str] = []
    if index.version == VERSION:
        wrong += [*_statistics(index), *_strangers(index, set(paths), videos)]
        notes = _staged(folder)
        covered = frames_covered(folder)
        if FRESH * index.frames <= covered < index.frames:
            notes.append(f"stats.json covers {covered} of {index.frames} frames; repair brings it up to date")
    return Verified(len(index.episodes), index.frames, len(paths), len(videos), tuple(wrong), tuple(notes))


def _data(index: DatasetIndex, path: Path, episodes: Sequence[Episode]) -> Iterator[str]:
    """What is wrong with the data file of some episodes."""
    features = {name: feature for name, feature in index.features.items() if feature.dtype != "video"}
    try:
        table = read_table(path)
        columns = columns_of(table, features, path)
    except InvalidDataset as error:
        yield str(error)
        return
    extra = [name for name in table.column_names if name not in features]
    if extra:
        yield f"{path}: column {', '.join(extra)} is not declared in info.json"
    if table.num_rows != sum(episode.length for episode in episodes):
        yield f"{path}: {table.num_rows} rows; expected {sum(episode.length for episode in episodes)}"
        return
    first = episodes[0].start
    for episode in episodes:
        part = {
            name: values[episode.start - first : episode.stop - first] for name, values in columns.items()
        }
        yield from _episode(index, episode, part, features)


def _episode(
    index: DatasetIndex, episode: Episode, part: Columns, features: Mapping[str, Feature]
) -> Iterator[str]:
    """What is wrong with an episode's rows."""
    try:
        check_episode(episode, part, index.fps)
    except InvalidDataset as error:
        yield str(error)
        return
    if not np.array_equal(part["frame_index"][:, 0], np.arange(episode.length)):
        yield f"{episode.data}: frame_index of episode {episode.number} does not count from 0"
    for name, feature in features.items():
        if feature.dtype.startswith("float") and not np.isfinite(part[name]).all():
            yield f"{episode.data}: {name} of episode {episode.number} has numbers that are not finite"
    used = {index.tasks.get(int(task), "") for task in np.unique(part["task_index"])}
    if used != set(episode.tasks):
        yield f"{episode.data}: episode {episode.number} has the tasks {sorted(used)}; the index says {episode.tasks}"


def _videos(index: DatasetIndex) -> dict[Path, list[VideoPart]]:
    """The parts of each video, in order."""
    found: dict[Path, list[VideoPart]] = {}
    for episode in index.episodes:
        for part in episode.videos.values():
            found.setdefault(part.path, []).append(part)
    return found


def _video(index: DatasetIndex, path: Path, parts: list[VideoPart], *, deep: bool) -> Iterator[str]:
    """What is wrong with a video."""
    expected = round(sum(part.to_s - part.from_s for part in parts) * index.fps)
    try:
        times = frame_times(path)
        if len(times) != expected:
            yield f"{path}: {len(times)} frames; expected {expected}"
        elif np.abs(times - np.arange(expected) / index.fps).max() > SECONDS_OFF:
            yield f"{path}: its frames are not 1/{index.fps:g} s apart, as info.json says"
        elif deep:
            _decode(path, index.fps, expected)
    except InvalidDataset as error:
        yield str(error)


def _decode(path: Path, fps: float, frames: int) -> None:
    video = OpenVideo(path, fps)
    try:
        for number in range(frames):
            video.at(number / fps)
    finally:
        video.close()


def _tasks(index: DatasetIndex) -> Iterator[str]:
    sentences = list(index.tasks.values())
    if any(not sentence.strip() for sentence in sentences):
        yield "tasks: an instruction is empty"
    if len(set(sentences)) != len(sentences):
        yield "tasks: an instruction is there twice"


def _totals(index: DatasetIndex) -> Iterator[str]:
    for name, there in (("total_episodes", len(index.episodes)), ("total_frames", index.frames)):
        if index.info.get(name) != there:
            yield f"info.json: {name} is {index.info.get(name)}; the index has {there}"


def _statistics(index: DatasetIndex) -> Iterator[str]:
    needed = [name for name, feature in index.features.items() if feature.dtype != "string"]
    for episode in index.episodes:
        for name in needed:
            missing = [what for what in STATISTIC_NAMES if episode.statistics.get(name, {}).get(what) is None]
            if missing:
                yield f"index: episode {episode.number} lacks {', '.join(missing)} of {name}"
    covered = frames_covered(index.folder)
    if not FRESH * index.frames <= covered <= index.frames:
        yield f"stats.json: covers {covered} of {index.frames} frames"


def _strangers(index: DatasetIndex, paths: AbstractSet[Path], videos: Mapping[Path, object]) -> Iterator[str]:
    """Files that lerobot would trip over: it reads every data file that it finds."""
    for path in files_under(index.folder / "data", ".parquet").values():
        if path not in paths:
            yield f"{path}: the index does not name it"
    for name in (name for name, feature in index.features.items() if feature.dtype == "video"):
        for path in files_under(index.folder / "videos" / name, ".mp4").values():
            if path not in videos:
                yield f"{path}: the index does not name it"


def _staged(folder: Path) -> list[str]:
    notes = []
    for path in sorted((folder / STAGING).glob("*")):
        if (path / MANIFEST).exists():
            notes.append(f"{STAGING}/{path.name}: finished and not yet added; repair adds it")
        elif path.is_dir():
            state = "is being written" if is_alive(path) else "unfinished; repair removes it"
            notes.append(f"{STAGING}/{path.name}: {state}")
    return notes


def _tell(progress: Callable[[int, int], None] | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)
