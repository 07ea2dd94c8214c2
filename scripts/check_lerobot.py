"""An unmodified lerobot 0.4.4, in an environment of its own, reads a data set that was recorded here, and adds to it.

python scripts/check_lerobot.py venv=/somewhere/lerobot
python scripts/check_lerobot.py venv=/somewhere/lerobot dataset=outputs/demos/lerobot

The environment is made there when it is missing (8 GB of downloads: lerobot wants its own torch). Without `dataset`, three
episodes of the expert with two cameras are recorded first. The data set is copied; the original is left alone.
Exit code: 0 when everything compared is equal, else 1.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.config_store import ConfigStore
from rich.console import Console
from rich.table import Table

from vla_runtime.commands import run_episode
from vla_runtime.commands.command_line import EXIT_FAILED, output_folder, run_command
from vla_runtime.config import compose_config
from vla_runtime.datasets import DatasetWriter, EpisodeWriter, LeRobotDataset, open_dataset
from vla_runtime.datasets.merge import merge
from vla_runtime.datasets.repair import repair
from vla_runtime.datasets.verify import verify
from vla_runtime.errors import ConfigurationError
from vla_runtime.evaluation.stamp import machine, package_versions
from vla_runtime.recording.files import writable_folder, write_json

VERSION = "0.4.4"
SIDE = Path(__file__).with_name("lerobot_side.py")
APPENDED = 8  # [frames] of the episode that lerobot adds
LOSSY = 6.0  # [of 255] by which its coding may change a uniform picture
SENTENCE = "appended by lerobot"


@dataclass
class CheckSettings:
    """The settings of configs/check_lerobot.yaml."""

    venv: str | None = None
    dataset: str | None = None
    frames: int = 300
    out: str | None = None


ConfigStore.instance().store(name="check_lerobot_settings", node=CheckSettings)


@dataclass
class Checks:
    """What was compared.

    Attributes:
        rows: What, how many of them, how many differ.
    """

    rows: list[tuple[str, int, int]] = field(default_factory=list)

    def equal(self, what: str, ours: Any, theirs: Any) -> None:
        """Compare arrays along their first axis."""
        ours, theirs = np.asarray(ours), np.asarray(theirs)
        if ours.shape != theirs.shape:
            self.rows.append((f"{what}: shapes {ours.shape} and {theirs.shape}", len(ours), len(ours)))
            return
        differing = (ours != theirs).reshape(len(ours), -1).any(axis=1)
        self.rows.append((what, len(ours), int(differing.sum())))

    def true(self, what: str, *, holds: bool) -> None:
        """One statement."""
        self.rows.append((what, 1, int(not holds)))


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments:
        print(__doc__)
        return 0
    config = compose_config("check_lerobot", arguments)
    if config.venv is None:
        raise ConfigurationError("venv is missing; expected venv=FOLDER, made if it is not there")
    folder = writable_folder(output_folder(config.out, "check_lerobot"), "out")
    python = environment(Path(config.venv).expanduser())
    checks = Checks()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "checked"
        shutil.copytree(source(config, Path(temporary)), root)
        check_reading(checks, python, root, config.frames)
        check_appending(checks, python, root)
        check_foreign(checks, python, Path(temporary) / "created")
    write_json(
        folder / "result.json",
        {"checks": checks.rows, "lerobot": VERSION, "versions": package_versions(), "machine": machine()},
    )
    show(checks)
    print(f"results: {folder}")
    return EXIT_FAILED if any(differing for _, _, differing in checks.rows) else 0


def environment(folder: Path) -> Path:
    """The Python of an environment with lerobot, which is made when it is missing."""
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"making an environment in {folder} ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    wanted = f"import importlib.metadata as m, sys; sys.exit(m.version('lerobot') != '{VERSION}')"
    if subprocess.run([str(python), "-c", wanted], check=False, capture_output=True).returncode:
        print(f"installing lerobot {VERSION} and what it needs (8 GB) ...", flush=True)
        subprocess.run([str(python), "-m", "pip", "install", f"lerobot=={VERSION}"], check=True)
    return python


def source(config: Any, temporary: Path) -> Path:
    """The data set that is checked."""
    if config.dataset is not None:
        return open_dataset(config.dataset).index.folder
    settings = ["recorder=lerobot", "environment=tabletop_wrist", "episodes=3", f"out={temporary / 'run'}"]
    if run_episode.main(settings) != 0:
        raise ConfigurationError("recording the episodes failed; expected a simulator that works")
    return temporary / "run" / "lerobot"


def lerobot(python: Path, *arguments: str) -> Mapping[str, Any]:
    """Run the other side; what it says in its last line."""
    outside = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": "", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [str(python), str(SIDE), *arguments], env=outside, capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        raise ConfigurationError(f"lerobot {arguments[0]} failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def check_reading(checks: Checks, python: Path, root: Path, limit: int) -> None:
    """Compare what lerobot hands out with what our reader does."""
    result = root.with_name("read.npz")
    seen = lerobot(python, "read", str(root), str(result), str(limit))
    with open_dataset(root) as ours, np.load(result) as theirs:
        episodes = len(ours.episodes)
        checks.true(
            "episodes, frames, fps",
            holds=seen == {"episodes": episodes, "frames": len(ours), "fps": ours.fps},
        )
        count = min(limit, len(ours))
        for name, feature in ours.features.items():
            if feature.is_number:
                values = (
                    np.squeeze(ours.column(name, 0, count), 1)
                    if feature.shape == (1,)
                    else ours.column(name, 0, count)
                )
                checks.equal(f"column {name}", values, theirs[f"item/{name}"])
        checks.equal(
            "instructions", [ours.frame(index).instruction for index in range(count)], theirs["tasks"]
        )
        for camera, name in ours.index.pictures.items():
            pictures = np.array([ours.frame(index, [camera]).images[camera] for index in range(count)])
            checks.equal(
                f"pixels {camera}: lerobot and PyAV beside it", theirs[f"pyav/{name}"], theirs[f"item/{name}"]
            )
            checks.equal(f"pixels {camera}: lerobot and our reader", pictures, theirs[f"item/{name}"])
            checks.equal(
                f"data loader's batch, {camera}",
                pictures[: len(theirs[f"batch/{name}"])],
                theirs[f"batch/{name}"],
            )
            if f"window/{name}" in theirs:
                before = np.array([pictures[at] for at in clamped(ours, count, (-1, 0))])
                checks.equal(f"delta_timestamps, {camera} before and now", before, theirs[f"window/{name}"])
        actions = ours.column("action", 0, len(ours))
        checks.equal(
            "delta_timestamps, 3 actions", actions[clamped(ours, count, (0, 1, 2))], theirs["window/action"]
        )
        checks.equal(
            "data loader's batch, action", actions[: len(theirs["batch/action"])], theirs["batch/action"]
        )


def clamped(dataset: LeRobotDataset, count: int, offsets: tuple[int, ...]) -> np.ndarray:
    """Frames at some offsets from each of the first frames, held inside its episode, shape (count, offsets)."""
    rows = [
        [min(max(index + offset, start), stop - 1) for offset in offsets]
        for start, stop in dataset.episode_bounds
        for index in range(start, stop)
    ]
    return np.array(rows[:count])


def check_appending(checks: Checks, python: Path, root: Path) -> None:
    """Lerobot adds an episode, then we do; both read both."""
    with open_dataset(root) as dataset:
        episodes, frames = len(dataset.episodes), len(dataset)
    seen = lerobot(python, "append", str(root), str(APPENDED))
    checks.true("lerobot appends and reads it back", holds=seen["frames"] == frames + APPENDED)
    with open_dataset(root) as dataset:
        added = [dataset.frame(index, dataset.cameras) for index in range(frames, len(dataset))]
        checks.equal(
            "its actions, by our reader", dataset.actions(frames, len(dataset))[:, 0], np.arange(APPENDED)
        )
        checks.equal("its instruction", [frame.instruction for frame in added], [SENTENCE] * APPENDED)
        off = [
            abs(picture.mean() - (10 + 5 * frame.step)) < LOSSY
            for frame in added
            for picture in frame.images.values()
        ]
        checks.equal("its pictures, within its coding's loss", off, [True] * len(off))
        features, fps = dataset.index.own_features, int(dataset.fps)
    found = verify(root, deep=True)
    for line in found.wrong:
        print(line, file=sys.stderr)
    checks.true("our verify after lerobot's append", holds=not found.wrong)
    checks.true("our repair finds nothing to do", holds=repair(root).changes == ())
    append_ourselves(root, features, fps)
    seen = lerobot(python, "count", str(root))
    checks.true(
        "we append after lerobot, lerobot reads it",
        holds=seen["episodes"] == episodes + 2 and seen["frames"] == frames + 2 * APPENDED,
    )
    checks.true("our verify after that", holds=not verify(root, deep=True).wrong)


def check_foreign(checks: Checks, python: Path, root: Path) -> None:
    """A data set that lerobot made: several episodes in one file, its own codec."""
    lerobot(python, "create", str(root), str(APPENDED))
    checks.true("made by lerobot: our verify", holds=not verify(root, deep=True).wrong)
    read_back(checks, "made by lerobot", root)
    for path in (root / "meta/episodes").rglob("*.parquet"):
        path.write_bytes(b"")
    repair(root)
    checks.true("its index lost and made anew: our verify", holds=not verify(root, deep=True).wrong)
    read_back(checks, "its index made anew", root)
    with open_dataset(root) as dataset:
        features, fps = dataset.index.own_features, int(dataset.fps)
    append_ourselves(root, features, fps)
    seen = lerobot(python, "count", str(root))
    checks.true("lerobot reads it after repair and our append", holds=seen["frames"] == 4 * APPENDED)
    merge([root], root.with_name("merged"))
    seen = lerobot(python, "count", str(root.with_name("merged")))
    checks.true("lerobot reads our merge of it", holds=seen["frames"] == 4 * APPENDED)
    read_back(checks, "merged", root.with_name("merged"))


def read_back(checks: Checks, what: str, root: Path) -> None:
    """The first three episodes, as lerobot_side.py recorded them."""
    with open_dataset(root) as dataset:
        frames = [dataset.frame(index, ["front"]) for index in range(3 * APPENDED)]
        steps = np.tile(np.arange(APPENDED), 3)
        checks.equal(f"{what}: actions", [frame.action[0] for frame in frames], steps)
        means = [round(frame.images["front"].mean()) for frame in frames]
        off = np.abs(np.array(means) - (10 + 5 * steps)) < LOSSY
        checks.equal(f"{what}: pictures, within its coding's loss", off, [True] * len(off))


def append_ourselves(root: Path, features: Mapping[str, Any], fps: int) -> None:
    """One more episode by our writer."""
    with DatasetWriter(root, features, fps) as writer:
        episode = EpisodeWriter(writer.new_staging("ours"), features, fps, "appended by us")
        for step in range(APPENDED):
            episode.append(
                {
                    name: np.full(feature.shape, 100, np.uint8)
                    if feature.is_picture
                    else np.full(feature.shape, step, feature.dtype)
                    for name, feature in features.items()
                }
            )
        writer.add(episode.finish())


def show(checks: Checks) -> None:
    """Print the table."""
    table = Table(title=f"a data set recorded here, and lerobot {VERSION}")
    for column in ("compared", "how many", "different"):
        table.add_column(column, justify="left" if column == "compared" else "right")
    for what, count, differing in checks.rows:
        table.add_row(what, str(count), str(differing))
    Console(width=110).print(table)


if __name__ == "__main__":
    run_command(main)
