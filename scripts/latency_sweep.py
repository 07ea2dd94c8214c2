"""Success of the scripted expert against inference latency, in simulated time: repeatable to the bit.

python scripts/latency_sweep.py                               # 2 tasks, 8 modes, 6 latencies, 100 episodes each
python scripts/latency_sweep.py episodes=10 latencies_ms=[0,300] modes=[anchored,sync_hold]
python scripts/latency_sweep.py out=DIR                       # goes on with what DIR holds

Modes: pause (the world waits, as most evaluations have it), sync_hold (the robot holds while the policy thinks), naive (a
late chunk is played from its first delta on), drop_late_deltas (its late deltas are dropped), anchored (deltas become
way-points at the observed pose, late way-points are skipped), ensemble (anchored, the newest three averaged). The last two
have a policy that gives one action at a time: single_hold waits for it, single_roll_forward tells it what will be executed
before its own action.
The default guards are on, with one limit widened: observation age, or the modes that wait would be held at once. A contact
above 20 N stops the robot, and the episode is lost.
In DIR: cells.jsonl, one line per point, and sweep.png where matplotlib is installed (pip install -e '.[plots]').
"""

import json
import multiprocessing
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from vla_runtime.commands.command_line import output_folder, run_command
from vla_runtime.config import build_runtime, choices, compose_config
from vla_runtime.errors import ConfigurationError, InvalidRecord
from vla_runtime.evaluation.intervals import wilson_interval
from vla_runtime.evaluation.rollout import rollout
from vla_runtime.recording.files import writable_folder

ASYNCHRONOUS = ["clock=simulated", "inference=asynchronous"]
RAW_DELTAS = [*ASYNCHRONOUS, "inference.replan_after_steps=8"]  # replanning at once makes them worse
MODES = {
    "pause": ["clock=lockstep", "inference=synchronous"],
    "sync_hold": ["clock=simulated", "inference=synchronous"],
    "naive": [*RAW_DELTAS, "inference.alignment=naive"],
    "drop_late_deltas": [*RAW_DELTAS, "inference.alignment=drop_late_deltas"],
    "anchored": ASYNCHRONOUS,
    "ensemble": [*ASYNCHRONOUS, "inference.ensemble_plans=3"],
    "single_hold": ["clock=simulated", "inference=synchronous"],
    "single_roll_forward": [*ASYNCHRONOUS, "inference.alignment=roll_forward"],
}
WIDENED = ["guards.observation_age.max_age_s=2.0"]
SMALL = ["environment.env.cameras.front.width=16", "environment.env.cameras.front.height=16"]
FILE_NAME = "cells.jsonl"
COLOURS = ("#777777", "#d1495b", "#e8a33d", "#b56576", "#1b7f79", "#5fa8d3", "#c9ada7", "#355070")


@dataclass
class SweepSettings:
    """The settings of configs/latency_sweep.yaml."""

    modes: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    episodes: int = 100
    seed: int = 0
    control_hz: int = 10
    chunk_steps: int = 16
    execution_horizon: int = 8
    tray_mps: float = 0.06
    workers: int = 2
    out: str | None = None


ConfigStore.instance().store(name="sweep_settings", node=SweepSettings)


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments:
        print(__doc__)
        return 0
    config = compose_config("latency_sweep", arguments)
    _check(config)
    folder = writable_folder(output_folder(config.out, "latency_sweep"), "out")
    jobs = list(_jobs(config))
    done = _finished(folder / FILE_NAME, jobs)
    todo = [job for job in jobs if _key(job) not in done]
    with Progress(transient=True) as progress, (folder / FILE_NAME).open("a") as file:
        task = progress.add_task("points", total=len(jobs), completed=len(done))
        for cell in _cells(todo, config.workers):
            file.write(json.dumps(cell) + "\n")
            file.flush()
            done[cell["key"]] = cell
            progress.advance(task)
    cells = [done[_key(job)] for job in jobs]
    _show(cells, config)
    digest = blake2b(json.dumps(cells, sort_keys=True).encode(), digest_size=16).hexdigest()
    print(f"digest of all points: {digest}")
    if _plotted(cells, config, folder / "sweep.png"):
        print(f"plot: {folder / 'sweep.png'}")
    print(f"results: {folder}")
    return 0


def _check(config: DictConfig) -> None:
    for name, known in (("modes", list(MODES)), ("tasks", choices("task"))):
        wrong = [value for value in config[name] if value not in known]
        if wrong or not config[name]:
            asked = wrong[0] if wrong else "none"
            raise ConfigurationError(f"{name}: unknown {asked!r}; known: {', '.join(known)}")
    for name in ("episodes", "workers", "chunk_steps", "execution_horizon"):
        if not 1 <= config[name] <= 100_000:
            raise ConfigurationError(f"{name}={config[name]}: expected a whole number from 1 to 100000")
    if not config.latencies_ms or not all(0 <= value <= 10_000 for value in config.latencies_ms):
        raise ConfigurationError(
            f"latencies_ms={list(config.latencies_ms)}: expected numbers from 0 to 10000 [ms]"
        )


def _jobs(config: DictConfig) -> Iterator[dict[str, Any]]:
    """One per point. `pause` hides every latency, so it has one point only."""
    for task in config.tasks:
        for mode in config.modes:
            for latency_ms in config.latencies_ms[:1] if mode == "pause" else config.latencies_ms:
                yield {
                    "task": task,
                    "mode": mode,
                    "latency_ms": float(latency_ms),
                    "seed": config.seed,
                    "episodes": config.episodes,
                    "overrides": _overrides(config, task, mode, latency_ms / 1e3),
                }


