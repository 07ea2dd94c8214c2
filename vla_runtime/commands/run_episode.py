"""vla-run: run simulated episodes in the closed loop and record them."""

import sys
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.markup import escape

from vla_runtime.commands.command_line import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    output_folder,
    run_command,
    user_message,
)
from vla_runtime.commands.progress import EpisodeProgress
from vla_runtime.config import build_runtime, choices, compose_config
from vla_runtime.errors import ConfigurationError
from vla_runtime.evaluation.intervals import wilson_interval
from vla_runtime.evaluation.rollout import Result, Runtime, rollout
from vla_runtime.recording.files import remove_leftovers, writable_folder, write_json
from vla_runtime.scheduling import request_fifo

HELP_GROUPS = ("policy", "task", "environment", "guards", "inference", "clock", "latency", "recorder")
LARGEST_SEED = 2**31 - 1
HELP = """\
vla-run: run simulated episodes in the closed loop and record them.

  vla-run task=place_in seed=3
  vla-run policy=random task=stack episodes=20 out=results/random
  vla-run policy=expert task=pick task.objects=[lemon] environment.control_hz=10

Settings (key=value, in any order):
  policy=embedded   {policy}
  task=place_in     {task}
  environment=...   {environment}
  guards=simulation {guards}
  inference=...     {inference}
  clock=lockstep    {clock}
  latency=fixed     {latency}   (with clock=simulated)
  recorder=files    {recorder}
  seed=0            of the first episode; episode i has seed + i
  episodes=1        how many
  out=DIR           results go here; a new folder under outputs/ by default
  view=false        true opens PyBullet's window, where there is a display

Every other setting of every part:
  vla-run --config  prints them all, as they would be used

In DIR: result.json, guards.jsonl, steps.jsonl, timing.jsonl and episode.mp4; with several episodes a folder for each, and one result.json over all.
DIR/flight holds the last seconds before a stop or a crash; recorder=lerobot makes a data set in DIR/lerobot,
or goes on with the one that is there.
All else of an older run in DIR is written over.
Exit code: 0 when all episodes ran to their end, 1 when one crashed, 2 when something was refused, 130 on Ctrl-C.
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments or "-h" in arguments:
        print(HELP.format(**{group: ", ".join(choices(group)) for group in HELP_GROUPS}), end="")
        return 0
    overrides = [argument for argument in arguments if argument != "--config"]
    config = compose_config("run_episode", overrides)
    _check(config)
    if "--config" in arguments:
        print(OmegaConf.to_yaml(config), end="")
        return 0
    folder = writable_folder(output_folder(config.out, "run_episode"), "out")
    remove_leftovers(folder)
    config.out = str(folder)
    console = Console()
    console.print(
        f"[bold]{config.chosen.policy}[/bold] policy, task [bold]{config.chosen.task}[/bold]", highlight=False
    )
    runtime = build_runtime(config)
    scheduling = request_fifo(config.realtime_priority)
    if config.realtime_priority is not None:
        console.print(f"  {escape(scheduling)}", highlight=False, soft_wrap=True)
    for note in runtime.policy.describe().get("notes", ()):
        console.print(f"  {escape(note)}", highlight=False, soft_wrap=True)
    try:
        return _run(runtime, config, folder, console)
    finally:
        runtime.environment.close()


def _check(config: DictConfig) -> None:
    for name, low, high in (
        ("seed", 0, LARGEST_SEED),
        ("episodes", 1, 1_000_000),
        ("holds_before_stop", 1, 1000),
    ):
        if not low <= config[name] <= high:
            raise ConfigurationError(f"{name}={config[name]}: expected a whole number from {low} to {high}")


def _run(runtime: Runtime, config: DictConfig, folder: Path, console: Console) -> int:
    results: list[Result] = []
    interrupted = latched = False
    with EpisodeProgress(console, config.episodes, runtime.environment.step_limit) as progress:
        try:
            for index in range(config.episodes):
                if runtime.guards.latched is not None and not runtime.acknowledge_stops:
                    latched = not _acknowledged(runtime, progress)
                    if latched:
                        break
                results.append(_episode(runtime, config, index, folder, progress))
        except KeyboardInterrupt:
            interrupted = True
    if config.episodes > 1:
        write_json(folder / "result.json", _summary(runtime, results, config, interrupted=interrupted))
    _print_summary(results, folder, console, interrupted=interrupted)
    if interrupted:
        return EXIT_INTERRUPTED
    if latched:
        console.print(f"[red]stopped[/red]: {escape(str(runtime.guards.latched))}", soft_wrap=True)
    return EXIT_FAILED if latched or any(result["status"] == "crashed" for result in results) else 0


def _acknowledged(runtime: Runtime, progress: EpisodeProgress) -> bool:
    """Whether the operator, asked on the terminal, lets the robot move again after a STOP."""
    if not sys.stdin.isatty():
        return False
    answer = progress.ask(f"stopped: {runtime.guards.latched}. Type reset to go on, anything else to end: ")
    if answer.strip() != "reset":
        return False
    runtime.guards.acknowledge()
    return True


def _episode(
    runtime: Runtime, config: DictConfig, index: int, folder: Path, progress: EpisodeProgress
) -> Result:
    """One episode's result; a crash is a result of its own kind, neither success nor failure."""
    seed = config.seed + index
    episode_folder = folder if config.episodes == 1 else folder / f"episode_{index:06d}"
    try:
        return rollout(runtime, seed, episode_folder, [progress])
    except Exception as error:
        if user_message(error) is not None:
            raise
        result: Result = {"status": "crashed", "seed": seed, "error": f"{type(error).__name__}: {error}"}
        result["traceback"] = traceback.format_exc()
        progress.crashed(result)
        write_json(writable_folder(episode_folder, "out") / "result.json", result)
        return result


