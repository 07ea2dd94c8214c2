"""The embedded VLA from nothing: collect, clone, let it drive and correct it, average, export. One command, resumable."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.utils import instantiate
from omegaconf import OmegaConf

from vla_runtime.commands.command_line import run_command
from vla_runtime.commands.embedded_collecting import SHARE, axes_of, collect_round, round_name
from vla_runtime.commands.embedded_report import report
from vla_runtime.commands.embedded_scoring import score
from vla_runtime.commands.embedded_training import train
from vla_runtime.config import compose_config
from vla_runtime.errors import ConfigurationError


@dataclass
class TrainEmbeddedSettings:
    """The settings of configs/train_embedded.yaml."""

    out: str = "outputs/embedded"
    seed: int = 0
    workers: int = 2
    tasks: dict[str, float] = field(default_factory=dict)
    looks: dict[str, Any] = field(default_factory=dict)
    first_frames: int = 30_000
    round_frames: int = 10_000
    rounds: int = 6
    first_steps: int = 6000
    round_steps: int = 1500
    last_steps: int = 2500
    batch_size: int = 32
    instructions: int = 4
    recent_weight: float = 3.0
    expert_share: float = 0.3
    shard_frames: int = 1000
    save_every: int = 250
    score_episodes: int = 40
    view: bool = False
    task: Any = None
    robot: Any = None
    environment: Any = None
    lessons: Any = None
    driving: Any = None
    size: Any = None
    rates: Any = None
    weights: Any = None
    chosen: Any = None


ConfigStore.instance().store(name="train_embedded_settings", node=TrainEmbeddedSettings)


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments or "-h" in arguments:
        print(__doc__)
        return 0
    config = compose_config("train_embedded", [argument for argument in arguments if argument != "--config"])
    if "--config" in arguments:
        print(OmegaConf.to_yaml(config), end="")
        return 0
    if not _are_shares(list(config.tasks.values())):
        raise ConfigurationError("tasks: expected shares by task, for example tasks.pick=0.5")
    if not _are_shares([look.get(SHARE) for look in config.looks.values()]):
        raise ConfigurationError("looks: expected a share of each, for example looks.usual.share=0.3")
    for look in config.looks.values():
        instantiate(config.environment.env.variation, **axes_of(look))  # refuses unknown levels
    folder = Path(config.out)
    folder.mkdir(parents=True, exist_ok=True)
    overrides = [argument for argument in arguments if argument != "--config"]
    done = 0
    for round_ in range(config.rounds + 1):
        frames = config.first_frames if round_ == 0 else config.round_frames
        driver = None if round_ == 0 else folder / "checkpoints" / round_name(round_ - 1)
        collect_round(config, overrides, folder, round_, frames, driver)
        start, done = done, done + (config.first_steps if round_ == 0 else config.round_steps)
        train(config, folder, round_name(round_), (start, done, False))
        score(config, folder, round_name(round_))
    train(config, folder, "final", (done, done + config.last_steps, True))
    score(config, folder, "final")
    if not report(config, folder, folder / "checkpoints" / "final"):
        print("no training.png: matplotlib is not installed (pip install 'vla-runtime[plots]')")
    print(f"checkpoint: {folder / 'checkpoints' / 'final'}")
    return 0


def _are_shares(values: list[Any]) -> bool:
    numbers = [value for value in values if isinstance(value, int | float)]
    return len(numbers) == len(values) and min(numbers, default=-1) >= 0 and sum(numbers) > 0


def run() -> None:
    """The command's entry point."""
    run_command(main)
