"""Bringing the index in line with the files: nothing finished is lost, nothing foreign is deleted.

What is no finished episode is moved to `.aside`; only unfinished staging of processes that are dead, and doubles of what is
still staged, are removed.
"""

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vla_runtime.datasets import index_v3, index_writing
from vla_runtime.datasets.durable import sync_folder
from vla_runtime.datasets.index import DatasetIndex, Episode
from vla_runtime.datasets.layout import ASIDE, ROWS_PER_INDEX_FILE, STAGING, VERSION, files_under, place_of
from vla_runtime.datasets.notes import read_notes
from vla_runtime.datasets.opening import read_info
from vla_runtime.datasets.places import next_places
from vla_runtime.datasets.rebuild import Found, rows_from_files
from vla_runtime.datasets.staged import LOCK as STAGING_LOCK
from vla_runtime.datasets.staged import MANIFEST, is_alive
from vla_runtime.errors import InvalidDataset

YOUNG_S = 60.0  # [s] for which a staging folder may be without its lock


@dataclass(frozen=True)
class Recovered:
    """What was done.

    Attributes:
        index: Of the data set as it is now.
        changes: What was changed, a line each.
    """

    index: DatasetIndex
    changes: tuple[str, ...]


def recover(folder: Path, *, thorough: bool = False) -> Recovered:
    """Put a data set in order, for a caller that holds its lock.

    Args:
        folder: Of the data set.
        thorough: Whether every data file is read, not only those that the index does not know.

    Raises:
        InvalidDataset: info.json or an episode in the middle is damaged, or the version is only read.
    """
    info = read_info(folder)
    if info["codebase_version"] != VERSION:
        raise InvalidDataset(
            f"data set {folder}: version {info['codebase_version']} can be read only; expected {VERSION}"
        )
    changes = _remove_unfinished(folder)
    kept, rows_changed = _trusted(folder, info, changes, thorough=thorough)
    changes += _remove_doubles(folder, info, kept)
    known = {episode.data for episode in kept}
    paths = [path for path in files_under(folder / "data", ".parquet").values() if path not in known]
    found = rows_from_files(folder, info, _tasks(folder), kept, paths) if paths else Found()
    changes += [f"index: episode {row['episode_index']} added from its files" for row in found.rows]
    for path, why in found.unused.items():
        changes.append(_aside(folder, path, why))
    if found.rows or rows_changed:
        _write_index(folder, info, kept, found.rows)
        kept = _episodes(folder, info, _all_rows(folder, statistics=False))
    changes += _unknown_videos(folder, info, kept)
    tasks, frames = _tasks(folder) if kept else {}, kept[-1].stop if kept else 0
    if (info["total_episodes"], info["total_frames"], info.get("total_tasks")) != (
        len(kept),
        frames,
        len(tasks),
    ):
        changes.append(
            f"info.json: {len(kept)} episodes with {frames} frames, it said {info['total_episodes']}"
        )
        info = index_writing.write_info(folder, info, len(kept), frames, len(tasks))
    features = index_v3.features_from_json(info["features"])
    fps, robot = float(info["fps"]), info.get("robot_type")
    return Recovered(DatasetIndex(folder, VERSION, fps, features, tasks, kept, robot, info), tuple(changes))


# ---------------------------------------------------------------------------------------------------- the index


def _trusted(
    folder: Path, info: Mapping[str, Any], changes: list[str], *, thorough: bool
) -> tuple[list[Episode], bool]:
    """The leading episodes of the index that have all they need, and whether the index must be written anew."""
    try:
        episodes = _episodes(folder, info, _all_rows(folder, statistics=False))
    except InvalidDataset as error:
        if not thorough:
            raise
        changes.append(f"index: made anew ({error})")
        changes += [_aside(folder, path, "it is made anew") for path in index_v3.index_files(folder)]
        return [], True
    good = _leading(folder, episodes, thorough=thorough)
    if len(good) < len(episodes):
        changes.append(f"index: episodes from {len(good)} on are looked up anew")
    return good, len(good) < len(episodes)


def _leading(folder: Path, episodes: list[Episode], *, thorough: bool) -> list[Episode]:
    """The episodes before the first that lacks something.

    Raises:
        InvalidDataset: Whole episodes follow it, whose frames could not keep their numbers.
    """
    stop = 0
    for number, episode in enumerate(episodes):
        in_order = (episode.number, episode.start) == (number, stop)
        why = lacks(episode, thorough=thorough) if in_order else "it does not follow the one before"
        if why:
            if any(lacks(later, thorough=True) is None for later in episodes[number + 1 :]):
                raise InvalidDataset(
                    f"data set {folder}: episode {number} is damaged ({why}) and whole ones follow it; "
                    f"leave it out: vla-dataset merge {folder} out=NEW skip_damaged=true"
                )
            return episodes[:number]
        stop = episode.stop
    return episodes