def _summary(
    runtime: Runtime, results: list[Result], config: DictConfig, *, interrupted: bool
) -> dict[str, Any]:
    """What the results of several episodes come to."""
    finished = [result for result in results if result["status"] == "finished"]
    return {
        "status": "interrupted" if interrupted else "finished",
        "episodes_asked": config.episodes,
        "episodes_finished": len(finished),
        "episodes_crashed": len(results) - len(finished),
        "success_at_end": _rate([result["success_at_end"] for result in finished]),
        "success_once": _rate([result["success_once"] for result in finished]),
        "wrong_target": _rate([bool(result.get("wrong_target")) for result in finished]),
        "steps": sum(result["steps"] for result in finished),
        "touched_steps": sum(result["touched_steps"] for result in finished),
        "interventions": dict(sum((Counter(result["interventions"]) for result in finished), Counter())),
        "chance_level": finished[0].get("chance_level") if finished else None,
        **runtime.description,
        "episodes": [{k: v for k, v in result.items() if k not in runtime.description} for result in results],
    }


def _rate(hits: list[bool]) -> dict[str, Any]:
    low, high = wilson_interval(sum(hits), len(hits))
    return {"count": sum(hits), "of": len(hits), "wilson_95": [round(low, 4), round(high, 4)]}


def _print_summary(results: list[Result], folder: Path, console: Console, *, interrupted: bool) -> None:
    finished = [result for result in results if result["status"] == "finished"]
    if interrupted:
        console.print(f"[yellow]interrupted[/yellow] after {len(results)} whole episodes")
    if finished:
        rate = _rate([result["success_at_end"] for result in finished])
        low, high = rate["wilson_95"]
        steps = sum(result["steps"] for result in finished)
        touched = sum(result["touched_steps"] for result in finished)
        step_ms = sum(stage["p50"] for stage in finished[-1]["stage_ms"].values())
        console.print(
            f"success at the end: [bold]{rate['count']} of {rate['of']}[/bold] "
            f"(95 % interval {100 * low:.0f} to {100 * high:.0f} %), {steps} steps, {touched} touched by guards, "
            f"{step_ms:.0f} ms a step",
            highlight=False,
            soft_wrap=True,
        )
    if results:
        console.print(f"results: {escape(str(folder))}", highlight=False, soft_wrap=True)


def run() -> None:
    """Entry point of the console command vla-run."""
    run_command(main)
