"""vla-benchmark: how often a policy succeeds, on a suite of cases, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from vla_runtime.commands import benchmark_compare, benchmark_verify
from vla_runtime.commands.benchmark_reporting import report
from vla_runtime.commands.benchmark_running import run_cases
from vla_runtime.commands.benchmark_settings import compose_benchmark
from vla_runtime.commands.command_line import EXIT_FAILED, EXIT_INTERRUPTED, output_folder, run_command
from vla_runtime.config import choices
from vla_runtime.errors import ConfigurationError
from vla_runtime.evaluation.results_log import ResultsLog, TimingsLog
from vla_runtime.evaluation.stamp import full_stamp
from vla_runtime.evaluation.suites import Case, read_cases
from vla_runtime.recording.files import writable_folder

FIRST_SEED_NOT_FOR_RUNS = 2**29  # from here on seeds belong to what the embedded VLA was made with
HOW_MUCH = ("out", "episodes", "workers", "cases", "films", "executor")  # and where: no episode depends on it
MAY_DIFFER = (*HOW_MUCH, "view", "realtime_priority", "chosen", "suite")
HELP = """\
vla-benchmark: how often a policy succeeds, on a suite of cases, with intervals.

  vla-benchmark suite=place_in policy=expert episodes=20
  vla-benchmark policy=openvla policy.checkpoint=FOLDER out=results/mine
  vla-benchmark cases=[place_in,words] workers=2
  vla-benchmark compare A B           two folders of results, seed by seed
  vla-benchmark verify DIR            run a few episodes again: are they the same?

Settings (key=value, in any order):
  suite=embedded    {suite}
  policy=embedded   {policy}
  guards=simulation {guards}
  out=DIR           results go here; a folder with results of the same settings is gone on with
  seed=0            of the first episode of each case; the others follow
  episodes=null     of each case at most; null: as many as the suite says
  cases=null        names of cases, for example [place_in]; null: all
  workers=null      processes; null: one per core. Results do not depend on it
  executor=processes {executor}; executor=ray executor.address=auto plays on a cluster
  sequential=false  true: a case ends as soon as it is known, with 95 %, whether it meets what is asked of it
  films.failures=3  so many failures and successes of each case have a video in the report (films.successes=1)

Every other setting of every part:  vla-benchmark --config  prints them all.

In DIR: results.jsonl (a line per episode, on disk at once), timings.jsonl, summary.json and report.html, a page that needs no
network. Ctrl-C and a kill lose no finished episode: the same command goes on. An episode that breaks off is an error of its own kind,
neither success nor failure.
Exit code: 0 when everything that the suite asks for was met, 1 when something was not or an episode broke off, 2 when something
was refused, 130 on Ctrl-C.
"""
OTHERS = {"compare": benchmark_compare.main, "verify": benchmark_verify.main}


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if arguments and arguments[0] in OTHERS:
        return OTHERS[arguments[0]](arguments[1:])
    if "--help" in arguments or "-h" in arguments:
        print(
            HELP.format(
                **{group: ", ".join(choices(group)) for group in ("suite", "policy", "guards", "executor")}
            )
        )
        return 0
    overrides = [argument for argument in arguments if argument != "--config"]
    config = compose_benchmark(overrides)
    cases = _chosen_cases(config)
    if "--config" in arguments:
        print(OmegaConf.to_yaml(config), end="")
        return 0
    for case in cases.values():
        compose_benchmark([*overrides, *case.overrides])  # refuses before anything is run
    folder = writable_folder(output_folder(config.out, "benchmark"), "out")
    console = Console()
    console.print(
        f"[bold]{config.chosen.policy}[/bold] policy, suite [bold]{config.chosen.suite}[/bold]: "
        f"{sum(case.episodes for case in cases.values())} episodes of {len(cases)} cases",
        highlight=False,
    )
    told = [override for override in overrides if override.split("=")[0].split(".")[0] not in HOW_MUCH]
    log = ResultsLog(folder, _settings(config, read_cases(_plain(config.suite))), told)
    try:
        run_cases((log, TimingsLog(folder, full_stamp())), cases, overrides, config, folder, console)
    except KeyboardInterrupt:
        report(log, cases, config, folder, console)
        console.print("[yellow]interrupted[/yellow]: the same command goes on")
        return EXIT_INTERRUPTED
    scores = report(log, cases, config, folder, console)
    return EXIT_FAILED if any(score.met is False or score.crashed for score in scores) else 0


def _chosen_cases(config: DictConfig) -> dict[str, Case]:
    """The cases to be run, as long as they are to be."""
    for name, low, high in (
        ("seed", 0, FIRST_SEED_NOT_FOR_RUNS - 1),
        ("episodes", 1, 1_000_000),
        ("workers", 1, 1024),
        ("holds_before_stop", 1, 1000),
        ("films.failures", 0, 1000),
        ("films.successes", 0, 1000),
    ):
        value = OmegaConf.select(config, name)
        if value is not None and not (isinstance(value, int) and low <= value <= high):
            raise ConfigurationError(f"{name}={value}: expected a whole number from {low} to {high}")
    every = read_cases(_plain(config.suite))
    asked = list(every) if config.cases is None else _names(config.cases)
    for name in asked:
        if name not in every:
            raise ConfigurationError(f"cases: unknown case {name!r}; known: {', '.join(every)}")
    if not asked:
        raise ConfigurationError("cases: expected at least one name")
    needed = {every[name].share_of for name in asked}
    return {
        name: Case(
            **{**asdict(case), "episodes": min(case.episodes, config.episodes or case.episodes)},
        )
        for name, case in every.items()
        if name in asked or name in needed
    }


def _names(cases: Any) -> list[str]:
    return [cases] if isinstance(cases, str) else [str(name) for name in cases]


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node) if OmegaConf.is_config(node) else node


def _settings(config: DictConfig, suite: Mapping[str, Case]) -> dict[str, Any]:
    """All that results depend on."""
    plain = _plain(config)
    kept = {str(name): value for name, value in plain.items() if name not in MAY_DIFFER}
    return {**kept, "cases": {name: list(case.overrides) for name, case in suite.items()}}


def run() -> None:
    """Entry point of the console command vla-benchmark."""
    run_command(main)
