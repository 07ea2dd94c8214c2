"""Merge a LoRA adapter into a checkpoint, one tensor after another: memory holds a file of 2 GB, never the model.

python scripts/merge_adapter.py checkpoint=outputs/tiny adapter=outputs/finetuned/training/adapter out=outputs/merged
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.config_store import ConfigStore
from rich.progress import Progress

from vla_runtime.commands.command_line import output_folder, run_command
from vla_runtime.config import compose_config
from vla_runtime.errors import ConfigurationError


@dataclass
class MergeSettings:
    """The settings of configs/merge_adapter.yaml."""

    checkpoint: str | None = None
    adapter: str | None = None
    statistics: str | None = None
    out: str | None = None


ConfigStore.instance().store(name="merge_settings", node=MergeSettings)


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments:
        print(__doc__)
        return 0
    config = compose_config("merge_adapter", arguments)
    for name in ("checkpoint", "adapter"):
        if config[name] is None:
            raise ConfigurationError(f"{name} is not set: expected a folder")
    from vla_runtime.finetuning.export import adapter_change, export_checkpoint
    from vla_runtime.models.openvla.configuration import read_json

    base, out = Path(config.checkpoint), output_folder(config.out, "merge_adapter")
    if out.exists() and any(out.iterdir()):
        raise ConfigurationError(f"out={out}: not empty; expected a new or empty folder")
    change = adapter_change(base, Path(config.adapter))
    statistics = read_json(Path(config.statistics)) if config.statistics else None
    with Progress(transient=True) as bar:
        task = bar.add_task("merging", total=None)
        export_checkpoint(
            base,
            out,
            change,
            statistics,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    print(f"checkpoint: {out}")
    return 0


if __name__ == "__main__":
    run_command(main)
