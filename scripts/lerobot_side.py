"""The side of scripts/check_lerobot.py that runs in lerobot's own environment; it imports nothing of ours.

python lerobot_side.py read ROOT RESULT.npz FRAMES    what an unmodified lerobot hands out, as arrays
python lerobot_side.py append ROOT FRAMES             one more episode, recorded by lerobot
python lerobot_side.py create ROOT FRAMES             a new data set of three episodes, recorded by lerobot
python lerobot_side.py count ROOT                     how many episodes and frames it sees
"""

import importlib
import json
import os
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

SENTENCE = "appended by lerobot"
BATCH = 4  # [frames] of a data loader's batch


def opened(root: str, **settings: Any) -> Any:
    """The data set, as lerobot opens it without the network."""
    module = importlib.import_module("lerobot.datasets.lerobot_dataset")
    return module.LeRobotDataset("local/checked", root=root, video_backend="pyav", **settings)


def bytes_of(picture: Any) -> np.ndarray:
    """Lerobot's picture (3, height, width) in [0, 1] as uint8 (height, width, 3)."""
    scaled = picture.numpy().transpose(1, 2, 0) * 255.0
    assert np.abs(scaled - scaled.round()).max() < 1e-3
    return scaled.round().astype(np.uint8)


def read(root: str, result: str, limit: int) -> None:
    """Everything of the first frames; PyAV's own decode beside it; a window of time; a batch."""
    data = opened(root)
    count, cameras = min(limit, len(data)), list(data.meta.video_keys)
    found: dict[str, list[Any]] = {name: [] for name in data.features}
    tasks = []
    for index in range(count):
        item = data[index]
        tasks.append(item["task"])
        for name in data.features:
            found[name].append(bytes_of(item[name]) if name in cameras else item[name].numpy())
    arrays = {f"item/{name}": np.array(values) for name, values in found.items()}
    arrays |= {f"pyav/{name}": decoded(data, name, count) for name in cameras}
    arrays |= window(root, data, cameras[:1], count)
    loader = importlib.import_module("torch").utils.data.DataLoader(data, batch_size=BATCH, num_workers=2)
    batch = next(iter(loader))
    arrays |= {f"batch/{name}": batch[name].numpy() for name in data.features if name not in cameras}
    arrays |= {f"batch/{name}": np.array([bytes_of(one) for one in batch[name]]) for name in cameras}
    np.savez(result, allow_pickle=False, tasks=np.array(tasks), **arrays)


def decoded(data: Any, camera: str, count: int) -> np.ndarray:
    """The same frames, decoded one after the other by PyAV, torchvision left out."""
    av = importlib.import_module("av")
    pictures: list[np.ndarray] = []
    for episode in range(data.meta.total_episodes):
        row = data.meta.episodes[episode]
        if row["dataset_from_index"] >= count:
            break
        first = round(row[f"videos/{camera}/from_timestamp"] * data.fps)
        with av.open(str(Path(data.root) / data.meta.get_video_file_path(episode, camera))) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        pictures += frames[first : first + row["length"]]
    return np.array(pictures[:count])


def window(root: str, data: Any, cameras: list[str], count: int) -> dict[str, np.ndarray]:
    """Three actions from now on and the picture before: also at the edges of episodes, where there are none."""
    period = float(Fraction(1, int(data.fps)))
    deltas = {"action": [0.0, period, 2 * period], **{name: [-period, 0.0] for name in cameras}}
    windows = opened(root, delta_timestamps=deltas)
    items = [windows[index] for index in range(count)]
    found = {"window/action": np.array([item["action"].numpy() for item in items])}
    found["window/action_is_pad"] = np.array([item["action_is_pad"].numpy() for item in items])
    for name in cameras:
        found[f"window/{name}"] = np.array([[bytes_of(one) for one in item[name]] for item in items])
    return found


def append(root: str, frames: int) -> None:
    """One more episode, as lerobot records it: numbers that count, pictures that get brighter."""
    data = opened(root)
    record(data, frames)
    data.finalize()


def create(root: str, frames: int) -> None:
    """Three episodes in lerobot's own layout: all in one data file, and in one AV1 video for the camera."""
    module = importlib.import_module("lerobot.datasets.lerobot_dataset")
    features = {
        "observation.state": {"dtype": "float32", "shape": (3,), "names": ["a", "b", "c"]},
        "action": {"dtype": "float32", "shape": (7,), "names": None},
        "observation.images.front": {
            "dtype": "video",
            "shape": (96, 128, 3),
            "names": ["height", "width", "channels"],
        },
    }
    data = module.LeRobotDataset.create(
        "local/created", fps=10, features=features, root=root, robot_type="made"
    )
    for _ in range(3):
        record(data, frames)
    data.finalize()


def record(data: Any, frames: int) -> None:
    """One episode: numbers that count, pictures that get brighter."""
    for step in range(frames):
        frame: dict[str, Any] = {"task": SENTENCE}
        for name, feature in data.features.items():
            if name in ("timestamp", "frame_index", "episode_index", "index", "task_index"):
                continue
            if feature["dtype"] == "video":
                frame[name] = np.full(feature["shape"], 10 + 5 * step, np.uint8)
            else:
                frame[name] = np.full(feature["shape"], step, feature["dtype"])
        data.add_frame(frame)
    data.save_episode()


def main(arguments: list[str]) -> None:
    """Do what the first argument says."""
    action, root = arguments[:2]
    if action == "read":
        read(root, arguments[2], int(arguments[3]))
    elif action == "append":
        append(root, int(arguments[2]))
    elif action == "create":
        create(root, int(arguments[2]))
    data = opened(root)
    print(
        json.dumps({"episodes": data.meta.total_episodes, "frames": len(data), "fps": data.fps}), flush=True
    )
    os._exit(0)  # some of lerobot's libraries now and then abort while they end their threads


if __name__ == "__main__":
    main(sys.argv[1:])