def lacks(episode: Episode, *, thorough: bool) -> str | None:
    """What an episode of the index lacks."""
    for path in (episode.data, *(part.path for part in episode.videos.values())):
        if not path.is_file():
            return f"{path} is missing"
    if thorough:
        try:
            index_v3.read_table(episode.data, ["index"])
        except InvalidDataset as error:
            return str(error)
    return None


def _write_index(
    folder: Path, info: Mapping[str, Any], kept: list[Episode], added: list[dict[str, Any]]
) -> None:
    """Write all rows anew: those that are kept as they were, and the added ones."""
    features = index_v3.features_from_json(info["features"])
    schema = index_writing.row_schema(features)
    old = {row["episode_index"]: row for row in _all_rows(folder, statistics=True)}
    rows = [old[episode.number] for episode in kept] + added
    before = index_v3.index_files(folder)
    for at in range(0, len(rows), ROWS_PER_INDEX_FILE):
        index_writing.write_rows(
            folder, place_of(at // ROWS_PER_INDEX_FILE), rows[at : at + ROWS_PER_INDEX_FILE], schema
        )
    for path in before[-(-len(rows) // ROWS_PER_INDEX_FILE) :]:
        path.unlink()  # its rows are in the files before
        sync_folder(path.parent)


def _all_rows(folder: Path, *, statistics: bool) -> list[dict[str, Any]]:
    files = index_v3.index_files(folder)
    return [row for path in files for row in index_v3.read_rows(path, statistics=statistics)]


def _episodes(folder: Path, info: Mapping[str, Any], rows: list[dict[str, Any]]) -> list[Episode]:
    videos = [name for name, node in info["features"].items() if node["dtype"] == "video"]
    return [index_v3.episode_of(folder, info, row, videos) for row in rows]


def _tasks(folder: Path) -> dict[int, str]:
    try:
        return index_v3.read_tasks(folder)
    except InvalidDataset:
        return {}


# ---------------------------------------------------------------------------------------------------- the files


def _remove_unfinished(folder: Path) -> list[str]:
    """Remove unfinished staging of dead processes, and temporary files."""
    changes = []
    for path in sorted((folder / STAGING).glob("*")):
        if path.is_dir() and not (path / MANIFEST).exists() and _is_abandoned(path):
            shutil.rmtree(path, ignore_errors=True)
            changes.append(f"{STAGING}/{path.name}: unfinished, removed")
    for part in ("meta", "data", "videos"):
        for path in (folder / part).rglob(".*.partial"):
            path.unlink()
            changes.append(f"{path.relative_to(folder)}: temporary, removed")
    return changes


def _is_abandoned(path: Path) -> bool:
    if (path / STAGING_LOCK).exists():
        return not is_alive(path)
    return time.clock_gettime(time.CLOCK_REALTIME) - path.stat().st_mtime > YOUNG_S


def _remove_doubles(folder: Path, info: Mapping[str, Any], kept: list[Episode]) -> list[str]:
    """Remove files of an episode that was being added when its process was killed, and that is still staged."""
    note = read_notes(folder).get(len(kept), {})
    if not _is_staged(folder / STAGING / str(note.get("staged")), note.get("token")):
        return []
    data, videos = next_places(folder, info, kept)
    changes = []
    for path in (data, *videos.values()):
        if path.exists():
            path.unlink()
            sync_folder(path.parent)
            changes.append(f"{path.relative_to(folder)}: half added, is still staged, removed")
    return changes


def _is_staged(staged: Path, token: Any) -> bool:
    """Whether the finished episode of a token lies there."""
    try:
        return token is not None and json.loads((staged / MANIFEST).read_text()).get("token") == token
    except (OSError, ValueError):
        return False


def _unknown_videos(folder: Path, info: Mapping[str, Any], kept: list[Episode]) -> list[str]:
    known = {part.path for episode in kept for part in episode.videos.values()}
    changes = []
    for name in (name for name, node in info["features"].items() if node["dtype"] == "video"):
        paths = files_under(folder / "videos" / name, ".mp4").values()
        changes += [_aside(folder, path, "no episode has it") for path in paths if path not in known]
    return changes


def _aside(folder: Path, path: Path, why: str) -> str:
    """Move a file to where it is in nobody's way."""
    relative = path.relative_to(folder)
    target = folder / ASIDE / relative
    number = 0
    while target.exists():
        number += 1
        target = (folder / ASIDE / relative).with_name(f"{relative.stem}.{number}{relative.suffix}")
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)
    sync_folder(path.parent)
    return f"{relative}: moved to {ASIDE} ({why})"
