"""Several recorders as one."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, final

from vla_runtime.errors import RecordingFailed
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
            with _failure_of(recorder):
                recorder.begin(instruction, seed)

    def record(self, step: StepRecord) -> None:
        """A step was made."""
        for recorder in self._recorders:
            with _failure_of(recorder):
                recorder.record(step)

    def finish(self, end: EpisodeEnd, observation: Observation, outcome: Mapping[str, Any]) -> None:
        """The episode is over."""
        for recorder in self._recorders:
            with _failure_of(recorder):
                recorder.finish(end, observation, outcome)

    def abandon(self) -> None:
        """The episode broke off. Every recorder is told, even when one of them fails."""
        with ExitStack() as stack:
            for recorder in self._recorders:
                stack.enter_context(_failure_of(recorder))
                stack.callback(recorder.abandon)


@contextmanager
def _failure_of(recorder: Recorder) -> Iterator[None]:
    """Turns the operating system's errors (a full disk) into one that names the recorder."""
    try:
        yield
    except RecordingFailed:
        raise
    except OSError as error:
        raise RecordingFailed(f"{type(recorder).__name__}: {error.strerror or error}") from error
