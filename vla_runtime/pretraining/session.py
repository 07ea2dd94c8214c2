"""One process of a training from nothing, put together from a folder of frames; what it leaves is a checkpoint."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from vla_runtime.actions.openvla_tokenizer import OpenVLATokenizer
from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.models.openvla.checkpoint import load_model
from vla_runtime.models.openvla.configuration import read_json
from vla_runtime.models.openvla.images import ImagePreprocessing
from vla_runtime.models.openvla.model import OpenVLA
from vla_runtime.models.openvla.prompts import PromptTokenizer
from vla_runtime.models.openvla.shards import write_shards
from vla_runtime.models.openvla.small_checkpoint import SmallSize, write_small_checkpoint
from vla_runtime.pretraining.batches import BatchMaker, Classes
from vla_runtime.pretraining.network import TrainedNetwork, Weights
from vla_runtime.pretraining.shards import Frames, frame_count
from vla_runtime.pretraining.trainer import PretrainingRun, Rates, Stretch

KEY = "embedded"  # of the statistics
FRAMES, STATE, BASE, METRICS = "frames", "state", "base", "metrics.jsonl"
FILLERS = [
    "put",
    "the",
    "in",
    "on",
    "pick",
    "up",
    "stack",
    "move",
    "near",
    "correct",
    "from",
    "moving",
    "place",
    "into",
    "a",
    "it",
    "onto",
    "top",
    "of",
    "and",
]

Watch = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Attributes:
        folder: With frames, state and base.
        classes: What can lie on the table.
        size: Of the network.
        rates: How fast to learn.
        weights: Of the losses.
        batch_size: Frames in a step, over all processes.
        instructions: Learnt from each frame of a batch.
        recent_weight: Frames of the newest round are drawn so many times as often.
        save_every: Steps between two states on disk.
        seed: Of weights, and of what is drawn.
        processes: That train together.
    """

    folder: Path
    classes: Classes
    size: SmallSize
    rates: Rates
    weights: Weights
    batch_size: int
    instructions: int
    recent_weight: float
    save_every: int
    seed: int
    processes: int = 1


def train_stretch(
    settings: TrainingSettings, stretch: Stretch, out: Path, rank: int, port: int, watch: Watch
) -> None:
    """Train to the end of a stretch and export the averaged weights.

    Args:
        settings: How.
        stretch: From where to where.
        out: Folder of the checkpoint; written by the first process.
        rank: Number of this process.
        port: On this machine, where the processes meet.
        watch: Shown each step's losses, in the first process.
    """
    torch.set_num_threads(1)
    several = settings.processes > 1
    if several:
        address = f"tcp://127.0.0.1:{port}"
        dist.init_process_group("gloo", init_method=address, rank=rank, world_size=settings.processes)
    session = _Session(settings, rank)
    try:
        session.train(stretch, watch)
        if rank == 0:
            session.export(out)
    finally:
        if several:
            dist.destroy_process_group()


