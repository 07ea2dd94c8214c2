"""vla-statistics: normalisation statistics of a data set, in the layout of OpenVLA's dataset_statistics.json."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from vla_runtime.actions.dataset_statistics import (
    DatasetStatistics,
    compute_statistics,
    dataset_statistics_file,
)
from vla_runtime.commands.command_line import output_folder, run_command
from vla_runtime.commands.data_sets import as_axis, names_of_axes, opened, states_of, units_of_axes
from vla_runtime.commands.statistics_plot import plot_statistics
from vla_runtime.config import compose_config
from vla_runtime.errors import ConfigurationError
from vla_runtime.recording.files import writable_folder, write_json

HELP = """\
vla-statistics: normalisation statistics of a data set, in the layout of OpenVLA's dataset_statistics.json.

  vla-statistics dataset=FOLDER out=FOLDER
  vla-statistics dataset=FOLDER key=my_robot gripper=6 memory_mb=64

Quantiles are exact and global: of all frames together. Settings: dataset, out, key, gripper (axis that is not
normalised), memory_mb, clipped_share, plots. In out: dataset_statistics.json, dataset_statistics.png.
"""
FILE, PICTURE = "dataset_statistics.json", "dataset_statistics.png"
SMALLEST_MB, LARGEST_MB = 1, 65_536  # [MiB]


@dataclass
class StatisticsSettings:
    """The settings of configs/compute_statistics.yaml."""

    dataset: str | None = None
    out: str | None = None
    key: str | None = None
    gripper: Any = None
    memory_mb: int = 128
    clipped_share: float = 0.05
    plots: bool = True


ConfigStore.instance().store(name="statistics_settings", node=StatisticsSettings)


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments or "-h" in arguments:
        print(HELP, end="")
        return 0
    config = compose_config("compute_statistics", arguments)
    _check(config)
    memory = config.memory_mb * 2**20
    with opened(config.dataset) as source:
        folder = writable_folder(output_folder(config.out, "compute_statistics"), "out")
        names = names_of_axes(source, source.actions(0, 1).shape[1])
        began_s = time.perf_counter()
        with Progress(transient=True) as bar:
            found = compute_statistics(
                source, names, as_axis(config.gripper), memory, _told(bar), states_of(source)
            )
        spent_s = time.perf_counter() - began_s
        key = config.key or Path(config.dataset).resolve().name
        write_json(folder / FILE, dataset_statistics_file({key: found}))
        drawn = config.plots and plot_statistics(
            source, found, units_of_axes(names), memory, folder / PICTURE
        )
    _show(found, units_of_axes(names), config.clipped_share)
    print(f"{found.transitions} frames in {found.trajectories} episodes, {spent_s:.1f} s: {folder / FILE}")
    if config.plots and not drawn:
        print(f"no {PICTURE}: matplotlib is not installed (pip install 'vla-runtime[plots]')")
    return 0


def _check(config: Any) -> None:
    if not SMALLEST_MB <= config.memory_mb <= LARGEST_MB:
        raise ConfigurationError(
            f"memory_mb={config.memory_mb}: expected {SMALLEST_MB} to {LARGEST_MB} [MiB]"
        )
    if not 0.0 < config.clipped_share <= 1.0:
        raise ConfigurationError(f"clipped_share={config.clipped_share}: expected more than 0, up to 1")


def _told(bar: Progress) -> Callable[[int, int], None]:
    task = bar.add_task("reading", total=None)
    return lambda done, total: bar.update(task, completed=done, total=total)


def _show(found: DatasetStatistics, units: tuple[str, ...], clipped_share: float) -> None:
    table = Table(title="actions")
    columns = ("mean", "std", "min", "q01", "q99", "max")
    for title in ("axis", "unit", *columns, "normalised"):
        table.add_column(title, justify="left" if title in ("axis", "unit", "normalised") else "right")
    for axis, name in enumerate(found.axes):
        numbers = (f"{getattr(found.action, column)[axis]:.4g}" for column in columns)
        table.add_row(name, units[axis], *numbers, "yes" if found.mask[axis] else "no")
    console = Console(width=110)
    console.print(table)
    for warning in found.warnings(clipped_share):
        console.print(f"[yellow]warning[/yellow] {warning}", highlight=False, soft_wrap=True)


def run() -> None:
    """Entry point of the console command vla-statistics."""
    run_command(main)
