"""A finished staged episode: what lies in its folder, and how it is declared finished."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vla_runtime.datasets.columns import as_matrix
from vla_runtime.datasets.durable import sync_file, sync_folder, write_json
from vla_runtime.datasets.features import Feature, features_from_json
from vla_runtime.datasets.locks import is_held
from vla_runtime.datasets.moments import Statistics, of_numbers
from vla_runtime.datasets.video import coding
from vla_runtime.errors import InvalidDataset

MANIFEST, ROWS, LOCK = "staged.json", "rows.parquet", ".episode.lock"
FORMAT = "vla-runtime staged episode 1"


@dataclass(frozen=True)
class StagedEpisode:
    """A finished one, as `DatasetWriter` sees it.

    Attributes:
        folder: Where it lies.
        token: No other episode has it.
        fps: [Hz].
        frames: How many.
        instruction: The sentence.
        features: Of its frames, with the coding of its videos.
        rows: Its columns but those that every data set has.
        statistics: By feature, of this episode.
        note: What is to be remembered of it.
    """

    folder: Path
    token: str
    fps: int
    frames: int
    instruction: str
    features: Mapping[str, Feature]
    rows: pa.Table
    statistics: Mapping[str, Statistics]
    note: Mapping[str, Any]


def read_staged(folder: Path) -> StagedEpisode:
    """A staged episode.

    Raises:
        InvalidDataset: It is unfinished or damaged.
    """
    if not (folder / MANIFEST).is_file():
        raise InvalidDataset(f"episode {folder}: unfinished, {MANIFEST} is missing")
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        features = features_from_json(manifest["features"])
        for name, details in manifest["coding"].items():
            features[name] = Feature(
                features[name].dtype, features[name].shape, features[name].names, details
            )
        with pq.ParquetFile(folder / ROWS) as file:
            rows = file.read()
        numbers = {
            name: as_matrix(rows[name], feature) for name, feature in features.items() if feature.is_number
        }
        statistics = {name: of_numbers(values) for name, values in numbers.items()} | manifest["pictures"]
        if rows.num_rows != manifest["frames"]:
            raise InvalidDataset(f"episode {folder}: {rows.num_rows} rows; expected {manifest['frames']}")
        return StagedEpisode(
            folder,
            manifest["token"],
            manifest["fps"],
            manifest["frames"],
            manifest["instruction"],
            features,
            rows,
            statistics,
            manifest["note"],
        )
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise InvalidDataset(f"episode {folder}: damaged ({error})") from error


def write_manifest(
    folder: Path,
    fps: int,
    frames: int,
    instruction: str,
    features: Mapping[str, Feature],
    pictures: Mapping[str, Statistics],
    note: Mapping[str, Any],
    token: str | None = None,
) -> None:
    """Declare an episode finished, once its rows and videos are on the disk.

    Args:
        folder: Where they lie.
        fps: Its rate [Hz].
        frames: How many it has.
        instruction: Its sentence.
        features: Of its frames.
        pictures: Statistics by camera feature.
        note: What is to be remembered of it.
        token: No other episode has it, so that none is added twice; None: a random one.
    """
    cameras = [name for name, feature in features.items() if feature.dtype == "video"]
    for name in (ROWS, *map(video_name, cameras)):
        sync_file(folder / name)
    content = {
        "format": FORMAT,
        "token": token or secrets.token_hex(8),
        "fps": fps,
        "frames": frames,
        "instruction": instruction,
        "features": {name: feature.as_json() for name, feature in features.items()},
        "coding": {name: coding(folder / video_name(name)) for name in cameras},
        "pictures": pictures,
        "note": dict(note),
    }
    write_json(folder / MANIFEST, content)
    sync_folder(folder.parent)


def is_alive(folder: Path) -> bool:
    """Whether the process that stages an episode there still lives."""
    return is_held(folder / LOCK)


def video_name(feature: str) -> str:
    """The name of a camera's video in a staging folder."""
    return f"{feature}.mp4"
