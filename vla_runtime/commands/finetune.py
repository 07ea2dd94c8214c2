"""vla-finetune: train a checkpoint on recorded episodes, and write it in the original's layout."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.markup import escape

from vla_runtime.commands.command_line import output_folder, run_command
from vla_runtime.commands.decoded_tokens import decoded_tokens
from vla_runtime.commands.training_progress import TrainingProgress
from vla_runtime.config import build_runtime, choices, compose_config
from vla_runtime.errors import ConfigurationError
from vla_runtime.evaluation.rollout import rollout
from vla_runtime.evaluation.stamp import package_versions
from vla_runtime.recording.files import writable_folder, write_json

HELP = """\
vla-finetune: train a checkpoint on recorded episodes, and write it in the original's layout.

  vla-finetune checkpoint=outputs/tiny dataset=outputs/demos out=outputs/finetuned recipe=tiny steps=300
  vla-finetune checkpoint=openvla/openvla-7b dataset=DIR out=DIR steps=5000 recipe.micro_batch_size=4
  torchrun --nproc-per-node 2 scripts/finetune.py checkpoint=DIR dataset=DIR out=DIR

Settings (key=value, in any order):
  checkpoint=DIR    the base: a folder, or a hub id
  dataset=DIR       a LeRobotDataset; more sources with mixture=...: docs/finetuning.md
  statistics=FILE   dataset_statistics.json of it; null: the one in its folder
  out=DIR           new or empty, or a training that was broken off: it goes on
  steps=1000        optimiser steps in all
  recipe=lora       {recipe}; each of its settings can be changed: recipe.learning_rate=1e-4

  vla-finetune --config  prints all settings, as they would be used

