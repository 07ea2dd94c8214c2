"""vla-benchmark: how often a policy succeeds, on a suite of cases, with intervals."""

import gc
import os
import tempfile
import traceback
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from vla_runtime.commands.command_line import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    output_folder,
    run_command,
    user_message,
)
from vla_runtime.commands.workers import workers
from vla_runtime.config import EpisodeSettings, build_runtime, choices, compose_config
from vla_runtime.errors import ConfigurationError, VLARuntimeError
from vla_runtime.evaluation.results_log import ResultsLog
from vla_runtime.evaluation.rollout import Runtime, rollout
from vla_runtime.evaluation.stamp import machine, package_versions
from vla_runtime.evaluation.suites import Case, Score, read_cases, score_cases
from vla_runtime.recording.files import writable_folder, write_json

FIRST_SEED_NOT_FOR_RUNS = 2**29  # from here on seeds belong to what the embedded VLA was made with
AHEAD = 2  # [episodes] that each worker may be ahead of what is written down
LINE_EVERY = 10  # [episodes] between two lines where there is no terminal
KEPT = (
    "seed", "success_at_end", "success_once", "stage", "target", "first_lifted", "wrong_target", "drops", "chance_level",
    "steps", "ended_by", "interventions", "state_hash", "image_hash",
)  # fmt: skip
MAY_DIFFER = ("out", "episodes", "workers", "cases", "view", "realtime_priority", "chosen", "suite")
HELP = """\
vla-benchmark: how often a policy succeeds, on a suite of cases, with intervals.

  vla-benchmark suite=place_in policy=expert episodes=20
  vla-benchmark policy=openvla policy.checkpoint=FOLDER out=results/mine
  vla-benchmark cases=[place_in,words] workers=2

Settings (key=value, in any order):
  suite=embedded    {suite}
  policy=embedded   {policy}
  guards=simulation {guards}
  out=DIR           results go here; a folder with results of the same settings is gone on with
  seed=0            of the first episode of each case; the others follow
  episodes=null     of each case at most; null: as many as the suite says
  cases=null        names of cases, for example [place_in]; null: all
  workers=null      processes; null: one per core. Results do not depend on it

Every other setting of every part:  vla-benchmark --config  prints them all.

In DIR: results.jsonl (a line per episode, on disk at once) and summary.json. Ctrl-C and a kill lose no finished episode: the same
command goes on. An episode that breaks off is an error of its own kind, neither success nor failure.
Exit code: 0 when everything that the suite asks for was met, 1 when something was not or an episode broke off, 2 when something
was refused, 130 on Ctrl-C.
"""


@dataclass
class BenchmarkSettings(EpisodeSettings):
    """The settings of configs/benchmark.yaml."""

    episodes: int | None = None  # type: ignore[assignment]
    workers: int | None = None
    cases: Any = None
    suite: Any = None


ConfigStore.instance().store(name="benchmark_settings", node=BenchmarkSettings)


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments or "-h" in arguments:
        print(HELP.format(**{group: ", ".join(choices(group)) for group in ("suite", "policy", "guards")}))
        return 0
    overrides = [argument for argument in arguments if argument != "--config"]
    config = compose_config("benchmark", overrides)
    cases = _chosen_cases(config)
    if "--config" in arguments:
        print(OmegaConf.to_yaml(config), end="")
        return 0
    for case in cases.values():
        compose_config("benchmark", [*overrides, *case.overrides])  # refuses before anything is run
    folder = writable_folder(output_folder(config.out, "benchmark"), "out")
    console = Console()
    console.print(
        f"[bold]{config.chosen.policy}[/bold] policy, suite [bold]{config.chosen.suite}[/bold]: "
        f"{sum(case.episodes for case in cases.values())} episodes of {len(cases)} cases",
        highlight=False,
    )
    log = ResultsLog(folder, _settings(config, read_cases(_plain(config.suite))))
    try:
        _run(log, cases, overrides, config, console)
    except KeyboardInterrupt:
        _report(log, cases, config, folder, console)
        console.print("[yellow]interrupted[/yellow]: the same command goes on")
        return EXIT_INTERRUPTED
    scores = _report(log, cases, config, folder, console)
    return EXIT_FAILED if any(score.met is False or score.crashed for score in scores) else 0


def _chosen_cases(config: DictConfig) -> dict[str, Case]:
    """The cases to be run, as long as they are to be."""
    for name, low, high in (
        ("seed", 0, FIRST_SEED_NOT_FOR_RUNS - 1),
        ("episodes", 1, 1_000_000),
        ("workers", 1, 1024),
        ("holds_before_stop", 1, 1000),
    ):
        if config[name] is not None and not low <= config[name] <= high:
            raise ConfigurationError(f"{name}={config[name]}: expected a whole number from {low} to {high}")
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


# ------------------------------------------------------------------------------------------------------ running


