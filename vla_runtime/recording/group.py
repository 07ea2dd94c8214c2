"""Several recorders as one."""

from collections.abc import Mapping, Sequence
from typing import Any, final

from vla_runtime.interfaces import Recorder
from vla_runtime.types import EpisodeEnd, Observation, StepRecord


@final
class RecorderGroup:
    """Tells every recorder everything."""

    def __init__(self, recorders: Sequence[Recorder]) -> None:
        """Args: recorders: in the order in which they are told."""
        self._recorders = tuple(recorders)

    def begin(self, instruction: str, seed: int) -> None:
        """An episode starts."""
        for recorder in self._recorders:
            recorder.begin(instruction, seed)

    def record(self, step: StepRecord) -> None:
        """A step was made."""
        for recorder in self._recorders:
            recorder.record(step)

    def finish(self, end: EpisodeEnd, observation: Observation, outcome: Mapping[str, Any]) -> None:
        """The episode is over."""
        for recorder in self._recorders:
            recorder.finish(end, observation, outcome)

    def abandon(self) -> None:
        """The episode broke off."""
        for recorder in self._recorders:
            recorder.abandon()
