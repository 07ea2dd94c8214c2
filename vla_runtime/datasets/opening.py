"""From a folder to its index: which version it is, and whether it can be read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vla_runtime.datasets import index_v3, index_v21
from vla_runtime.datasets.index import DatasetIndex
from vla_runtime.datasets.layout import INFO, OLD_VERSION, VERSION
from vla_runtime.errors import InvalidDataset

NEEDED = ("codebase_version", "fps", "total_episodes", "total_frames", "data_path", "features")


def read_info(folder: Path) -> dict[str, Any]:
    """The content of info.json.

    Raises:
        InvalidDataset: It is missing, damaged or incomplete, or the version cannot be read.
    """
    path = folder / INFO
    try:
        info = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise InvalidDataset(
            f"data set {folder}: {INFO} is missing; expected the folder of a LeRobotDataset"
        ) from error
    except (OSError, ValueError) as error:
        raise InvalidDataset(f"{path}: cannot be read as JSON ({error})") from error
    missing = [name for name in NEEDED if not isinstance(info, dict) or name not in info]
    if missing:
        raise InvalidDataset(f"{path}: {', '.join(missing)} missing")
    if info["codebase_version"] not in (VERSION, OLD_VERSION):
        raise InvalidDataset(
            f"data set {folder}: version {info['codebase_version']}; expected {VERSION} or {OLD_VERSION} "
            "(lerobot converts older ones)"
        )
    fps = info["fps"]
    if isinstance(fps, bool) or not isinstance(fps, (int, float)) or not fps > 0:
        raise InvalidDataset(f"{path}: fps is {fps!r}; expected a number above 0 [Hz]")
    return info


def read_index(folder: Path, *, statistics: bool = False) -> DatasetIndex:
    """The index of a data set of any version that is read.

    Raises:
        InvalidDataset: In one line.
    """
    info: Mapping[str, Any] = read_info(folder)
    try:
        if info["codebase_version"] == OLD_VERSION:
            return index_v21.read_index(folder, info)
        return index_v3.read_index(folder, info, statistics=statistics)
    except (KeyError, TypeError, IndexError) as error:
        raise InvalidDataset(f"data set {folder}: its index cannot be understood ({error!r})") from error
