"""metrics.jsonl: a line per step and per look at held-out frames, whatever else watches."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from vla_runtime.errors import RecordingFailed


@final
class MetricsFile:
    """Appends lines. What a killed training wrote beyond its last saved state is dropped when it goes on."""

    def __init__(self, path: Path, step: int) -> None:
        """Args: path: the file; step: where the training goes on; lines of later steps are dropped."""
        self._path = path
        kept = [line for line in read_metrics(path) if _is_before(line, step)]
        partial = path.with_name(f".{path.name}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text("".join(json.dumps(line) + "\n" for line in kept))
            partial.replace(path)
        except OSError as error:
            raise RecordingFailed(f"{path}: {error.strerror}") from error

    def write(self, line: Mapping[str, Any]) -> None:
        """Append one line. Raises RecordingFailed."""
        try:
            with self._path.open("a") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise RecordingFailed(f"{self._path}: {error.strerror}") from error


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All whole lines; a last one that was cut off by a kill is left out."""
    if not path.exists():
        return []
    lines = []
    for line in path.read_text().splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines


def _is_before(line: Mapping[str, Any], step: int) -> bool:
    """Step lines carry the step that was made, score lines the number of steps that were done."""
    return line["step"] <= step if "scores" in line else line["step"] < step
