"""Measure what a simulated step costs, beside panda-gym where that is installed.

pip install -e '.[peers]'          # panda-gym, to compare with
python scripts/measure_sim.py
python scripts/measure_sim.py rounds=10 pixels=128 out=results/sim
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from rich.console import Console
from rich.progress import track
from rich.table import Table

from sim.measure import compare_images, measure, own_variants, peer_variants, summary
from vla_runtime.commands.command_line import output_folder, run_command
from vla_runtime.config import compose_config
from vla_runtime.errors import ConfigurationError
from vla_runtime.evaluation.stamp import machine, package_versions
from vla_runtime.recording.files import writable_folder, write_json

PEER, PEER_RENDERED = "panda-gym step", "panda-gym step and render"


@dataclass
class MeasureSettings:
    """The settings of configs/measure_sim.yaml."""

    pixels: int = 224
    rounds: int = 5
    steps: int = 60
    image_episodes: int = 3
    out: str | None = None


ConfigStore.instance().store(name="measure_settings", node=MeasureSettings)


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments:
        print(__doc__)
        return 0
    config = compose_config("measure_sim", arguments)
    for name in ("rounds", "steps", "image_episodes"):
        if config[name] < 1:
            raise ConfigurationError(f"{name}={config[name]}: expected 1 or more")
    folder = writable_folder(output_folder(config.out, "measure_sim"), "out")
    variants = {**own_variants(config.pixels), **peer_variants(config.pixels)}
    rounds = track(
        measure(variants, config.rounds, config.steps), "measuring", total=config.rounds, transient=True
    )
    costs = summary(list(rounds))
    result = {
        "costs": costs,
        "ratios": ratios(costs),
        "differing_pixel_values": compare_images(config.pixels, config.image_episodes),
        "versions": package_versions(),
        "machine": machine(),
    }
    write_json(folder / "result.json", result)
    show(result, config.pixels)
    print(f"results: {folder}")
    return 0


def ratios(costs: dict[str, dict[str, float]]) -> dict[str, float]:
    """What the bars are about."""
    found = {"state-only step over the stepSimulation calls in it": costs["state only"]["cpu_over_physics"]}
    if PEER_RENDERED in costs:
        ours = costs["front camera"]["cpu_ms"]
        found["panda-gym step and render over our step with front camera"] = (
            costs[PEER_RENDERED]["cpu_ms"] / ours
        )
    return found


def show(result: dict, pixels: int) -> None:
    """Print the figures for people."""
    console = Console()
    table = Table(title=f"one step at 5 Hz, {pixels} px (panda-gym: 25 Hz), medians over rounds")
    for column in ("variant", "CPU ms", "wall ms", "steps per CPU-second", "of it physics, CPU ms"):
        table.add_column(column, justify="left" if column == "variant" else "right")
    for name, row in result["costs"].items():
        physics = f"{row['physics_cpu_ms']:.2f}" if "physics_cpu_ms" in row else ""
        table.add_row(
            name, f"{row['cpu_ms']:.2f}", f"{row['wall_ms']:.2f}", f"{row['steps_per_cpu_s']:.0f}", physics
        )
    console.print(table)
    for name, ratio in result["ratios"].items():
        console.print(f"{name}: {ratio:.2f}", highlight=False)
    console.print(
        f"pixel values that differ between cached and uncached background: {result['differing_pixel_values']}"
    )
    if PEER not in result["costs"]:
        console.print(
            "panda-gym is not installed, so there is nothing to compare with: pip install -e '.[peers]'"
        )


if __name__ == "__main__":
    run_command(main)
