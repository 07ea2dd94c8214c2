"""Live progress on the terminal: a bar where there is one, a line per episode where there is not."""

from collections.abc import Mapping
from typing import Any, final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from vla_runtime.evaluation.rollout import Result
from vla_runtime.types import EpisodeEnd, Observation, StepRecord


@final
class EpisodeProgress:
    """Shows the step within an episode and the tally over all; a recorder that writes nothing to disk."""

    def __init__(self, console: Console, episodes: int, step_limit: int) -> None:
        """Args: console: where to show it; episodes: how many there will be; step_limit: of one episode."""
        self._console = console
        self._episodes = episodes
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("[dim]steps[/dim]"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=step_limit)
        self._count = 0
        self._interventions = 0

    def __enter__(self) -> "EpisodeProgress":
        """Start showing."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Clear the bar."""
        self._bar.stop()

    def ask(self, question: str) -> str:
        """Ask the person at the terminal."""
        self._bar.stop()
        try:
            return self._console.input(escape(question))
        finally:
            self._bar.start()

    def begin(self, instruction: str, seed: int) -> None:
        """Show the sentence."""
        self._count += 1
        self._interventions = 0
        label = f"[bold]{self._count}/{self._episodes}[/bold] seed {seed}: {instruction}"
        self._bar.reset(self._task, description=label)

    def record(self, step: StepRecord) -> None:
        """One step further."""
        self._interventions += len(step.judgement.touched_by)
        self._bar.advance(self._task)

    def finish(self, end: EpisodeEnd, observation: Observation, outcome: Mapping[str, Any]) -> None:
        """One line for the episode."""
        mark = "[green]success[/green]" if outcome.get("success_at_end") else "[red]no success[/red]"
        notes = [f"stage {outcome['stage']}"] if outcome.get("stage") else []
        notes += [f"{end.steps} steps"]
        if self._interventions:
            notes.append(f"{self._interventions} interventions")
        self._console.print(
            f"  {observation.instruction}: {mark} ({', '.join(notes)})", highlight=False, soft_wrap=True
        )

    def crashed(self, result: Result) -> None:
        """One line for an episode that broke off."""
        self._console.print(
            f"  seed {result['seed']}: [red]crashed[/red] ({escape(result['error'])})", highlight=False
        )

    def abandon(self) -> None:
        """Nothing to clean up."""
