"""Live progress of a training: a bar on a terminal, a line now and then where there is none."""

from collections.abc import Mapping
from typing import final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINES = 20  # over a whole training, where there is no terminal


@final
class TrainingProgress:
    """Shows step, loss, accuracy and how long it will take."""

    def __init__(self, console: Console, steps: int) -> None:
        """Args: console: where to show it; steps: of the whole training."""
        self._console, self._steps = console, steps
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("[dim]steps[/dim]"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("loading", total=steps)

    def __enter__(self) -> "TrainingProgress":
        """Start showing."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Clear the bar."""
        self._bar.stop()

    def watch(self, step: int, metrics: Mapping[str, float]) -> None:
        """One step further."""
        told = f"loss {metrics['loss']:.3f}, tokens {100 * metrics['token_accuracy']:.0f} %"
        self._bar.update(self._task, completed=step + 1, description=told)
        every = max(self._steps // LINES, 1)
        if not self._console.is_terminal and ((step + 1) % every == 0 or step == 0):
            self._console.print(f"step {step + 1} of {self._steps}: {told}", highlight=False)
