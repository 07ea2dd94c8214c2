"""Write an OpenVLA checkpoint with random weights, in the original's layout: for tests and for timing.

    python scripts/make_checkpoint.py out=outputs/tiny
    python scripts/make_checkpoint.py size=7b dtype=bfloat16 out=/data/random-7b

Sizes: tiny (4 million parameters), small, 1gb, 7b (7.5 billion). Its config.json says that nobody trained it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from hydra.core.config_store import ConfigStore
from rich.progress import Progress

from vla_runtime.commands.command_line import output_folder, run_command
from vla_runtime.config import compose_config
from vla_runtime.errors import ConfigurationError
from vla_runtime.models.openvla.random_checkpoint import write_random_checkpoint

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass
class CheckpointSettings:
    """The settings of configs/make_checkpoint.yaml."""

    size: str = "tiny"
    seed: int = 0
    dtype: str = "bfloat16"
    out: str | None = None


ConfigStore.instance().store(name="checkpoint_settings", node=CheckpointSettings)


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments:
        print(__doc__)
        return 0
    config = compose_config("make_checkpoint", arguments)
    if config.dtype not in DTYPES:
        raise ConfigurationError(f"dtype={config.dtype}: expected one of {', '.join(DTYPES)}")
    folder = output_folder(config.out, "make_checkpoint")
    with Progress(transient=True) as bar:
        task = bar.add_task("writing", total=None)
        write_random_checkpoint(
            folder,
            config.size,
            config.seed,
            DTYPES[config.dtype],
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"checkpoint: {folder} ({size / 1e6:.1f} MB, random weights)")
    return 0


if __name__ == "__main__":
    run_command(main)