def _run(
    log: ResultsLog, cases: Mapping[str, Case], overrides: list[str], config: DictConfig, console: Console
) -> None:
    """Every episode that is not there yet."""
    jobs = deque(
        (name, case, seed)
        for name, case in cases.items()
        for seed in range(config.seed, config.seed + case.episodes)
        if not log.has(name, seed)
    )
    total = sum(case.episodes for case in cases.values())
    count = int(config.workers or os.cpu_count() or 1)
    pending: deque[tuple[str, Future[dict[str, Any]]]] = deque()
    with (
        workers(min(count, max(len(jobs), 1)), finish=_forget) as pool,
        _progress(console, total) as (bar, shown),
    ):
        tally = _Tally(log, cases, console)
        bar.update(shown, completed=total - len(jobs), description=str(tally))
        while jobs or pending:
            while jobs and len(pending) < (AHEAD * count if count > 1 else 1):
                name, case, seed = jobs.popleft()
                pending.append((name, pool.submit(_play, name, [*overrides, *case.overrides], seed)))
            name, future = pending.popleft()
            result = future.result()
            log.add(name, result)
            tally.add(name, result)
            bar.update(shown, advance=1, description=str(tally))


@contextmanager
def _progress(console: Console, total: int) -> Iterator[tuple[Progress, Any]]:
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("[dim]episodes[/dim]"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        yield bar, bar.add_task("", total=total)


@final
class _Tally:
    """How the case stands that is being run."""

    def __init__(self, log: ResultsLog, cases: Mapping[str, Case], console: Console) -> None:
        self._log, self._cases, self._console = log, cases, console
        self._case = ""

    def add(self, case: str, result: Mapping[str, Any]) -> None:
        """Take in an episode."""
        self._case = case
        if result["status"] == "crashed":
            self._console.print(
                f"  {case}, seed {result['seed']}: [red]crashed[/red] ({escape(result['error'])})"
            )
        done = len(self._log.of(case))
        last = done == self._cases[case].episodes
        if not self._console.is_terminal and (done % LINE_EVERY == 0 or last):
            self._console.print(f"  {self}", highlight=False)

    def __str__(self) -> str:
        if not self._case:
            return "starting"
        done = self._log.of(self._case)
        wins = sum(bool(result.get("success_at_end")) for result in done)
        return f"{self._case}: {wins} successes of {len(done)}"


_built: tuple[str, Runtime] | None = None


def _play(case: str, overrides: list[str], seed: int) -> dict[str, Any]:
    """In a worker: the episode of a seed. A crash is a result of its own kind; what the user must change is raised."""
    try:
        runtime = _runtime(case, overrides)
        with tempfile.TemporaryDirectory() as folder:
            result = rollout(runtime, seed, Path(folder) / "episode")
    except Exception as error:
        refused = user_message(error)
        if refused is not None:  # what it came from would not reach the parent
            raise VLARuntimeError(refused) from None
        traceback.print_exc()
        return {"status": "crashed", "seed": seed, "error": f"{type(error).__name__}: {error}"}
    kept = {name: result[name] for name in KEPT if name in result}
    return {"status": "finished", **kept, "checksum": result["policy_details"].get("checksum")}


def _runtime(case: str, overrides: list[str]) -> Runtime:
    global _built
    if _built is None or _built[0] != case:
        _forget()
        _built = (case, build_runtime(compose_config("benchmark", overrides)))
    return _built[1]


def _forget() -> None:
    """Close what was built, and let go of Ruckig's objects before the interpreter ends."""
    global _built
    if _built is not None:
        _built[1].environment.close()
    _built = None
    gc.collect()


# ---------------------------------------------------------------------------------------------------- reporting


def _report(
    log: ResultsLog, cases: Mapping[str, Case], config: DictConfig, folder: Path, console: Console
) -> list[Score]:
    """Write summary.json and print the table."""
    results = {name: log.of(name)[: case.episodes] for name, case in cases.items()}
    checksums = {
        str(result.get("checksum")) for name in cases for result in results[name] if "error" not in result
    }
    if len(checksums) > 1:
        raise ConfigurationError(
            f"out={folder}: results of {len(checksums)} different checkpoints; expected one, and another out= for each"
        )
    scores = score_cases(cases, results)
    plain = _plain(config)
    chosen = plain.pop("chosen")
    write_json(
        folder / "summary.json",
        {
            "policy": chosen["policy"],
            "suite": chosen["suite"],
            "checksum": next(iter(checksums), None),
            "scores": [asdict(score) for score in scores],
            "chosen": chosen,
            "config": plain,
            "versions": package_versions(),
            "machine": machine(),
        },
    )
    table = Table("case", "rate", "95 % interval", "asked for", "", box=None, pad_edge=False)
    for score in scores:
        unit = " pairs" if cases[score.case].judged == "pairs" else ""
        crashed = f", {score.crashed} crashed" if score.crashed else ""
        met = {True: "[green]met[/green]", False: "[red]not met[/red]", None: ""}[score.met]
        interval = f"{100 * score.low:.1f} to {100 * score.high:.1f} %"
        table.add_row(
            score.case, f"{score.count} of {score.of}{unit}{crashed}", interval, score.expected, met
        )
    console.print(table, soft_wrap=True)
    console.print(f"results: {escape(str(folder))}", highlight=False, soft_wrap=True)
    return scores


def run() -> None:
    """Entry point of the console command vla-benchmark."""
    run_command(main)
