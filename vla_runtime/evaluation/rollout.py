"""One recorded episode: run it, write it down, say how it went."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vla_runtime.evaluation.stamp import machine, package_versions
from vla_runtime.interfaces import Clock, Environment, InferenceEngine, Judge, Policy, Recorder
from vla_runtime.loop import run_episode
from vla_runtime.recording.files import EpisodeFolder
from vla_runtime.recording.group import RecorderGroup
from vla_runtime.types import EpisodeEnd

Result = dict[str, Any]


@dataclass(frozen=True)
class Runtime:
    """Everything that an episode needs, put together.

    Attributes:
        environment, policy, engine, guards: As the loop wants them.
        make_clock: A new clock for each episode, so that its time stamps do not depend on the episodes before.
        recorders: Each makes a recorder that writes into a folder.
        description: What was put together, in plain values, for the record.
        holds_before_stop: This many HOLDs in a row end an episode.
    """

    environment: Environment
    policy: Policy
    engine: InferenceEngine
    guards: Judge
    make_clock: Callable[[], Clock]
    recorders: Sequence[Callable[[Path], Recorder]]
    description: Mapping[str, Any]
    holds_before_stop: int = 3


def rollout(runtime: Runtime, seed: int, folder: Path, watchers: Sequence[Recorder] = ()) -> Result:
    """Run and record the episode of a seed.

    Args:
        runtime: What to run.
        seed: Of the episode.
        folder: Where its files appear once it is whole; nothing is left there when it breaks off.
        watchers: Further recorders, for example a progress display.

    Returns:
        The content of the episode's result.json.
    """
    files = EpisodeFolder(folder)
    try:
        recorder = RecorderGroup([*(make(files.staging) for make in runtime.recorders), *watchers])
        end = run_episode(
            runtime.environment,
            runtime.engine,
            runtime.policy.unnormalizer,
            runtime.guards,
            recorder,
            runtime.make_clock(),
            seed=seed,
            holds_before_stop=runtime.holds_before_stop,
        )
        result = _result(runtime, seed, end)
        files.publish(result)
        return result
    finally:
        files.discard()


def _result(runtime: Runtime, seed: int, end: EpisodeEnd) -> Result:
    return {
        "status": "finished",
        "seed": seed,
        **runtime.description,
        "privileged_policy": runtime.policy.privileged,
        "policy_details": dict(runtime.policy.describe()),
        **runtime.environment.outcome(),
        "steps": end.steps,
        "ended_by": end.ended_by.name.lower(),
        "end_reason": end.reason,
        "verdicts": {verdict.name: count for verdict, count in sorted(end.verdicts.items())},
        "late_ticks": end.late_ticks,
        "stage_ms": {stage: _summary_ms(seconds) for stage, seconds in end.stage_s.items()},
        "versions": package_versions(),
        "machine": machine(),
    }


def _summary_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile and largest, in milliseconds."""
    p50, p95, top = np.percentile(seconds, [50, 95, 100]) * 1e3
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3), "max": round(float(top), 3)}