def _overrides(config: DictConfig, task: str, mode: str, latency_s: float) -> list[str]:
    single = mode.startswith("single")
    settings = [f"task={task}", "policy=expert", "recorder=none", *SMALL, *WIDENED, *MODES[mode]]
    settings += [f"environment.control_hz={config.control_hz}", f"latency.latency_s={latency_s}"]
    settings.append(f"policy.chunk_steps={1 if single else config.chunk_steps}")
    if "inference=synchronous" in MODES[mode] and not single:
        settings.append(f"inference.execution_horizon={config.execution_horizon}")
    if task == "pick_moving":
        settings.append(f"task.speed_mps={config.tray_mps}")
    return settings


def _key(job: Mapping[str, Any]) -> str:
    """What makes a point what it is."""
    return json.dumps({name: job[name] for name in ("seed", "episodes", "overrides")}, sort_keys=True)


def _finished(file: Path, jobs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Points that an earlier run wrote; its last line may be cut off."""
    if not file.exists():
        return {}
    wanted = {_key(job) for job in jobs}
    lines = file.read_text().splitlines()
    cells = {}
    for number, line in enumerate(lines, start=1):
        try:
            cell = json.loads(line)
        except ValueError as error:
            if number == len(lines):
                file.write_text("".join(f"{whole}\n" for whole in lines[:-1]))
                break
            raise InvalidRecord(f"{file}, line {number}: not JSON ({error})") from error
        if cell["key"] in wanted:
            cells[cell["key"]] = cell
    return cells


def _cells(jobs: list[dict[str, Any]], workers: int) -> Iterator[dict[str, Any]]:
    if workers == 1:
        yield from map(_cell, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_cell, jobs)


def _cell(job: dict[str, Any]) -> dict[str, Any]:
    """One point: all its episodes. Nothing in it depends on the machine."""
    runtime = build_runtime(compose_config("run_episode", job["overrides"]))
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(job["seed"], job["seed"] + job["episodes"]):
            results.append(rollout(runtime, seed, Path(folder) / str(seed)))  # noqa: PERF401 a long line less
    runtime.environment.close()
    steps = sum(result["steps"] for result in results)
    times = sorted(result["simulated_s"] for result in results if result["success_at_end"])
    return {
        "key": _key(job),
        "task": job["task"],
        "mode": job["mode"],
        "latency_ms": job["latency_ms"],
        "episodes": len(results),
        "successes": sum(result["success_at_end"] for result in results),
        "median_success_s": times[len(times) // 2] if times else None,
        "steps": steps,
        "touched_steps": sum(result["touched_steps"] for result in results),
        "missed_deadlines": sum(result["missed_deadlines"] for result in results),
        "late_ticks": sum(result["late_ticks"] for result in results),
        "ended_by_guards": sum(result["ended_by"] == "guard_stop" for result in results),
        "state_hashes": blake2b(
            "".join(result["state_hash"] for result in results).encode(), digest_size=16
        ).hexdigest(),
    }


def _show(cells: list[dict[str, Any]], config: DictConfig) -> None:
    console = Console(width=140)
    for task in config.tasks:
        table = Table(title=f"{task}: successes of {config.episodes} (median time to success, s)")
        table.add_column("mode")
        for latency_ms in config.latencies_ms:
            table.add_column(f"{latency_ms:g} ms", justify="right")
        for mode in config.modes:
            row = {cell["latency_ms"]: cell for cell in cells if (cell["task"], cell["mode"]) == (task, mode)}
            table.add_row(mode, *(_text(row.get(float(latency_ms))) for latency_ms in config.latencies_ms))
        console.print(table)


def _text(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return ""
    time_s = cell["median_success_s"]
    return f"{cell['successes']} ({time_s:.1f})" if time_s is not None else f"{cell['successes']}"


def _plotted(cells: list[dict[str, Any]], config: DictConfig, file: Path) -> bool:
    """Draw the curves with their 95 % intervals; nothing where matplotlib is not installed."""
    try:
        import matplotlib as mpl  # pyright: ignore[reportMissingImports]  the extra "plots"
    except ImportError:
        return False
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # pyright: ignore[reportMissingImports]

    figure, axes = plt.subplots(
        1, len(config.tasks), figsize=(6.4 * len(config.tasks), 4.6), sharey=True, squeeze=False
    )
    for axis, task in zip(axes[0], config.tasks, strict=True):
        for mode, colour in zip(config.modes, COLOURS, strict=False):
            points = [cell for cell in cells if (cell["task"], cell["mode"]) == (task, mode)]
            if mode == "pause":
                points = [{**points[0], "latency_ms": float(value)} for value in config.latencies_ms]
            _curve(axis, points, mode, colour)
        axis.set(
            title=f"{task}, {config.control_hz} Hz, {config.episodes} episodes a point",
            xlabel="inference latency [ms]",
        )
        axis.grid(alpha=0.3)
    axes[0][0].set(ylabel="success at the end [%]", ylim=(-3, 103))
    axes[0][-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    return True


def _curve(axis: Any, points: list[dict[str, Any]], mode: str, colour: str) -> None:
    rates = [100.0 * cell["successes"] / cell["episodes"] for cell in points]
    bounds = [wilson_interval(cell["successes"], cell["episodes"]) for cell in points]
    below = [max(rate - 100.0 * low, 0.0) for rate, (low, _) in zip(rates, bounds, strict=True)]
    above = [max(100.0 * high - rate, 0.0) for rate, (_, high) in zip(rates, bounds, strict=True)]
    style = "--" if mode == "pause" or mode.startswith("single") else "-"
    axis.errorbar(
        [cell["latency_ms"] for cell in points], rates, yerr=[below, above], label=mode, color=colour,
        linestyle=style, marker="o", markersize=4, capsize=2, linewidth=1.6,
    )  # fmt: skip


if __name__ == "__main__":
    run_command(main)
