"""The index of LeRobotDataset v2.1: one parquet and one mp4 file per episode, JSON lines for the rest. Read only."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vla_runtime.datasets.features import features_from_json
from vla_runtime.datasets.index import DatasetIndex, Episode, VideoPart
from vla_runtime.datasets.layout import OLD_VERSION
from vla_runtime.errors import InvalidDataset

EPISODES, TASKS = "meta/episodes.jsonl", "meta/tasks.jsonl"


def read_index(folder: Path, info: Mapping[str, Any]) -> DatasetIndex:
    """The index of a v2.1 data set.

    Raises:
        InvalidDataset: Something is missing or damaged.
    """
    features = features_from_json(info["features"])
    videos = [name for name, feature in features.items() if feature.dtype == "video"]
    fps, chunk_size = float(info["fps"]), int(info.get("chunks_size") or 1000)
    episodes: list[Episode] = []
    start = 0
    lines = sorted(read_lines(folder / EPISODES), key=lambda line: line["episode_index"])
    for number, line in enumerate(lines):
        if line["episode_index"] != number:
            raise InvalidDataset(f"{folder / EPISODES}: episode {number} is missing")
        names = {"episode_chunk": number // chunk_size, "episode_index": number}
        end_s = int(line["length"]) / fps
        parts = {
            key: VideoPart(folder / info["video_path"].format(video_key=key, **names), 0.0, end_s)
            for key in videos
        }
        stop = start + int(line["length"])
        data = folder / info["data_path"].format(**names)
        episodes.append(Episode(number, start, stop, data, parts, tuple(line["tasks"])))
        start = stop
    tasks = {int(line["task_index"]): str(line["task"]) for line in read_lines(folder / TASKS)}
    return DatasetIndex(folder, OLD_VERSION, fps, features, tasks, episodes, info.get("robot_type"), info)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of JSON lines.

    Raises:
        InvalidDataset: It is missing, or a line is no JSON.
    """
    try:
        return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    except FileNotFoundError as error:
        raise InvalidDataset(f"{path}: the file is missing") from error
    except (OSError, ValueError) as error:
        raise InvalidDataset(f"{path}: cannot be read as JSON lines ({error})") from error
