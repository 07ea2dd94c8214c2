"""What a benchmark came to: summary.json, report.html and the table on the terminal."""

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vla_runtime.commands.benchmark_running import film_path
from vla_runtime.errors import ConfigurationError
from vla_runtime.evaluation.report import Story, write_report
from vla_runtime.evaluation.results_log import ResultsLog, read_record, read_timings
from vla_runtime.evaluation.suites import Case, Score, score_cases
from vla_runtime.recording.files import write_json

REPORT, SUMMARY = "report.html", "summary.json"


def report(
    log: ResultsLog, cases: Mapping[str, Case], config: DictConfig, folder: Path, console: Console
) -> list[Score]:
    """Write summary.json and report.html, and print the table."""
    results = {name: log.of(name)[: case.episodes] for name, case in cases.items()}
    checksums = {
        str(result.get("checksum")) for name in cases for result in results[name] if "error" not in result
    }
    if len(checksums) > 1:
        raise ConfigurationError(
            f"out={folder}: results of {len(checksums)} different checkpoints; expected one, and another out= for each"
        )
    scores = score_cases(cases, results, sequential=config.sequential)
    plain = OmegaConf.to_container(config)
    assert isinstance(plain, dict)
    chosen = plain.pop("chosen")
    checksum = next(iter(checksums - {"None"}), None)
    stamps, timings = read_timings(folder)
    overrides = read_record(folder).overrides
    write_json(
        folder / SUMMARY,
        {
            "policy": chosen["policy"],
            "suite": chosen["suite"],
            "checksum": checksum,
            "scores": [asdict(score) for score in scores],
            "sequential": config.sequential,
            "chosen": chosen,
            "overrides": overrides,
            "config": plain,
            "run_with": stamps,
        },
    )
    films = {
        (name, int(result["seed"])): film_path(folder, name, int(result["seed"]))
        for name in cases
        for result in results[name]
    }
    story = Story(
        policy=chosen["policy"],
        suite=chosen["suite"],
        checksum=checksum,
        cases=cases,
        scores=scores,
        results=results,
        timings=timings,
        stamps=stamps,
        films=films,
        command=shlex.join(["vla-benchmark", *overrides, *_asked(config)]),
        overrides=overrides,
        settings=OmegaConf.to_yaml(
            OmegaConf.masked_copy(config, [str(key) for key in config if key not in ("chosen", "suite")])
        ),
        sequential=config.sequential,
    )
    write_report(folder / REPORT, story)
    console.print(_table(cases, scores), soft_wrap=True)
    console.print(f"report: {escape(str(folder / REPORT))}", highlight=False, soft_wrap=True)
    return scores


def _asked(config: DictConfig) -> list[str]:
    """How much was run, as on a command line."""
    cases = [] if config.cases is None else [f"cases={config.cases}".replace("'", "").replace(" ", "")]
    return [*cases, *([] if config.episodes is None else [f"episodes={config.episodes}"])]


def _table(cases: Mapping[str, Case], scores: list[Score]) -> Table:
    table = Table("case", "rate", "95 % interval", "asked for", "", box=None, pad_edge=False)
    for score in scores:
        unit = " pairs" if cases[score.case].judged == "pairs" else ""
        crashed = f", {score.crashed} crashed" if score.crashed else ""
        met = {True: "[green]met[/green]", False: "[red]not met[/red]", None: ""}[score.met]
        interval = f"{100 * score.low:.1f} to {100 * score.high:.1f} %"
        table.add_row(
            score.case, f"{score.count} of {score.of}{unit}{crashed}", interval, score.expected, met
        )
    return table
