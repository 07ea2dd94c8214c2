"""Which files the next episode gets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vla_runtime.datasets.index import Episode
from vla_runtime.datasets.layout import after, place_in

Place = tuple[int, int]  # chunk and file


def next_data(episodes: Sequence[Episode]) -> Place:
    """Chunk and file of the next episode's rows."""
    return _next(episodes[-1].data if episodes else None)


def next_video(episodes: Sequence[Episode], feature: str) -> Place:
    """Chunk and file of the next episode's video of a camera."""
    return _next(episodes[-1].videos[feature].path if episodes else None)


def data_path(folder: Path, info: Mapping[str, Any], place: Place) -> Path:
    """The data file at a place."""
    return folder / info["data_path"].format(chunk_index=place[0], file_index=place[1])


def video_path(folder: Path, info: Mapping[str, Any], feature: str, place: Place) -> Path:
    """A camera's video at a place."""
    return folder / info["video_path"].format(video_key=feature, chunk_index=place[0], file_index=place[1])


def next_places(
    folder: Path, info: Mapping[str, Any], episodes: Sequence[Episode]
) -> tuple[Path, dict[str, Path]]:
    """The data file of the next episode, and its videos by feature."""
    videos = [name for name, node in info["features"].items() if node["dtype"] == "video"]
    return data_path(folder, info, next_data(episodes)), {
        name: video_path(folder, info, name, next_video(episodes, name)) for name in videos
    }


def _next(path: Path | None) -> Place:
    place = None if path is None else place_in(path)
    return (0, 0) if place is None else after(*place)