In DIR: the checkpoint and its model card; DIR/training: metrics.jsonl, result.json, states to go on from, TensorBoard's files.
Exit code: 0 when it was trained and tested, 2 when something was refused, 130 on Ctrl-C, after saving.
"""
TRACKERS = ("tensorboard", "wandb")


@dataclass
class FinetuneSettings:
    """The settings of configs/finetune.yaml."""

    checkpoint: str | None = None
    dataset: str | None = None
    statistics: str | None = None
    key: str | None = None
    camera: str = "front"
    weight: float = 1.0
    mixture: Any = field(default_factory=dict)
    out: str | None = None
    steps: int = 1000
    seed: int = 0
    holdout: float = 0.1
    mixed_rates: bool = False
    score_frames: int = 128
    score_every: int = 500
    save_every: int = 500
    keep: int = 2
    workers: int = 1
    device: str | None = None
    trackers: list[str] = field(default_factory=lambda: ["tensorboard"])
    decode_frames: int = 16
    closed_loop_episodes: int = 0
    closed_loop: list[str] = field(default_factory=list)
    recipe: Any = None


ConfigStore.instance().store(name="finetune_settings", node=FinetuneSettings)


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments or "-h" in arguments:
        print(HELP.format(recipe=", ".join(choices("recipe"))), end="")
        return 0
    config = compose_config("finetune", [argument for argument in arguments if argument != "--config"])
    if "--config" in arguments:
        print(OmegaConf.to_yaml(config), end="")
        return 0
    _check(config)
    settings = _settings(config)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # workers are forked
    accelerator = _accelerator(config, settings)
    console = Console(quiet=not accelerator.is_main_process)
    with TrainingProgress(console, settings.plan.steps) as progress:
        session = _session(config, settings, accelerator, progress)
        _announce(session, console)
        scores = session.trainer.train()
        session.export_trained(scores, package_versions())
        accelerator.end_training()
    if accelerator.is_main_process:
        _finish(config, session, scores, console)
    return 0


def _check(config: DictConfig) -> None:
    """Refuse what can be refused before anything heavy is imported."""
    for name, wanted in (("checkpoint", "a folder or a hub id"), ("out", "a folder")):
        if config[name] is None:
            raise ConfigurationError(f"{name} is not set: expected {wanted}")
    if config.dataset is None and not config.mixture:
        raise ConfigurationError("dataset is not set: expected the folder of a data set")
    unknown = [tracker for tracker in config.trackers if tracker not in TRACKERS]
    if unknown:
        raise ConfigurationError(f"trackers={unknown[0]}: expected {' or '.join(TRACKERS)}")
    for name, low in (("score_frames", 1), ("decode_frames", 0), ("closed_loop_episodes", 0)):
        if config[name] < low:
            raise ConfigurationError(f"{name}={config[name]}: expected a whole number from {low}")


def _settings(config: DictConfig) -> Any:
    """From YAML to what the package takes."""
    from vla_runtime.finetuning.recipe import Recipe
    from vla_runtime.finetuning.session import SessionSettings
    from vla_runtime.finetuning.sources import SourceSettings
    from vla_runtime.finetuning.trainer import Plan
    from vla_runtime.policies.openvla import checkpoint_folder

    plain: Any = OmegaConf.to_container(config)
    sources = {}
    if config.dataset is not None:
        name = Path(config.dataset).name
        sources[name] = SourceSettings(
            "robot", config.dataset, config.weight, config.statistics, config.key, config.camera
        )
    for name, entry in plain["mixture"].items():
        if name in sources:
            raise ConfigurationError(
                f"mixture.{name}: dataset={config.dataset} has this name; expected another"
            )
        sources[str(name)] = _made(SourceSettings, entry, f"mixture.{name}")
    plan = Plan(config.steps, config.save_every, config.score_every, config.keep, config.workers)
    recipe = _made(Recipe, plain["recipe"], "recipe")
    return SessionSettings(
        checkpoint_folder(config.checkpoint),
        output_folder(config.out, "finetune"),
        sources,
        recipe,
        plan,
        config.seed,
        config.holdout,
        config.score_frames,
        config.mixed_rates,
    )


def _made(kind: Any, entry: Any, where: str) -> Any:
    """A dataclass from its YAML. Raises ConfigurationError for keys that are missing or unknown."""
    known = list(kind.__dataclass_fields__)
    if not isinstance(entry, Mapping) or set(entry) - set(known):
        unknown = ", ".join(sorted(set(entry) - set(known))) if isinstance(entry, Mapping) else repr(entry)
        raise ConfigurationError(f"{where}: unknown {unknown}; known: {', '.join(known)}")
    try:
        return kind(**entry)
    except TypeError as error:
        raise ConfigurationError(f"{where}: {str(error).split('__init__() ')[-1]}") from error


def _accelerator(config: DictConfig, settings: Any) -> Any:
    """Devices and processes; torchrun and accelerate say how many there are."""
    from accelerate import Accelerator

    folder = settings.out / "training"
    try:
        accelerator = Accelerator(
            cpu=config.device == "cpu",
            mixed_precision="bf16" if settings.recipe.bf16 else "no",
            log_with=list(config.trackers) or None,
            project_dir=str(folder),
        )
    except (ImportError, ValueError) as error:
        raise ConfigurationError(f"device={config.device}, trackers={config.trackers}: {error}") from error
    if config.device not in (None, accelerator.device.type):
        raise ConfigurationError(
            f"device={config.device}: not to be had here; there is {accelerator.device.type}"
        )
    return accelerator


def _session(config: DictConfig, settings: Any, accelerator: Any, progress: TrainingProgress) -> Any:
    from vla_runtime.datasets import open_dataset
    from vla_runtime.finetuning.session import Session, Watchers

    def closed_loop(folder: Path, step: int) -> dict[str, float]:
        return _closed_loop(config, folder, settings.out / "training" / "closed_loop")

    watchers = Watchers(
        progress.watch,
        (lambda metrics, step: accelerator.log(dict(metrics), step=step)) if config.trackers else None,
        closed_loop if config.closed_loop_episodes else None,
    )
    session = Session(settings, accelerator, open_dataset, watchers)
    if config.trackers:
        accelerator.init_trackers("vla-finetune")
    return session


def _closed_loop(config: DictConfig, checkpoint: Path, folder: Path) -> dict[str, float]:
    """Success of a checkpoint in the simulator, over episodes with seeds from 0."""
    from vla_runtime.finetuning.model_card import middle_crop

    overrides = ["policy=openvla", f"policy.checkpoint={checkpoint}", f"policy.camera={config.camera}"]
    if config.recipe.augment:
        overrides.append(f"policy.evaluation_path={middle_crop(_size(checkpoint))}")
    runtime = build_runtime(compose_config("run_episode", [*overrides, *config.closed_loop]))
    try:
        results = [
            rollout(runtime, seed, folder / f"episode_{seed:06d}")
            for seed in range(config.closed_loop_episodes)
        ]
    finally:
        runtime.environment.close()
    successes = sum(bool(result["success_at_end"]) for result in results)
    return {"success_rate": successes / len(results), "episodes": len(results)}


def _size(checkpoint: Path) -> int:
    """Side of its pictures [px]."""
    from vla_runtime.models.openvla.configuration import OpenVLAConfiguration

    return OpenVLAConfiguration.load(checkpoint).towers[0].image_size


def _announce(session: Any, console: Console) -> None:
    """What is trained on what, before it starts."""
    for name, source in session.description["sources"].items():
        console.print(
            f"[bold]{escape(name)}[/bold]: {source['examples']} examples, weight {source['weight']:g}",
            highlight=False,
        )
    trained = sum(p.numel() for p in session.trainer.model.parameters() if p.requires_grad)
    whole = sum(p.numel() for p in session.trainer.model.parameters())
    console.print(f"trained: {trained:,} of {whole:,} parameters", highlight=False)
    if session.trainer.step:
        console.print(f"going on at step {session.trainer.step}", highlight=False)


def _finish(config: DictConfig, session: Any, scores: dict[str, Any], console: Console) -> None:
    """Load what was written as a policy, which tests it, and let it decode frames that it was trained on."""
    folder = Path(config.out)
    decoded = decoded_tokens(session, folder, config.decode_frames)
    result = {
        "settings": session.description,
        "scores": scores,
        "decoded": decoded,
        "versions": package_versions(),
    }
    write_json(writable_folder(folder / "training", "out") / "result.json", result)
    for name, found in scores.items():
        if "token_accuracy" in found:
            console.print(
                f"{escape(name)}: token accuracy {100 * found['token_accuracy']:.1f} %, loss {found['loss']:.3f} nats "
                f"({found['frames']} frames)",
                highlight=False,
            )
        else:
            console.print(f"{escape(name)}: {found}", highlight=False)
    console.print(
        f"decoded by the exported policy: token accuracy {100 * decoded['token_accuracy']:.1f} % "
        f"({decoded['frames']} frames trained on); self-test passed"
        if decoded["frames"]
        else "not decoded and not tested as a policy: policies have 7 axes, and no data set here has",
        highlight=False,
    )
    console.print(f"checkpoint: {escape(str(folder))}", highlight=False, soft_wrap=True)


def run() -> None:
    """Entry point of the console command vla-finetune."""
    run_command(main)
