"""Measure what judging one action costs, beside a bare numpy clip, and a step of the loop without model and simulator.

python scripts/measure_guards.py
python scripts/measure_guards.py guards=lab_slow rounds=10

One thread. The motion is a smooth one round the workspace at up to 0.15 m/s with a turning hand, so that nothing is clamped
and every guard does its full work. Medians over all steps; rounds interleave the variants.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.config_store import ConfigStore
from rich.console import Console
from rich.table import Table

from vla_runtime.clock import LockstepClock
from vla_runtime.commands.command_line import output_folder, run_command
from vla_runtime.config import build_arm, build_chain, compose_config, guard_settings
from vla_runtime.errors import ConfigurationError
from vla_runtime.evaluation.fuzz import HOME
from vla_runtime.evaluation.stamp import machine, package_versions
from vla_runtime.guards.chain import GuardChain
from vla_runtime.guards.supervisor import Supervisor
from vla_runtime.loop import run_episode
from vla_runtime.recording.files import writable_folder, write_json
from vla_runtime.recording.group import RecorderGroup
from vla_runtime.recording.guard_record import GuardRecord
from vla_runtime.scheduling import no_collection
from vla_runtime.specs import DELTA_AXES, DELTA_UNITS, ActionSpec
from vla_runtime.types import (
    Action,
    ActionTokens,
    Candidate,
    FrameFacts,
    GuardContext,
    Judgement,
    NormalizedAction,
    Observation,
    Proposal,
    Proprioception,
    RobotState,
)

ROUND_STEPS = 60  # [steps] of one round of the motion
KINEMATIC = ("joint_limits", "singularity", "collision")
SPEC = ActionSpec(
    DELTA_AXES, DELTA_UNITS, (-0.05,) * 3 + (-0.25,) * 3 + (0.0,), (0.05,) * 3 + (0.25,) * 3 + (1.0,)
)
TOKENS = ActionTokens((31800,) * 7, None, (0.5,) * 7)


@dataclass
class MeasureGuardsSettings:
    """The settings of configs/measure_guards.yaml."""

    steps: int = 2000
    rounds: int = 5
    out: str | None = None
    guards: Any = None
    arm: Any = None
    chosen: Any = None


ConfigStore.instance().store(name="measure_guards_settings", node=MeasureGuardsSettings)


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments:
        print(__doc__)
        return 0
    config = compose_config("measure_guards", arguments)
    for name in ("steps", "rounds"):
        if not 1 <= config[name] <= 10**6:
            raise ConfigurationError(f"{name}={config[name]}: expected a whole number from 1 to 1000000")
    folder = writable_folder(output_folder(config.out, "measure_guards"), "out")
    settings = guard_settings(config, SPEC, None)
    scalar = {
        **settings,
        "guards": {name: node for name, node in settings["guards"].items() if name not in KINEMATIC},
    }
    motion = list(_motion(build_arm(settings), config.steps))
    variants: dict[str, Callable[[], list[float]]] = {
        "numpy clip of 7 numbers": lambda: _clips(motion),
        "scalar chain (no kinematics)": lambda: _judged(build_chain(scalar), motion),
        "full chain with kinematics": lambda: _judged(build_chain(settings), motion),
        "full chain, record written": lambda: _supervised(build_chain(settings), settings, motion),
        "whole loop without model and simulator": lambda: _looped(build_chain(settings), settings, motion),
    }
    spent: dict[str, list[float]] = {name: [] for name in variants}
    with no_collection():
        for _ in range(config.rounds):
            for name, variant in variants.items():
                spent[name] += variant()
    rows = {name: _row(times, spent["numpy clip of 7 numbers"]) for name, times in spent.items()}
    result = {"costs": rows, "guards": config.chosen.guards}
    write_json(folder / "result.json", {**result, "versions": package_versions(), "machine": machine()})
    _show(rows)
    print(f"results: {folder}")
    return 0


def _motion(arm: Any, steps: int) -> Iterator[tuple[Candidate, Observation]]:
    """What an engine wants and what is seen, along a smooth way round the workspace."""
    joints = HOME
    (x, y, z), quaternion = arm.tool_pose(joints)
    image = np.full((224, 224, 3), 100, np.uint8)
    for step in range(steps):
        if step % ROUND_STEPS == 0:  # closed for the tool, but the elbow of a redundant arm would drift
            joints = HOME
            (x, y, z), quaternion = arm.tool_pose(joints)
        angle = 2.0 * np.pi * step / ROUND_STEPS
        delta = (
            0.008 * np.cos(angle),
            0.012 * np.sin(angle),
            -0.01 * np.sin(2 * angle),
            0.0,
            0.0,
            0.03 * np.cos(angle),
        )
        action = Action((*(float(value) for value in delta), 1.0))
        pose = (x, y, z, *quaternion)
        robot = RobotState(pose, joints, (0.0,) * 7, (0.0,) * 7, (0.0, 0.0, 1.0), 1.0, 0.1)
        image[0, 0, 0] = step % 256
        seen = Observation(
            {"front": image.copy()}, Proprioception(joints, pose, 1.0), "go", 0.2 * step, step, robot
        )
        yield Candidate(action, Proposal(NormalizedAction(action.values), TOKENS), 0.2 * step), seen
        x, y, z = x + action.values[0], y + action.values[1], z + action.values[2]
        turn = action.values[5] / 2.0
        i, j, k, w = quaternion
        s, c = float(np.sin(turn)), float(np.cos(turn))
        quaternion = (c * i - s * j, c * j + s * i, c * k + s * w, c * w - s * k)
        joints = arm.reach(joints, (x, y, z), quaternion).joints


def _clips(motion: list[tuple[Candidate, Observation]]) -> list[float]:
    low, high = np.array(SPEC.low), np.array(SPEC.high)
    spent = []
    for candidate, _ in motion:
        assert candidate.action is not None
        began_s = time.perf_counter()
        np.clip(np.array(candidate.action.values), low, high)
        spent.append(time.perf_counter() - began_s)
    return spent


def _judged(chain: GuardChain, motion: list[tuple[Candidate, Observation]]) -> list[float]:
    """The pure chain, and what it remembers."""
    memory: Mapping[str, Any] = {}
    spent = []
    hold = Action((0.0,) * 6 + (1.0,))
    for index, (candidate, seen) in enumerate(motion):
        context = GuardContext(
            seen, seen.capture_time_s, TOKENS, hold, {"front": FrameFacts(index, 100.0)}, memory
        )
        began_s = time.perf_counter()
        judgement = chain.fold(candidate, context)
        memory = chain.remember(context, judgement)
        spent.append(time.perf_counter() - began_s)
        _must_pass(judgement)
    return spent


def _supervised(
    chain: GuardChain, settings: Mapping[str, Any], motion: list[tuple[Candidate, Observation]]
) -> list[float]:
    """With the pictures looked at, and the record written."""
    spent = []
    hold = Action((0.0,) * 6 + (1.0,))
    with tempfile.TemporaryDirectory() as folder:
        record, supervisor = GuardRecord(Path(folder), settings), Supervisor(chain)
        supervisor.record_with(record.write)
        for candidate, seen in motion:
            began_s = time.perf_counter()
            judgement = supervisor.judge(candidate, seen, hold, seen.capture_time_s)
            spent.append(time.perf_counter() - began_s)
            _must_pass(judgement)
        record.close()
    return spent


class _Played:
    """Environment and engine in one that give what was prepared, and take the time between."""

    action_spec = SPEC
    done = False

    def __init__(self, motion: list[tuple[Candidate, Observation]]) -> None:
        self._motion, self._index = motion, 0
        self.step_limit = len(motion)

    def reset(self, seed: int, clock: object = None) -> None:
        self._index = 0

    def observe(self, now_s: float) -> Observation:
        return self._motion[min(self._index, len(self._motion) - 1)][1]

    def propose(self, observation: Observation) -> Candidate:
        return self._motion[self._index][0]

    def act(self, action: Action) -> None:
        self._index += 1

    def hold_action(self, observation: Observation) -> Action:
        return Action((0.0,) * 6 + (1.0,))

    def outcome(self) -> dict[str, Any]:
        return {}

    def drop_chunk(self) -> None:
        raise AssertionError("nothing is held here")

    def stop(self) -> None:
        pass

    def close(self) -> None:
        pass


class _Stamped(LockstepClock):  # type: ignore[misc]  it is final for everybody else
    """Remembers when each tick ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ended_s = [time.perf_counter()]

    def sleep_until(self, deadline_s: float) -> None:
        super().sleep_until(deadline_s)
        self.ended_s.append(time.perf_counter())