@final
class _Session:
    """Frames, network and optimiser of one process."""

    def __init__(self, settings: TrainingSettings, rank: int) -> None:
        self._settings, self._rank = settings, rank
        self._base = settings.folder / BASE
        frames, self._counts = _frames(settings.folder)
        if not self._base.exists() and rank == 0:
            _write_base(self._base, frames, settings)
        if settings.processes > 1:
            dist.barrier()
        loaded = load_model(self._base, dtype=torch.float32)
        model = loaded.model.train().requires_grad_(requires_grad=True)
        statistics = ActionStatistics.load(self._base / "dataset_statistics.json")
        classes = settings.classes
        torch.manual_seed(settings.seed)
        half = bool(torch.cpu.get_capabilities().get("amx_bf16"))  # elsewhere bf16 is emulated, and slower
        network = TrainedNetwork(model, len(classes.kinds), len(classes.colours), settings.weights, half=half)
        moves = torch.tensor([low < high for low, high in zip(statistics.q01, statistics.q99, strict=True)])
        axis_weights = torch.where(moves, 1.0, settings.weights.constant_axes)
        self._run = PretrainingRun(network, settings.rates, axis_weights, settings.seed)
        self._state = settings.folder / STATE
        if self._state.exists():
            self._run.load(self._state)
        self._maker = _batch_maker(self._base, frames, model, statistics, settings)

    def train(self, stretch: Stretch, watch: Watch) -> None:
        """To the end of a stretch; the state on disk follows."""
        with (self._settings.folder / METRICS).open("a") as metrics:

            def seen(step: int, numbers: Mapping[str, float]) -> bool:
                if self._rank == 0:
                    rounded = {name: round(value, 5) for name, value in numbers.items()}
                    metrics.write(json.dumps({"step": step, **rounded}) + "\n")
                    watch(step, numbers)
                    if step % self._settings.save_every == 0:
                        self._run.save(self._state)
                return True

            self._run.run(self._maker, self._shares(), self._settings.batch_size, stretch, seen)
        if self._rank == 0:
            self._run.save(self._state)

    def export(self, out: Path) -> None:
        """The averaged weights in bf16, with the base's files; whole or not at all."""
        part = out.with_name(out.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for file in self._base.glob("*.json"):
            shutil.copy(file, part / file.name)
        weights = self._run.averaged_model().items()
        write_shards(part, ((name, tensor.to(torch.bfloat16).contiguous()) for name, tensor in weights))
        part.rename(out)

    def _shares(self) -> NDArray[np.float64]:
        """How often each frame is drawn."""
        shares = np.ones(sum(self._counts))
        if len(self._counts) > 1 and self._counts[-1]:
            shares[-self._counts[-1] :] *= self._settings.recent_weight
        return shares / shares.sum()


def _frames(folder: Path) -> tuple[Frames, list[int]]:
    """All frames, and how many each round has."""
    rounds = [sorted(path.glob("shard_*.npz")) for path in sorted((folder / FRAMES).glob("round_*"))]
    counts = [sum(frame_count(path) for path in shards) for shards in rounds]
    return Frames.load([path for shards in rounds for path in shards]), counts


def _batch_maker(
    base: Path, frames: Frames, model: OpenVLA, statistics: ActionStatistics, settings: TrainingSettings
) -> BatchMaker:
    network = model.configuration
    file = base / "preprocessor_config.json"
    return BatchMaker(
        frames,
        PromptTokenizer(base, network),
        OpenVLATokenizer(network.vocab_size, network.action_bins),
        statistics,
        ImagePreprocessing.from_mapping(read_json(file), str(file)),
        settings.classes,
        round(network.patches**0.5),
        network.bare_space_id,
        settings.instructions,
    )


def _write_base(base: Path, frames: Frames, settings: TrainingSettings) -> None:
    """The untrained checkpoint: words that the simulator can say, statistics of the first frames."""
    words = {*settings.classes.kinds, *settings.classes.colours, *FILLERS}
    words |= {word for sentence in frames.sentences for word in sentence.lower().split()}
    part = base.with_name(base.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    write_small_checkpoint(part, words, {KEY: action_statistics(frames)}, settings.size, settings.seed)
    part.rename(base)


def action_statistics(frames: Frames) -> dict[str, Any]:
    """OpenVLA's statistics of the actions of all answers."""
    columns = frames.columns
    there = np.arange(columns["actions"].shape[1]) < columns["answer_count"][:, None]
    actions = columns["actions"][there].astype(np.float64)
    low, high = np.quantile(actions, [0.01, 0.99], axis=0)
    action = {
        "mean": actions.mean(axis=0).tolist(),
        "std": actions.std(axis=0).tolist(),
        "min": actions.min(axis=0).tolist(),
        "max": actions.max(axis=0).tolist(),
        "q01": low.tolist(),
        "q99": high.tolist(),
        "mask": [True] * (actions.shape[1] - 1) + [False],
    }
    episodes = len(np.unique(columns["episodes"]))
    return {"action": action, "num_transitions": len(frames), "num_trajectories": episodes}
