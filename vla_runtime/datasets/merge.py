"""Several data sets into one. Rows get new numbers; videos are copied, or cut out packet by packet, never coded anew."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import av
import pyarrow as pa
import pyarrow.parquet as pq
from av.error import FFmpegError

from vla_runtime.datasets.columns import arrow_array
from vla_runtime.datasets.decoding import frame_times, open_video
from vla_runtime.datasets.features import difference
from vla_runtime.datasets.index import DatasetIndex, Episode, VideoPart, check_usable
from vla_runtime.datasets.moments import Statistics
from vla_runtime.datasets.notes import read_notes
from vla_runtime.datasets.opening import read_index
from vla_runtime.datasets.rebuild import picture_statistics
from vla_runtime.datasets.rows import Rows
from vla_runtime.datasets.staged import ROWS, video_name, write_manifest
from vla_runtime.datasets.totals import is_complete
from vla_runtime.datasets.writer import DatasetWriter
from vla_runtime.errors import InvalidDataset

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Merged:
    """What came of it.

    Attributes:
        episodes: In the new data set.
        left_out: Damaged episodes, and why, a line each.
    """

    episodes: int
    left_out: tuple[str, ...]


def merge(
    sources: Sequence[Path], target: Path, *, skip_damaged: bool = False, progress: Progress | None = None
) -> Merged:
    """Copy all episodes of some data sets into a new one, in order. After an interruption the same call goes on.

    Args:
        sources: v3.0 or v2.1, of the same features and fps.
        target: The new one; not one of the sources.
        skip_damaged: Whether to leave damaged episodes out instead of refusing.
        progress: Is told how many episodes are done, of how many.

    Raises:
        InvalidDataset: They do not go together, or an episode is damaged.
    """
    if target.resolve() in [source.resolve() for source in sources]:
        raise InvalidDataset(f"merge: {target} is a source too; expected another folder for the result")
    indices = [read_index(source, statistics=True) for source in sources]
    for index in indices:
        check_usable(index)
        _check_same(indices[0], index)
    robots = {index.robot_type for index in indices}
    fps, features = int(indices[0].fps), indices[0].own_features
    left_out: list[str] = []
    total, done = sum(len(index.episodes) for index in indices), 0
    with DatasetWriter(target, features, fps, robots.pop() if len(robots) == 1 else None) as writer:
        for index in indices:
            rows, notes = Rows(index.features, index.fps), read_notes(index.folder)
            for episode in index.episodes:
                staging = writer.new_staging(f"merge_{done:06d}")
                try:
                    writer.add(_stage(index, episode, rows, notes.get(episode.number, {}), staging))
                except InvalidDataset as error:
                    shutil.rmtree(staging, ignore_errors=True)
                    if not skip_damaged:
                        raise
                    left_out.append(str(error))
                done += 1
                if progress is not None:
                    progress(done, total)
        return Merged(writer.episodes, tuple(left_out))


def _check_same(first: DatasetIndex, other: DatasetIndex) -> None:
    if other.fps != first.fps:
        raise InvalidDataset(f"merge: {other.folder} has fps {other.fps:g}, {first.folder} has {first.fps:g}")
    found = difference(first.own_features, other.own_features)
    if found:
        raise InvalidDataset(f"merge: {other.folder} differs from {first.folder}: {found}")


def _stage(index: DatasetIndex, episode: Episode, rows: Rows, note: Any, staging: Path) -> Path:
    """An episode of another data set as a staged one."""
    if len(episode.tasks) != 1:
        raise InvalidDataset(
            f"{episode.data}: episode {episode.number} has {len(episode.tasks)} tasks; expected one"
        )
    columns = rows.of(episode)
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    features = index.own_features
    own = {name: feature for name, feature in features.items() if not feature.is_picture}
    table = pa.table(
        {
            name: arrow_array(feature, columns[name] if feature.dtype == "string" else list(columns[name]))
            for name, feature in own.items()
        }
    )
    pq.write_table(table, staging / ROWS)
    pictures = {}
    for name, part in episode.videos.items():
        copy_part(part, episode.length, index.fps, staging / video_name(name))
        pictures[name] = _statistics(episode, name, staging / video_name(name), index.fps)
    kept = {
        key: value for key, value in note.items() if key not in ("token", "staged", "episode_index", "frames")
    }
    write_manifest(
        staging, int(index.fps), episode.length, episode.tasks[0], features, pictures, kept, _token(episode)
    )
    return staging


def _statistics(episode: Episode, name: str, video: Path, fps: float) -> Statistics:
    there = episode.statistics.get(name)
    return dict(there) if there and is_complete(there) else picture_statistics(video, 0, episode.length, fps)


def _token(episode: Episode) -> str:
    """The same for the same episode of the same folder, so that an interrupted merge can go on."""
    name = f"{episode.data.resolve()} {episode.number} {episode.start} {episode.stop}"
    return blake2b(name.encode(), digest_size=8).hexdigest()


def copy_part(part: VideoPart, frames: int, fps: float, target: Path) -> None:
    """Copy an episode's part of a video into a file of its own, without coding it anew.

    Args:
        part: The part.
        frames: How many frames it has.
        fps: Its rate [Hz].
        target: The new file.

    Raises:
        InvalidDataset: It is damaged, or does not begin with a frame that stands alone.
    """
    times = frame_times(part.path)
    if len(times) == frames and abs(part.from_s) < 0.1 / fps:
        shutil.copyfile(part.path, target)
        return
    source = open_video(part.path)
    try:
        with av.open(str(target), "w") as container:
            _copy_packets(source, container, part, fps)
    except FFmpegError as error:
        raise InvalidDataset(f"{part.path}: cannot be copied ({error.strerror})") from error
    finally:
        source.close()
    if len(frame_times(target)) != frames:
        raise InvalidDataset(f"{part.path}: has not {frames} frames from {part.from_s:.3f} s on")


def _copy_packets(source: Any, container: Any, part: VideoPart, fps: float) -> None:
    stream = source.streams.video[0]
    copied = container.add_stream_from_template(
        stream, opaque=True
    )  # without: an encoder named like the decoder
    first: Any = None
    for packet in source.demux(stream):
        inside = packet.pts is not None and -0.5 / fps < float(packet.pts * packet.time_base) - part.from_s
        if not inside or float(packet.pts * packet.time_base) > part.to_s - 0.5 / fps:
            continue
        if first is None:
            if not packet.is_keyframe:
                raise InvalidDataset(f"{part.path}: the frame at {part.from_s:.3f} s does not stand alone")
            first = packet.pts
        packet.pts, packet.dts = packet.pts - first, None if packet.dts is None else packet.dts - first
        packet.stream = copied
        container.mux(packet)
