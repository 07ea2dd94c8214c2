"""The results of a benchmark: a line per episode, on disk before the next is counted, so that it can be gone on with."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from vla_runtime.errors import ConfigurationError, RecordingFailed
from vla_runtime.lines import append_line, first_difference, whole_lines

RESULTS, TIMINGS = "results.jsonl", "timings.jsonl"

Result = dict[str, Any]


@dataclass(frozen=True)
class Record:
    """A results file.

    Attributes:
        folder: It is in.
        settings: All that the results depend on, plain values.
        overrides: Of the command that began it, without what results do not depend on.
        results: By case, in the order of their seeds.
    """

    folder: Path
    settings: Mapping[str, Any]
    overrides: tuple[str, ...]
    results: Mapping[str, Sequence[Result]]


def read_record(folder: Path) -> Record:
    """Results as they are on disk.

    Raises:
        ConfigurationError: There are none.
    """
    path = folder / RESULTS
    if not path.is_file():
        raise ConfigurationError(f"{folder}: no {RESULTS}; expected a folder that vla-benchmark wrote")
    head, *lines = whole_lines(path) or [{}]
    if "settings" not in head:
        raise ConfigurationError(f"{path}: not the results of a benchmark")
    found: dict[tuple[str, int], Result] = {
        (line["case"], int(line["seed"])): {k: v for k, v in line.items() if k != "case"} for line in lines
    }
    results: dict[str, list[Result]] = {}
    for (case, _), result in sorted(found.items()):
        results.setdefault(case, []).append(result)
    return Record(folder, head["settings"], tuple(head.get("overrides", ())), results)


@final
class ResultsLog:
    """Results by case and seed."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], overrides: Sequence[str] = ()) -> None:
        """Open the results in a folder, or begin them.

        Args:
            folder: Of the benchmark.
            settings: All that results depend on, plain values.
            overrides: Of the command, for whoever wants to run an episode again.

        Raises:
            ConfigurationError: The results there are of other settings.
        """
        self._path = folder / RESULTS
        self._results: dict[tuple[str, int], Result] = {}
        plain: dict[str, Any] = json.loads(json.dumps(settings))
        if not self._path.exists():
            self._append({"settings": plain, "overrides": list(overrides)})
            return
        there = read_record(folder)
        other = first_difference(there.settings, plain)
        if other is not None:
            name, before, now = other
            raise ConfigurationError(
                f"{name}={now}: the results in {folder} were made with {name}={before}; expected the same, or another out="
            )
        for case, results in there.results.items():
            self._results |= {(case, int(result["seed"])): result for result in results}

    def has(self, case: str, seed: int) -> bool:
        """Whether an episode is there."""
        return (case, seed) in self._results

    def add(self, case: str, result: Mapping[str, Any]) -> None:
        """Write an episode down."""
        self._append({"case": case, **result})
        self._results[case, int(result["seed"])] = dict(result)

    def of(self, case: str) -> list[Result]:
        """The results of a case, by seed."""
        return [result for (name, _), result in sorted(self._results.items()) if name == case]

    def _append(self, content: Mapping[str, Any]) -> None:
        _append(self._path, content)


@final
class TimingsLog:
    """How long each episode took, and on what machine. Beside the results, which are the same wherever they are made."""

    def __init__(self, folder: Path, stamp: Mapping[str, Any]) -> None:
        """Args: folder: of the benchmark; stamp: what runs now; it stands before the lines of its episodes."""
        self._path = folder / TIMINGS
        self._stamp: Mapping[str, Any] | None = stamp

    def add(self, case: str, seed: int, timing: Mapping[str, Any]) -> None:
        """Write an episode's timing down."""
        if self._stamp is not None:
            _append(self._path, {"stamp": self._stamp})
            self._stamp = None
        _append(self._path, {"case": case, "seed": seed, **timing})


def read_timings(folder: Path) -> tuple[list[dict[str, Any]], dict[tuple[str, int], dict[str, Any]]]:
    """The stamps, each once and with the number of its `episodes`, and the timing of each episode."""
    path = folder / TIMINGS
    stamps: list[dict[str, Any]] = []
    timings: dict[tuple[str, int], dict[str, Any]] = {}
    current: dict[str, Any] | None = None
    for line in whole_lines(path) if path.exists() else []:
        if "stamp" in line:
            current = next((stamp for stamp in stamps if stamp["stamp"] == line["stamp"]), None)
            if current is None:
                current = {"stamp": line["stamp"], "episodes": 0}
                stamps.append(current)
        elif current is not None:
            current["episodes"] += 1
            timings[line["case"], int(line["seed"])] = line
    return stamps, timings


def _append(path: Path, content: Mapping[str, Any]) -> None:
    try:
        append_line(path, content)
    except OSError as error:
        raise RecordingFailed(f"{path}: {error.strerror}") from error
