"""A threshold for the guard of confidence, from episodes that went well.

Conformal: with n successful episodes, each represented by its largest mean entropy over a window of steps, the threshold is
their ceil((n + 1)(1 - alarm share))-th smallest. A further successful episode exceeds it with at most that probability.
"""

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from vla_runtime.errors import InvalidRecord


def largest_window(entropies: Sequence[float], window_steps: int) -> float | None:
    """The largest mean over consecutive steps; None when there are fewer than one window."""
    if len(entropies) < window_steps:
        return None
    sums = [sum(entropies[i : i + window_steps]) for i in range(len(entropies) - window_steps + 1)]
    return max(sums) / window_steps


def conformal_threshold(scores: Sequence[float], alarm_share: float) -> float:
    """The threshold that a further score of the same kind exceeds with at most a given probability.

    Raises:
        InvalidRecord: Too few scores for so small a share.
    """
    rank = math.ceil((len(scores) + 1) * (1.0 - alarm_share))
    if rank > len(scores):
        least = math.ceil(1.0 / alarm_share) - 1
        raise InvalidRecord(
            f"{len(scores)} successful episodes with entropies; an alarm share of {alarm_share:g} needs at least {least}"
        )
    return sorted(scores)[rank - 1]


def episode_scores(folders: Iterable[Path], window_steps: int) -> tuple[list[float], set[str]]:
    """Scores of the successful episodes in some folders, and the checksums of the checkpoints that drove them.

    Raises:
        InvalidRecord: An episode that cannot be read.
    """
    scores: list[float] = []
    checksums: set[str] = set()
    for folder in folders:
        result = _read(folder / "result.json")
        if result.get("status") != "finished" or not result.get("success_at_end"):
            continue
        score = largest_window(_entropies(folder / "steps.jsonl"), window_steps)
        if score is not None:
            scores.append(score)
            checksums.add(str(result.get("policy_details", {}).get("checksum")))
    return scores, checksums


def _entropies(file: Path) -> list[float]:
    """Mean token entropy of each step that has any [nats]."""
    try:
        lines = [json.loads(line) for line in file.read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise InvalidRecord(f"{file}: expected a line of JSON per step ({error})") from error
    per_step = [line.get("token_entropies") for line in lines]
    return [sum(values) / len(values) for values in per_step if values]


def _read(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise InvalidRecord(f"{file}: expected the result of an episode ({error})") from error
