"""Hold the OpenVLA network against a folder of golden values made by the original.

    python scripts/check_golden.py FOLDER
    python scripts/check_golden.py FOLDER all=true out=DIR     # every quantity, not only the largest errors

The folder holds a checkpoint (config.json, towers.json, model.safetensors) and inputs.safetensors,
outputs.safetensors, expected.json. Exit code 0 only when every quantity is within its tolerance.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.config_store import ConfigStore
from rich.console import Console
from rich.table import Table

from vla_runtime.commands.command_line import EXIT_FAILED, output_folder, run_command
from vla_runtime.config import compose_config
from vla_runtime.errors import ConfigurationError
from vla_runtime.evaluation.parity import Comparison, Golden
from vla_runtime.recording.files import writable_folder, write_json


@dataclass
class GoldenSettings:
    """The settings of configs/check_golden.yaml."""

    all: bool = False
    out: str | None = None


ConfigStore.instance().store(name="golden_settings", node=GoldenSettings)


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments or not arguments:
        print(__doc__)
        return 0 if arguments else EXIT_FAILED
    path, *overrides = arguments
    if "=" in path or not Path(path).is_dir():
        raise ConfigurationError(f"{path}: no such folder; expected a folder of golden values first")
    config = compose_config("check_golden", overrides)
    compared = list(Golden(Path(path)).compare())
    show(compared, everything=config.all)
    failed = [comparison for comparison in compared if not comparison.passed]
    folder = writable_folder(output_folder(config.out, "check_golden"), "out")
    errors = {c.name: {"error": c.error, "tolerance": c.tolerance, "passed": c.passed} for c in compared}
    write_json(folder / "result.json", {"folder": path, "passed": not failed, "quantities": errors})
    print(f"{len(compared) - len(failed)} of {len(compared)} quantities within tolerance; results: {folder}")
    return EXIT_FAILED if failed else 0


def show(compared: list[Comparison], *, everything: bool) -> None:
    """Each quantity's largest error over all cases, or every case."""
    groups: defaultdict[str, list[Comparison]] = defaultdict(list)
    for comparison in compared:
        groups[comparison.name if everything else quantity(comparison.name)].append(comparison)
    table = Table("quantity", "cases", "largest error", "tolerance", "")
    for name, group in groups.items():
        worst = max(group, key=lambda comparison: comparison.error)
        mark = "[green]ok[/green]" if worst.passed else "[red]FAILED[/red]"
        table.add_row(name, str(len(group)), f"{worst.error:.2e}", f"{worst.tolerance:.0e}", mark)
    Console().print(table)


def quantity(name: str) -> str:
    """What is compared, without the case and the data set."""
    return name.split(".", 1)[1] if "grad/" in name else name.rsplit(".", 1)[-1]


if __name__ == "__main__":
    run_command(main)
