"""vla-benchmark verify DIR: run a few episodes again and compare."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from rich.console import Console

from vla_runtime.commands.benchmark_running import Job, forget, play
from vla_runtime.commands.benchmark_settings import compose_benchmark
from vla_runtime.commands.command_line import EXIT_FAILED
from vla_runtime.errors import ConfigurationError, VLARuntimeError
from vla_runtime.evaluation.results_log import Record, read_record
from vla_runtime.evaluation.suites import read_cases
from vla_runtime.lines import first_difference

HELP = """\
vla-benchmark verify DIR: run a few episodes of a benchmark again and compare every outcome and hash.

  vla-benchmark verify results/mine
  vla-benchmark verify results/mine episodes=20 seed=1     other ones, drawn with seed 1

Exit code: 0 when all were the same, 1 when one was not, 2 when something was refused.
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments or "-h" in arguments:
        print(HELP)
        return 0
    folder, count, seed = _parsed(arguments)
    record = read_record(folder)
    finished = [
        (case, result)
        for case, results in record.results.items()
        for result in results
        if result["status"] == "finished"
    ]
    if not finished:
        raise ConfigurationError(f"{folder}: no finished episode; expected at least one")
    overrides = {case: _overrides(record, case) for case in record.results}
    chosen = np.random.default_rng(seed).permutation(len(finished))[:count]
    console = Console()
    same = 0
    try:
        for case, before in (finished[int(index)] for index in sorted(chosen)):
            played = play(Job(case, int(before["seed"]), overrides[case]))
            if played.refused is not None:
                raise VLARuntimeError(played.refused)
            found = _difference(before, played.result)
            same += found is None
            told = "the same" if found is None else f"[red]{found}[/red]"
            console.print(f"  {case}, seed {before['seed']}: {told}", highlight=False)
    finally:
        forget()
    console.print(f"{same} of {len(chosen)} episodes are the same in every outcome and hash", highlight=False)
    return 0 if same == len(chosen) else EXIT_FAILED


def _parsed(arguments: Sequence[str]) -> tuple[Path, int, int]:
    numbers = {"episodes": 5, "seed": 0}
    folders = []
    for argument in arguments:
        key, is_setting, value = argument.partition("=")
        if not is_setting:
            folders.append(Path(argument))
        elif key not in numbers:
            raise ConfigurationError(f"verify: unknown setting {key!r}; known: {', '.join(numbers)}")
        elif not value.isdigit() or (key == "episodes" and int(value) < 1):
            raise ConfigurationError(f"{argument}: expected a whole number")
        else:
            numbers[key] = int(value)
    if len(folders) != 1:
        raise ConfigurationError(f"verify: {len(folders)} folders; expected one: vla-benchmark verify DIR")
    return folders[0], numbers["episodes"], numbers["seed"]


def _overrides(record: Record, case: str) -> tuple[str, ...]:
    """The settings of an episode of a case. Raises ConfigurationError: this version's are not those of the record."""
    config = compose_benchmark(record.overrides)
    cases = read_cases(OmegaConf.to_container(config.suite))  # type: ignore[arg-type]
    there = record.settings["cases"].get(case)
    if case not in cases or list(cases[case].overrides) != there:
        raise ConfigurationError(f"case {case!r} was run with {there}, which is not what its suite says now")
    plain: Any = OmegaConf.to_container(config)
    kept = {name: value for name, value in plain.items() if name in record.settings and name != "cases"}
    found = first_difference({name: record.settings[name] for name in kept}, kept)
    if found is not None:
        name, before, now = found
        raise ConfigurationError(
            f"{name}={now}: the results were made with {name}={before}; expected the version that made them"
        )
    return (*record.overrides, *cases[case].overrides)


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """The first thing that is not the same, in words. What a version has added since is not compared."""
    for name, value in before.items():
        if now.get(name) != value:
            return f"{name} was {value}, is {now.get(name)}"
    return None
