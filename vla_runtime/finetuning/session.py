"""A whole training, put together from settings; what it needs to know to go on lies in its folder."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from vla_runtime.errors import ConfigurationError, InvalidDataset
from vla_runtime.finetuning.batches import MixedExamples, Split
from vla_runtime.finetuning.collator import Collator
from vla_runtime.finetuning.examples import ExampleSource, Vocabulary
from vla_runtime.finetuning.export import (
    adapter_change,
    export_checkpoint,
    save_adapter,
    weights_change,
)
from vla_runtime.finetuning.mixture import Mixture
from vla_runtime.finetuning.model_card import model_card
from vla_runtime.finetuning.parameters import trainable
from vla_runtime.finetuning.recipe import Recipe
from vla_runtime.finetuning.scores import TokenScores, score
from vla_runtime.finetuning.sources import (
    OpenFrames,
    RobotData,
    SourceSettings,
    open_image_text,
    open_robot,
)
from vla_runtime.finetuning.trainer import Hooks, Plan, StepMetrics, Trainer
from vla_runtime.models.openvla.checkpoint import load_model
from vla_runtime.models.openvla.configuration import OpenVLAConfiguration

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
TRAINING, SETTINGS = "training", "settings.json"
SCORE_BATCH = 16  # [frames] in a pass


@dataclass(frozen=True)
class SessionSettings:
    """What a training is made of.

    Attributes:
        checkpoint: Folder of the base.
        out: The exported checkpoint goes here; states and metrics into its folder "training".
        sources: By name; at least one robot's data set.
        recipe: How.
        plan: How long.
        seed: Of everything that is drawn.
        holdout: Share of episodes that are put aside for scoring.
        score_frames: At most so many frames are scored, of each kind.
        mixed_rates: Whether robots' data sets may have different rates.
    """

    checkpoint: Path
    out: Path
    sources: Mapping[str, SourceSettings]
    recipe: Recipe
    plan: Plan
    seed: int = 0
    holdout: float = 0.1
    score_frames: int = 128
    mixed_rates: bool = False


@dataclass(frozen=True)
class Watchers:
    """Who looks on from outside.

    Attributes:
        watch: Shown the metrics of each step.
        log: For TensorBoard and the like.
        closed_loop: Runs an exported checkpoint in the closed loop, after a step. Called by the first process only.
    """

    watch: Callable[[int, StepMetrics], None] | None = None
    log: Callable[[StepMetrics, int], None] | None = None
    closed_loop: Callable[[Path, int], StepMetrics] | None = None


@final
class Session:
    """Opens and checks everything in its constructor; then trains, scores and exports."""

    def __init__(
        self,
        settings: SessionSettings,
        accelerator: Accelerator,
        open_frames: OpenFrames,
        watchers: Watchers | None = None,
    ) -> None:
        """Everything that can be refused is refused here, the data before the weights are read.

        Args:
            settings: What to train.
            accelerator: Device, processes, precision.
            open_frames: Opens a robot's data set.
            watchers: Who looks on.

        Raises:
            VLARuntimeError: In one line.
        """
        self._settings, self._accelerator = settings, accelerator
        self._watchers = watchers or Watchers()
        recipe, plan = settings.recipe, settings.plan
        micro = recipe.micro_batch_size or max(recipe.batch_size // accelerator.num_processes, 1)
        Split(recipe.batch_size, micro, accelerator.num_processes)
        self.vocabulary = Vocabulary.load(settings.checkpoint)
        self._collator = Collator(OpenVLAConfiguration.load(settings.checkpoint).pad_token_id)
        self.robots, sources = _open_sources(settings, self.vocabulary, open_frames)
        rates = {name: robot.fps for name, robot in self.robots.items()}
        if not settings.mixed_rates:
            _check_rates(rates)
        self.description = _description(settings, sources, rates)
        folder = settings.out / TRAINING
        _check_folder(settings.out, self.description)
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / SETTINGS).write_text(json.dumps(self.description, indent=2) + "\n")
        loaded = load_model(settings.checkpoint, dtype=DTYPES[recipe.dtype])
        self._network = trainable(loaded.model, recipe, settings.seed)
        self._untrained = {  # adapters of layers that never run belong to an adapter too; taken before any sharding
            name: parameter.detach().clone()
            for name, parameter in self._network.named_parameters()
            if ".lora_" in name and not parameter.requires_grad
        }
        weights = [source.weight for source in settings.sources.values()]
        mixture = Mixture([len(source) for source in sources.values()], weights, settings.seed)
        self.trainer = Trainer(
            self._network,
            MixedExamples(list(sources.values()), mixture),
            self._collator,
            recipe,
            plan,
            accelerator,
            folder,
            Hooks(
                self._score,
                self._closed_loop if self._watchers.closed_loop else None,
                self._watchers.watch,
                self._watchers.log,
            ),
        )

    @property
    def augmented(self) -> bool:
        """Whether the model is to be run with the evaluation path's centre crop."""
        return self._settings.recipe.augment

    def export(self, out: Path, weights: Mapping[str, Tensor], card: str | None = None) -> None:
        """Write a whole checkpoint from what was trained; call it in the first process only."""
        base, recipe = self._settings.checkpoint, self._settings.recipe
        if recipe.mode == "lora":
            adapter = self._settings.out / TRAINING / "adapter"
            made: Any = self._network
            save_adapter(adapter, {**self._untrained, **weights}, made.peft_config["default"])
            change = adapter_change(base, adapter)
        else:
            change = weights_change(weights)
        statistics = {robot.key: dict(robot.entry) for robot in self.robots.values()}
        export_checkpoint(base, out, change, statistics, card)

    def export_trained(self, scores: Mapping[str, Any], versions: Mapping[str, Any]) -> None:
        """Write the trained checkpoint with its model card to `out`; every process must call it."""
        weights = self.trainer.weights()
        if self._accelerator.is_main_process:
            size = self.vocabulary.preprocessing.size
            card = model_card(self._settings.checkpoint.name, self.description, scores, versions, size)
            self.export(self._settings.out, weights, card)
        self._accelerator.wait_for_everyone()

    def _score(self, model: nn.Module) -> dict[str, TokenScores]:
        return {
            f"{name}/{kind}": score(
                model,
                examples,
                rows,
                self.vocabulary,
                robot.statistics,
                self._collator,
                self._accelerator,
                SCORE_BATCH,
            )
            for name, robot in self.robots.items()
            for kind, (examples, rows) in robot.scored.items()
        }

    def _closed_loop(self, weights: Mapping[str, Tensor], step: int) -> StepMetrics:
        """Export to a folder of its own, run it, remove it."""
        found: StepMetrics = {}
        if self._accelerator.is_main_process and self._watchers.closed_loop is not None:
            folder = self._settings.out / TRAINING / "closed_loop"
            self.export(folder / "checkpoint", weights)
            found = self._watchers.closed_loop(folder / "checkpoint", step)
        self._accelerator.wait_for_everyone()
        return found


