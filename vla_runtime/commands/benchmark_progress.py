"""How a benchmark stands while it runs: a bar on a terminal, a line now and then where there is none."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vla_runtime.evaluation.results_log import ResultsLog
from vla_runtime.evaluation.suites import Case

LINE_EVERY = 10  # [episodes] between two lines where there is no terminal


@contextmanager
def progress(console: Console, total: int) -> Iterator[tuple[Progress, Any]]:
    """A bar over all episodes, and its number. Args: console: where to show it; total: episodes."""
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
class Tally:
    """How the case stands that is being run."""

    def __init__(self, log: ResultsLog, cases: Mapping[str, Case], console: Console, todo: int) -> None:
        """Args: log: what is written down; cases: by name; console: where to show it; todo: episodes to come."""
        self._log, self._cases, self._console = log, cases, console
        self._case = ""
        self._began_s, self._done, self._todo = time.monotonic(), 0, todo

    def add(self, case: str, result: Mapping[str, Any]) -> None:
        """Take in an episode."""
        self._case = case
        self._done += 1
        if result["status"] == "crashed":
            self._console.print(
                f"  {case}, seed {result['seed']}: [red]crashed[/red] ({escape(result['error'])})"
            )
        done = len(self._log.of(case))
        last = done == self._cases[case].episodes
        if not self._console.is_terminal and (done % LINE_EVERY == 0 or last):
            self._console.print(f"  {self}, {self._pace()}", highlight=False)

    def __str__(self) -> str:
        if not self._case:
            return "starting"
        done = self._log.of(self._case)
        wins = sum(bool(result.get("success_at_end")) for result in done)
        return f"{self._case}: {wins} successes of {len(done)}"

    def _pace(self) -> str:
        rate = self._done / max(time.monotonic() - self._began_s, 1e-9)
        left_s = (self._todo - self._done) / rate
        return f"{rate:.1f} episodes/s, {left_s / 60:.0f} min left"
