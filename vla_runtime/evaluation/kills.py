"""Recording that is killed at random moments: what was reported finished must be there, whole.

A child process records tiny episodes as fast as it can, and reports each one that `DatasetWriter.add` has returned. It gets
SIGKILL at a moment drawn from a seed. Then the data set is repaired, verified with every picture decoded, and every episode
that was ever reported is compared with what it was made from.
"""

import multiprocessing
import os
import re
import select
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vla_runtime.datasets import DatasetWriter, EpisodeWriter, Feature, open_dataset
from vla_runtime.datasets.features import camera_feature
from vla_runtime.datasets.layout import ACTION, ASIDE, CAMERA
from vla_runtime.datasets.repair import repair
from vla_runtime.datasets.verify import verify
from vla_runtime.errors import InvalidDataset

FPS, SIDE = 10, 32  # [Hz], [px]
CAMERAS = tuple(f"{CAMERA}{name}" for name in ("front", "wrist"))
FEATURES = {
    **{name: camera_feature(SIDE, SIDE) for name in CAMERAS},
    ACTION: Feature("float32", (7,), ["x", "y", "z", "roll", "pitch", "yaw", "gripper"]),
}
PATIENCE_S = 60.0  # [s] for a child to begin


@dataclass
class Survey:
    """What all kills came to.

    Attributes:
        kills: So many.
        reported: Episodes that were reported finished.
        unreported: Episodes that are there although the process died before it could report them.
        changes: What repair did, by kind.
        wrong: What must not be: a line each.
    """

    kills: int = 0
    reported: int = 0
    unreported: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def survive(
    folder: Path, kills: int, seed: int, longest_s: float, kills_per_set: int = 10
) -> Iterator[Survey]:
    """Kill and look, again and again; the survey so far after each kill.

    Args:
        folder: For the data sets.
        kills: How many.
        seed: Of the moments.
        longest_s: Within which after its beginning a child is killed [s].
        kills_per_set: After so many a new data set is begun.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    random, survey = np.random.default_rng(seed), Survey()
    known: dict[int, int] = {}
    for kill in range(kills):
        root = folder / f"set_{kill // kills_per_set:03d}"
        if kill % kills_per_set == 0:
            known = {}
        reported = _killed(context, root, 1000 * kill, float(random.uniform(0.0, longest_s)))
        known |= reported
        survey.kills += 1
        survey.reported += len(reported)
        survey.unreported += _look(root, known, survey, f"kill {kill}")
        yield survey


def episode_frames(seed: int) -> Iterator[dict[str, Any]]:
    """The frames of a tiny episode: 2 to 5 of them."""
    random = np.random.default_rng(seed)
    for _ in range(int(random.integers(2, 6))):
        pictures = {name: np.full((SIDE, SIDE, 3), random.integers(0, 256), np.uint8) for name in CAMERAS}
        yield {**pictures, ACTION: random.normal(size=7).astype(np.float32)}


def record_forever(root: Path, first_seed: int, report: int) -> None:
    """The child: record episodes with seeds from `first_seed` on, and write "number seed" to a descriptor after each."""
    os.write(report, b"begun\n")
    with DatasetWriter(root, FEATURES, FPS) as writer:
        for seed in range(first_seed, first_seed + 1000):
            episode = EpisodeWriter(writer.new_staging(f"seed_{seed}"), FEATURES, FPS, f"sentence {seed % 3}")
            for frame in episode_frames(seed):
                episode.append(frame)
            number = writer.add(episode.finish({"seed": seed}))
            os.write(report, f"{number} {seed}\n".encode())


def _killed(context: Any, root: Path, first_seed: int, after_s: float) -> dict[int, int]:
    """Let a child record, and kill it; the seeds of the episodes that it reported, by number."""
    read, write = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(root, first_seed, write), daemon=True)
    child.start()
    write.close()
    if not select.select([read], [], [], PATIENCE_S)[0]:
        raise TimeoutError("the recording process did not begin")
    time.sleep(after_s)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    parts = []
    while part := os.read(read.fileno(), 65536):
        parts.append(part)
    read.close()
    lines = b"".join(parts).decode().splitlines()[1:]
    return {int(number): int(seed) for number, seed in (line.split() for line in lines)}


def _child(root: Path, first_seed: int, write: Any) -> None:
    record_forever(root, first_seed, write.fileno())


def _look(root: Path, known: dict[int, int], survey: Survey, when: str) -> int:
    """Repair and verify, compare what is there with what was reported; how many more there are."""
    if not (root / "meta/info.json").exists():
        survey.wrong += [f"{when}: no data set, {len(known)} episodes were reported"] if known else []
        return 0
    survey.changes.update(re.sub(r"\d+", "N", change.partition(": ")[2]) for change in repair(root).changes)
    if (root / ASIDE).exists():
        survey.wrong.append(f"{when}: something was moved aside")
    try:
        with open_dataset(root) as dataset:
            survey.wrong += [f"{when}: {line}" for line in verify(root, deep=True).wrong]
            notes = dataset.notes()
            for number in range(len(dataset.episodes)):
                seed = int(notes[number].get("seed", -1))
                if known.get(number, seed) != seed or not _equal(dataset, number, seed):
                    survey.wrong.append(
                        f"{when}: episode {number} is not that of seed {known.get(number, seed)}"
                    )
            seeds = [note.get("seed") for note in notes]
            lost = sorted(set(known) - set(range(len(seeds))))
            survey.wrong += [f"{when}: episode {number} is lost" for number in lost]
            survey.wrong += [f"{when}: an episode is there twice"] if len(set(seeds)) != len(seeds) else []
            new = [number for number in range(len(seeds)) if number not in known]
            known |= {number: int(notes[number].get("seed", -1)) for number in new}
            return len(new)
    except InvalidDataset as error:
        if known or "is empty" not in str(error):
            survey.wrong.append(f"{when}: {error}")
        return 0


def _equal(dataset: Any, number: int, seed: int) -> bool:
    """Whether an episode's actions are those of its seed."""
    start, stop = dataset.episode_bounds[number]
    expected = np.array([frame[ACTION] for frame in episode_frames(seed)], np.float64)
    found = dataset.actions(start, stop)
    return found.shape == expected.shape and bool((found == expected).all())
