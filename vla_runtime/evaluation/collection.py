"""What a collection of demonstrations has tried so far: a line per attempt, so that it can be gone on with."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from vla_runtime.errors import ConfigurationError, RecordingFailed
from vla_runtime.lines import append_line, first_difference, whole_lines

LOG = "meta/vla_runtime/collection.jsonl"  # in the data set's folder; lerobot ignores it
MAY_DIFFER = ("out", "episodes", "workers", "give_up_after", "view", "realtime_priority", "chosen")


@dataclass(frozen=True)
class Attempt:
    """One episode that was tried.

    Attributes:
        seed: Of the episode.
        status: finished or crashed.
        success: At the end; False for a crash.
        steps: Actions executed [steps].
        stage: How far it got, where the environment says.
        episode_index: Its number in the data set; None when it was left out.
        error: Why it crashed.
    """

    seed: int
    status: str
    success: bool = False
    steps: int = 0
    stage: str | None = None
    episode_index: int | None = None
    error: str | None = None


@final
class CollectionLog:
    """The attempts of a collection, each on disk before the next is counted."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Open the log of a data set, or begin one.

        Args:
            folder: Of the data set.
            settings: Of the collection, plain values.

        Raises:
            ConfigurationError: The data set was collected with other settings, or not by a collection.
        """
        self._path = folder / LOG
        self.attempts: list[Attempt] = []
        kept = {name: value for name, value in settings.items() if name not in MAY_DIFFER}
        plain: dict[str, Any] = json.loads(json.dumps(kept))
        if self._path.exists():
            self._read(folder, plain)
        elif (folder / "meta" / "info.json").exists():
            raise ConfigurationError(
                f"out={folder}: a data set that no collection began; expected a new folder, or vla-dataset merge afterwards"
            )
        else:
            self._append({"settings": plain})

    @property
    def kept(self) -> int:
        """Episodes that are in the data set."""
        return sum(attempt.episode_index is not None for attempt in self.attempts)

    @property
    def next_seed(self) -> int | None:
        """The seed after the last attempt; None before the first."""
        return self.attempts[-1].seed + 1 if self.attempts else None

    def add(self, attempt: Attempt) -> None:
        """Write an attempt down."""
        self._append(asdict(attempt))
        self.attempts.append(attempt)

    def _read(self, folder: Path, settings: Mapping[str, Any]) -> None:
        whole = whole_lines(self._path)
        if not whole or "settings" not in whole[0]:
            raise ConfigurationError(f"{self._path}: not the log of a collection")
        other = first_difference(whole[0]["settings"], settings)
        if other is not None:
            name, before, now = other
            raise ConfigurationError(
                f"{name}={now}: the demonstrations in {folder} were collected with {name}={before}; expected the same, or another out="
            )
        self.attempts = [Attempt(**content) for content in whole[1:]]

    def _append(self, content: Mapping[str, Any]) -> None:
        try:
            append_line(self._path, content)
        except OSError as error:
            raise RecordingFailed(f"{self._path}: {error.strerror}") from error
