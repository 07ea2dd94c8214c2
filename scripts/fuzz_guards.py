"""Send hostile actions through the whole chain of guards, and count limits that are violated at its output.

python scripts/fuzz_guards.py actions=1000000 seed=0
python scripts/fuzz_guards.py actions=20000 guards=lab_slow control_hz=10

Not a number, infinite, denormal, 1e308, sign flips, limit hugging, a new target each tick; stale observations, contacts and
wrong tokens now and then. Two keep-out zones stand in the workspace. In half of the episodes the guard that gives up on a
policy that is corrected all the time (dwell) is told to be patient, or little would get through to be judged.
Exit code: 0 when there was no violation and no exception, else 1.
"""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from vla_runtime.commands.command_line import output_folder, run_command
from vla_runtime.config import build_arm, build_chain, compose_config, guard_settings
from vla_runtime.errors import ConfigurationError
from vla_runtime.evaluation.fuzz import Tally, fuzz
from vla_runtime.evaluation.replay import frozen
from vla_runtime.evaluation.stamp import machine, package_versions
from vla_runtime.recording.files import writable_folder, write_json
from vla_runtime.specs import DELTA_AXES, DELTA_UNITS, ActionSpec

PORTION = 20_000  # [actions] that one worker does at a time
ZONES = {
    "post": {"x_m": [0.55, 0.62], "y_m": [-0.25, -0.15], "z_m": [0.0, 0.35]},
    "shelf": {"x_m": [0.30, 0.70], "y_m": [0.22, 0.40], "z_m": [0.20, 0.30]},
}
PATIENT = {"max_touched_share": 1.0, "max_flips": 10}


@dataclass
class FuzzSettings:
    """The settings of configs/fuzz_guards.yaml."""

    actions: int = 1_000_000
    seed: int = 0
    control_hz: float = 5.0
    speed_mps: float = 0.25
    speed_radps: float = 1.25
    workers: int = 2
    out: str | None = None
    guards: Any = None
    arm: Any = None
    chosen: Any = None


ConfigStore.instance().store(name="fuzz_settings", node=FuzzSettings)


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments:
        print(__doc__)
        return 0
    config = compose_config("fuzz_guards", arguments)
    for name, top in (("actions", 10**9), ("workers", 64)):
        if not 1 <= config[name] <= top:
            raise ConfigurationError(f"{name}={config[name]}: expected a whole number from 1 to {top}")
    folder = writable_folder(output_folder(config.out, "fuzz_guards"), "out")
    spec = _spec(config)
    settings = guard_settings(config, spec, None)
    if "keep_out" in settings["guards"]:
        settings["guards"]["keep_out"]["zones"] = ZONES
    build_chain(settings)  # refuses what makes no sense before anything starts
    console, tally = Console(), Tally()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("judging", total=config.actions)
        for part in _parts(settings, config):
            tally.add(part)
            progress.update(task, completed=tally.actions)
    result = {
        "tally": {
            key: dict(value) if isinstance(value, dict) else value for key, value in vars(tally).items()
        },
        "guards": config.chosen.guards,
        "seed": config.seed,
        "settings": settings,
    }
    write_json(folder / "result.json", {**result, "versions": package_versions(), "machine": machine()})
    _show(tally, console)
    print(f"results: {folder}")
    return 1 if tally.violations or tally.exceptions else 0


def _spec(config: DictConfig) -> ActionSpec:
    step, turn = config.speed_mps / config.control_hz, config.speed_radps / config.control_hz
    low, high = (-step,) * 3 + (-turn,) * 3 + (0.0,), (step,) * 3 + (turn,) * 3 + (1.0,)
    return ActionSpec(DELTA_AXES, DELTA_UNITS, low, high, control_hz=config.control_hz)


def _parts(settings: dict[str, Any], config: DictConfig) -> Iterator[Tally]:
    """Tallies of portions; the same whatever the number of workers."""
    starts = range(0, config.actions, PORTION)
    jobs = [
        (settings, min(PORTION, config.actions - start), config.seed * 1_000_003 + index, index % 2 == 0)
        for index, start in enumerate(starts)
    ]
    if config.workers == 1:
        yield from map(_portion, jobs)
        return
    with ProcessPoolExecutor(config.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_portion, jobs)


def _portion(job: tuple[dict[str, Any], int, int, bool]) -> Tally:
    settings, actions, seed, patient = job
    if patient and "dwell" in settings["guards"]:
        dwell = {**settings["guards"]["dwell"], **PATIENT}
        settings = {**settings, "guards": {**settings["guards"], "dwell": dwell}}
    chain, arm = build_chain(settings), build_arm(settings)
    spec = ActionSpec(**frozen(settings["spec"]))
    tally = Tally()
    for tally in fuzz(chain, arm, spec, actions, seed):  # noqa: B007 the last one counts
        pass
    return tally


def _show(tally: Tally, console: Console) -> None:
    table = Table(title=f"{tally.actions} actions, {tally.executed} of them executed")
    for column in ("limit", "violations", "largest share used"):
        table.add_column(column, justify="left" if column == "limit" else "right")
    for name in sorted({*tally.worst, *tally.violations, "keep-out zone", "finite"}):
        share = f"{100 * tally.worst[name]:.3f} %" if name in tally.worst else ""
        table.add_row(name, str(tally.violations[name]), share)
    console.print(table)
    counts = Table(title="interventions")
    for column in ("guard", "count"):
        counts.add_column(column)
    for name, count in tally.interventions.most_common():
        counts.add_row(name, str(count))
    console.print(counts)
    console.print(f"verdicts: {dict(tally.verdicts)}; guards that raised: {sum(tally.exceptions.values())}")
    console.print(f"violations in all: [bold]{sum(tally.violations.values())}[/bold]")


if __name__ == "__main__":
    run_command(main)
