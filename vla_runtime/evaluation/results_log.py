"""The results of a benchmark: a line per episode, on disk before the next is counted, so that it can be gone on with."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from vla_runtime.errors import ConfigurationError, RecordingFailed
from vla_runtime.lines import append_line, first_difference, whole_lines

RESULTS = "results.jsonl"


@final
class ResultsLog:
    """Results by case and seed."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Open the results in a folder, or begin them.

        Args:
            folder: Of the benchmark.
            settings: All that results depend on, plain values.

        Raises:
            ConfigurationError: The results there are of other settings.
        """
        self._path = folder / RESULTS
        self._results: dict[tuple[str, int], dict[str, Any]] = {}
        plain: dict[str, Any] = json.loads(json.dumps(settings))
        if self._path.exists():
            self._read(plain)
        else:
            self._append({"settings": plain})

    def has(self, case: str, seed: int) -> bool:
        """Whether an episode is there."""
        return (case, seed) in self._results

    def add(self, case: str, result: Mapping[str, Any]) -> None:
        """Write an episode down."""
        self._append({"case": case, **result})
        self._results[case, int(result["seed"])] = dict(result)

    def of(self, case: str) -> list[dict[str, Any]]:
        """The results of a case, by seed."""
        return [result for (name, _), result in sorted(self._results.items()) if name == case]

    def _read(self, settings: Mapping[str, Any]) -> None:
        whole = whole_lines(self._path)
        if not whole or "settings" not in whole[0]:
            raise ConfigurationError(f"{self._path}: not the results of a benchmark")
        other = first_difference(whole[0]["settings"], settings)
        if other is not None:
            name, before, now = other
            raise ConfigurationError(
                f"{name}={now}: the results in {self._path.parent} were made with {name}={before}; expected the same, or another out="
            )
        for line in whole[1:]:
            self._results[line["case"], int(line["seed"])] = {k: v for k, v in line.items() if k != "case"}

    def _append(self, content: Mapping[str, Any]) -> None:
        try:
            append_line(self._path, content)
        except OSError as error:
            raise RecordingFailed(f"{self._path}: {error.strerror}") from error