def _looped(
    chain: GuardChain, settings: Mapping[str, Any], motion: list[tuple[Candidate, Observation]]
) -> list[float]:
    """The real loop, round parts that cost nothing."""
    played, clock = _Played(motion), _Stamped()
    with tempfile.TemporaryDirectory() as folder:
        record, supervisor = GuardRecord(Path(folder), settings), Supervisor(chain)
        supervisor.record_with(record.write)
        run_episode(played, played, supervisor, RecorderGroup([]), clock, seed=0)
        record.close()
    return np.diff(clock.ended_s)[1:].tolist()


def _must_pass(judgement: Judgement) -> None:
    if judgement.touched_by:
        raise AssertionError(f"{judgement.interventions}: the motion is meant to pass")


def _row(times: list[float], clips: list[float]) -> dict[str, float]:
    p50, p95, p99 = (float(value) * 1e6 for value in np.percentile(times, [50, 95, 99]))
    return {"p50_us": p50, "p95_us": p95, "p99_us": p99, "over_clip": p50 / (1e6 * float(np.median(clips)))}


def _show(rows: Mapping[str, Mapping[str, float]]) -> None:
    table = Table(title="one step")
    for column in ("what", "p50, µs", "p95, µs", "p99, µs", "over clip"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for name, row in rows.items():
        numbers = (f"{row[key]:.1f}" for key in ("p50_us", "p95_us", "p99_us", "over_clip"))
        table.add_row(name, *numbers)
    Console(width=110).print(table)


if __name__ == "__main__":
    run_command(main)