def _open_sources(
    settings: SessionSettings, vocabulary: Vocabulary, open_frames: OpenFrames
) -> tuple[dict[str, RobotData], dict[str, ExampleSource]]:
    robots: dict[str, RobotData] = {}
    sources: dict[str, ExampleSource] = {}
    for name, source in settings.sources.items():
        if source.kind == "robot":
            robots[name] = open_robot(
                name,
                source,
                vocabulary,
                settings.recipe,
                settings.seed,
                settings.holdout,
                settings.score_frames,
                open_frames,
            )
            sources[name] = robots[name].training
        else:
            sources[name] = open_image_text(name, source, vocabulary)
    if not robots:
        raise ConfigurationError(
            "no robot's data set; expected dataset=FOLDER, or one of kind robot in the mixture"
        )
    keys = [robot.key for robot in robots.values()]
    if len(set(keys)) != len(keys):
        raise ConfigurationError(f"statistics of several data sets have the same key: {', '.join(keys)}")
    return robots, sources


def _description(
    settings: SessionSettings, sources: Mapping[str, ExampleSource], rates: Mapping[str, float]
) -> dict[str, Any]:
    """What the course of a training follows from, in plain values."""
    recipe = asdict(settings.recipe)
    return {
        "checkpoint": str(settings.checkpoint),
        "sources": {
            name: {**asdict(settings.sources[name]), "examples": len(source), "fps": rates.get(name)}
            for name, source in sources.items()
        },
        "recipe": recipe,
        "steps": settings.plan.steps,
        "seed": settings.seed,
        "holdout": settings.holdout,
    }


def _check_rates(rates: Mapping[str, float]) -> None:
    """Refuse data sets of different rates: the same delta is another speed there."""
    (first, rate), *others = rates.items()
    for name, other in others:
        if other != rate:
            raise InvalidDataset(
                f"{name}: {other:g} actions per second, {first} has {rate:g}; expected one rate, or mixed_rates=true"
            )


def _check_folder(out: Path, description: Mapping[str, Any]) -> None:
    """A new or empty folder, or one with a training that these settings go on with."""
    if out.exists() and not out.is_dir():
        raise ConfigurationError(f"out={out}: is a file; expected a folder")
    file = out / TRAINING / SETTINGS
    if not file.exists():
        if out.exists() and any(entry.name != TRAINING for entry in out.iterdir()):
            raise ConfigurationError(
                f"out={out}: not empty, and no training that could go on; expected a new or empty folder"
            )
        return
    try:
        before = _decisive(json.loads(file.read_text()))
    except ValueError as error:
        raise ConfigurationError(
            f"{file}: not JSON ({error}); expected the settings of a training"
        ) from error
    now = _decisive(json.loads(json.dumps(description)))
    for key in sorted({*before, *now}):
        if before.get(key) != now.get(key):
            raise ConfigurationError(
                f"out={out}: holds a training with {key} {before.get(key)}, now it is {now.get(key)}; expected the same, or "
                "another folder"
            )


def _decisive(description: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Flat, without what does not change the course: passes, and the number of steps where the rate is constant."""
    flat: dict[str, Any] = {}
    for key, value in description.items():
        if isinstance(value, Mapping):
            flat |= _decisive(value, f"{above}{key}.")
        else:
            flat[f"{above}{key}"] = value
    flat.pop("recipe.micro_batch_size", None)
    flat.pop("recipe.gradient_checkpointing", None)
    if flat.get("recipe.schedule") == "constant":
        flat.pop("steps", None)
    return flat
