"""One recorded episode: run it, write it down, say how it went."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vla_runtime.evaluation.stamp import machine, package_versions
from vla_runtime.guards.supervisor import Supervisor
from vla_runtime.interfaces import Clock, Environment, InferenceEngine, Policy, Recorder
from vla_runtime.loop import run_episode
from vla_runtime.recording.files import EpisodeFolder
from vla_runtime.recording.group import RecorderGroup
from vla_runtime.recording.guard_record import GuardRecord
from vla_runtime.scheduling import no_collection, scheduling
from vla_runtime.types import EpisodeEnd

Result = dict[str, Any]


@dataclass(frozen=True)
class Runtime:
    """Everything that an episode needs, put together.

    Attributes:
        environment, policy, engine, guards: As the loop wants them.
        make_clock: A new clock for the episode of a seed, so that its time does not depend on the episodes before.
        recorders: Each makes a recorder that writes into a folder.
        description: What was put together, in plain values, for the record.
        guard_settings: What replaying needs to know of the guards, plain values.
        holds_before_stop: This many HOLDs in a row end an episode.
        acknowledge_stops: Whether a STOP of one episode is acknowledged at the start of the next: right for a
            simulated robot, which is a new one each time.
    """

    environment: Environment
    policy: Policy
    engine: InferenceEngine
    guards: Supervisor
    make_clock: Callable[[int], Clock]
    recorders: Sequence[Callable[[Path], Recorder]]
    description: Mapping[str, Any]
    guard_settings: Mapping[str, Any]
    holds_before_stop: int = 3
    acknowledge_stops: bool = True


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
    record = None
    try:
        record = GuardRecord(files.staging, runtime.guard_settings)
        runtime.guards.record_with(record.write)
        if runtime.acknowledge_stops:
            runtime.guards.acknowledge()
        recorder = RecorderGroup([*(make(files.staging) for make in runtime.recorders), *watchers])
        with no_collection():
            end = run_episode(
                runtime.environment,
                runtime.engine,
                runtime.guards,
                recorder,
                runtime.make_clock(seed),
                seed=seed,
                holds_before_stop=runtime.holds_before_stop,
            )
        result = _result(runtime, seed, end)
        record.close()
        files.publish(result)
        return result
    finally:
        runtime.guards.record_with(None)
        if record is not None:
            record.close()
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
        "interventions": dict(sorted(end.interventions.items())),
        "touched_steps": end.touched_steps,
        "late_ticks": end.late_ticks,
        "missed_deadlines": end.missed_deadlines,
        "stage_ms": {stage: _summary_ms(seconds) for stage, seconds in end.stage_s.items()},
        "observation_age_ms": _summary_ms(end.age_s) if end.age_s else None,
        "scheduling": scheduling(),
        "versions": package_versions(),
        "machine": machine(),
    }


def _summary_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Median, 95th and 99th percentile and largest, in milliseconds."""
    p50, p95, p99, top = (round(float(value) * 1e3, 3) for value in np.percentile(seconds, [50, 95, 99, 100]))
    return {"p50": p50, "p95": p95, "p99": p99, "max": top}
