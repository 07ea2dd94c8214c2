"""vla-benchmark compare A B: two policies on the same seeds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from vla_runtime.errors import ConfigurationError
from vla_runtime.evaluation.comparison import (
    Pairs,
    anytime_p,
    count_pairs,
    difference_interval,
    holm,
    mcnemar_p,
    pairs_needed,
    smallest_difference,
)
from vla_runtime.evaluation.intervals import wilson_interval
from vla_runtime.evaluation.results_log import Record, read_record
from vla_runtime.lines import first_difference
from vla_runtime.recording.files import write_json

HELP = """\
vla-benchmark compare A B: two folders of results, seed by seed.

  vla-benchmark compare results/old results/new
  vla-benchmark compare results/old results/new cases=[place_in] out=comparison.json

Only seeds that both have finished count; a crashed episode counts for nobody. B - A is the difference of the success rates at the
end, with its 95 % interval (Bonett and Price). p is McNemar's exact test, two-sided, for a number of seeds that was fixed beforehand;
"at any time" may be looked at while the results come in. With several cases both are corrected by Holm's method.
Exit code: 0, or 2 when something was refused. The result is on the screen and in out=FILE.
"""
SIGNIFICANT = 0.05


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments or "-h" in arguments:
        print(HELP)
        return 0
    folders, wanted, out = _parsed(arguments)
    first, second = (read_record(folder) for folder in folders)
    rows = _compared(first, second, wanted)
    console = Console()
    _print(console, first, second, rows)
    if out is not None:
        write_json(out, {"a": _named(first), "b": _named(second), "cases": rows})
    return 0


def _parsed(arguments: Sequence[str]) -> tuple[list[Path], list[str] | None, Path | None]:
    folders, wanted, out = [], None, None
    for argument in arguments:
        key, is_setting, value = argument.partition("=")
        if not is_setting:
            folders.append(Path(argument))
        elif key == "cases":
            wanted = [name.strip() for name in value.strip("[]").split(",")]
        elif key == "out":
            out = Path(value)
        else:
            raise ConfigurationError(f"compare: unknown setting {key!r}; known: cases, out")
    if len(folders) != 2:
        raise ConfigurationError(f"compare: {len(folders)} folders; expected two: vla-benchmark compare A B")
    return folders, wanted, out


def _compared(first: Record, second: Record, wanted: list[str] | None) -> list[dict[str, Any]]:
    """A row for each case that both have; p-values corrected for their number."""
    common = [case for case in first.results if case in second.results]
    for case in wanted or ():
        if case not in common:
            raise ConfigurationError(
                f"cases: {case!r} is not in both; both have: {', '.join(common) or 'none'}"
            )
    rows: list[dict[str, Any]] = []
    for case in wanted or common:
        there = [record.settings.get("cases", {}).get(case) for record in (first, second)]
        if there[0] != there[1]:
            raise ConfigurationError(f"case {case!r} was run under other settings: {there[0]} and {there[1]}")
        outcomes = list(_outcomes(first.results[case], second.results[case]).values())
        if not outcomes:
            raise ConfigurationError(
                f"case {case!r}: no seed that both have finished; expected the same seed= and episodes="
            )
        pairs = count_pairs(outcomes)
        rows.append(
            {
                "case": case,
                **asdict(pairs),
                "pairs": pairs.total,
                "difference": pairs.difference,
                "interval": difference_interval(pairs),
                "p": mcnemar_p(pairs),
                "p_any_time": anytime_p(outcomes),
            }
        )
    if not rows:
        raise ConfigurationError(f"{first.folder} and {second.folder} have no case in common")
    for key in ("p", "p_any_time"):
        for row, value in zip(rows, holm([row[key] for row in rows]), strict=True):
            row[f"{key}_corrected"] = value
    return rows


def _outcomes(
    first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]
) -> dict[int, tuple[bool, bool]]:
    """Success of both, by seed."""
    one, other = (
        {
            int(result["seed"]): bool(result["success_at_end"])
            for result in results
            if result["status"] == "finished"
        }
        for results in (first, second)
    )
    return {seed: (one[seed], other[seed]) for seed in sorted(one.keys() & other.keys())}


def _print(console: Console, first: Record, second: Record, rows: list[dict[str, Any]]) -> None:
    for letter, record in (("A", first), ("B", second)):
        console.print(f"{letter}: {record.folder}  [dim]{_named(record)}[/dim]", highlight=False)
    other = _other_settings(first, second)
    if other:
        console.print(f"They differ in: {', '.join(other)}", highlight=False)
    for row in rows:
        pairs = Pairs(row["both"], row["only_first"], row["only_second"], row["neither"])
        low, high = row["interval"]
        mark = "[bold]" if row["p_corrected"] < SIGNIFICANT else ""
        console.print(
            f"\n[bold]{row['case']}[/bold], {pairs.total} seeds\n"
            f"  A {_rate(pairs.both + pairs.only_first, pairs.total)}, "
            f"B {_rate(pairs.both + pairs.only_second, pairs.total)}\n"
            f"  {mark}B - A {100 * pairs.difference:+.1f} points, 95 % interval {100 * low:+.1f} to {100 * high:+.1f}\n"
            f"  only A {pairs.only_first}, only B {pairs.only_second}: p = {row['p_corrected']:.2g}"
            f" (at any time: {row['p_any_time_corrected']:.2g})",
            highlight=False,
        )
    console.print()
    console.print(_sight(rows[0]), highlight=False, soft_wrap=True)


def _sight(row: Mapping[str, Any]) -> str:
    """What a number of seeds can tell apart, in words."""
    rate = (row["both"] + row["only_first"]) / row["pairs"]
    smallest = smallest_difference(rate, row["pairs"])
    better = min(rate + 0.1, 1.0) if rate < 0.95 else rate - 0.1
    needed = pairs_needed(rate, better)
    seen = "no difference is" if smallest is None else f"differences above {100 * smallest:.0f} points are"
    more = "" if needed is None else f"; 10 points take about {needed}"
    return (
        f"{row['case']}: on {row['pairs']} seeds {seen} seen in four of five comparisons, "
        f"if successes were independent{more}"
    )


def _rate(count: int, of: int) -> str:
    low, high = wilson_interval(count, of)
    return f"{count} successes ({100 * low:.0f} to {100 * high:.0f} %)"


def _named(record: Record) -> str:
    """The overrides that made a record, and the checkpoint's checksum."""
    sums = {result.get("checksum") for results in record.results.values() for result in results} - {None}
    return " ".join([*record.overrides, *(f"({str(checksum)[:12]})" for checksum in sorted(map(str, sums)))])


def _other_settings(first: Record, second: Record) -> list[str]:
    """Names of the groups of settings that are not the same, `cases` left out."""
    keys = sorted((first.settings.keys() | second.settings.keys()) - {"cases"})
    found = [first_difference(first.settings.get(key), second.settings.get(key), key) for key in keys]
    return [json.dumps(one[0]).strip('"') for one in found if one is not None]
