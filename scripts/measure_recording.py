"""Measure what recording costs: encoding, decoding in sequence and at random, size, on frames of the simulator.

python scripts/measure_recording.py
python scripts/measure_recording.py codecs=[libx264,libsvtav1] groups=[2,10] rounds=5

Frames of the expert's episodes, both cameras. CPU time of this process; medians over rounds, which interleave the codecs.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from hydra.core.config_store import ConfigStore
from rich.console import Console
from rich.progress import track
from rich.table import Table

from vla_runtime.commands.command_line import output_folder, run_command
from vla_runtime.config import build_runtime, compose_config
from vla_runtime.datasets.video import VideoCodec
from vla_runtime.errors import ConfigurationError
from vla_runtime.evaluation.codecs import CodecCost, measure_codec
from vla_runtime.evaluation.rollout import rollout
from vla_runtime.evaluation.stamp import machine, package_versions
from vla_runtime.recording.files import writable_folder, write_json
from vla_runtime.types import EpisodeEnd, Image, Observation, StepRecord


@dataclass
class MeasureRecordingSettings:
    """The settings of configs/measure_recording.yaml."""

    codecs: list[str] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    episodes: int = 4
    rounds: int = 5
    out: str | None = None


ConfigStore.instance().store(name="measure_recording_settings", node=MeasureRecordingSettings)


class Pictures:
    """A recorder that keeps what the cameras saw."""

    def __init__(self) -> None:
        self.seen: dict[str, list[Image]] = {}

    def begin(self, instruction: str, seed: int) -> None:
        """Nothing to do."""

    def record(self, step: StepRecord) -> None:
        """Keep them."""
        for camera, picture in step.observation.images.items():
            self.seen.setdefault(camera, []).append(picture.copy())

    def finish(self, end: EpisodeEnd, observation: Observation, outcome: object) -> None:
        """Nothing to do."""

    def abandon(self) -> None:
        """Nothing to do."""


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments:
        print(__doc__)
        return 0
    config = compose_config("measure_recording", arguments)
    for name in ("episodes", "rounds"):
        if config[name] < 1:
            raise ConfigurationError(f"{name}={config[name]}: expected 1 or more")
    variants = {
        f"{name}, group of {group}": VideoCodec(name, group)
        for name in config.codecs
        for group in config.groups
    }
    if not variants:
        raise ConfigurationError("codecs or groups: empty; expected at least one of each")
    folder = writable_folder(output_folder(config.out, "measure_recording"), "out")
    pictures, fps = simulated(config.episodes)
    costs: dict[str, list[CodecCost]] = {name: [] for name in variants}
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "video.mp4"
        for number in track(range(config.rounds), "measuring", transient=True):
            for name, codec in variants.items():
                costs[name].append(measure_codec(pictures, codec, fps, path, number))
    rows = {name: median(found) for name, found in costs.items()}
    result = {"frames": len(pictures), "codecs": rows, "versions": package_versions(), "machine": machine()}
    write_json(folder / "result.json", result)
    show(rows, len(pictures))
    print(f"results: {folder}")
    return 0


def simulated(episodes: int) -> tuple[list[Image], int]:
    """Pictures of the expert's episodes, one camera after the other, and their rate [Hz]."""
    runtime = build_runtime(compose_config("run_episode", ["recorder=none", "environment=tabletop_wrist"]))
    watcher = Pictures()
    try:
        with tempfile.TemporaryDirectory() as temporary:
            for seed in track(range(episodes), "simulating", transient=True):
                rollout(runtime, seed, Path(temporary) / "episode", [watcher])
    finally:
        runtime.environment.close()
    return [picture for seen in watcher.seen.values() for picture in seen], int(
        runtime.policy.action_spec.control_hz
    )


def median(costs: Sequence[CodecCost]) -> dict[str, float]:
    """Of each figure, over rounds."""
    return {name: float(np.median([asdict(cost)[name] for cost in costs])) for name in asdict(costs[0])}


def show(rows: dict[str, dict[str, float]], frames: int) -> None:
    """Print the table."""
    table = Table(title=f"CPU time of a frame, {frames} frames of the simulator's two cameras")
    for column in (
        "codec",
        "encode, ms",
        "in sequence, ms",
        "at random, ms",
        "random over sequence",
        "decodings",
        "KiB",
        "error",
    ):
        table.add_column(column, justify="left" if column == "codec" else "right")
    for name, row in rows.items():
        ratio = row["random_ms"] / row["sequential_ms"]
        figures = (
            row["encode_ms"],
            row["sequential_ms"],
            row["random_ms"],
            ratio,
            row["decodings"],
            row["kib"],
            row["error"],
        )
        table.add_row(name, *(f"{figure:.2f}" for figure in figures))
    Console(width=130).print(table)


if __name__ == "__main__":
    run_command(main)
