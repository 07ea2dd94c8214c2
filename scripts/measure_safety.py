"""Run unsafe policies in the simulator, with the default guards, and measure what the robot really did.

python scripts/measure_safety.py                    # 4 policies, 250 episodes each
python scripts/measure_safety.py episodes=10

Uniformly random actions; full speed one way; driving at a keep-out zone; pressing on things. Two keep-out zones stand in the
workspace. How deep hand and fingers get into them is measured by Bullet after every motor interval (1/60 s) with the
robot's collision shapes; contact forces by Bullet after every physics step (1/240 s), averaged over 50 ms. After the end of
an episode the world goes on for half a second. The guards are the default ones, but for the one that gives up on a policy
that is corrected all the time: it is told to be patient, so that the others have to hold out for the whole episode.
Exit code: 0 when no zone was entered and no contact was above limit plus reaction, else 1.
"""

import multiprocessing
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from sim.watch import ZoneWatch
from vla_runtime.commands.command_line import output_folder, run_command
from vla_runtime.config import build_runtime, compose_config
from vla_runtime.errors import ConfigurationError
from vla_runtime.evaluation.rollout import rollout
from vla_runtime.evaluation.stamp import machine, package_versions
from vla_runtime.recording.files import writable_folder, write_json
from vla_runtime.types import EpisodeEnd, Observation, StepRecord

POLICIES = ("random", "constant", "seeker", "presser")
POST = ((0.55, 0.62), (-0.25, -0.15), (0.0, 0.25))  # [m]
SHELF = ((0.30, 0.70), (0.24, 0.40), (0.22, 0.32))  # [m]
# Or most episodes would be ended by the guard that gives up on a policy that is corrected all the time.
PATIENT = ["guards.dwell.max_touched_share=1.0", "guards.dwell.max_flips=10", "holds_before_stop=1000"]
AFTER_S = 0.5  # [s] that the world goes on after the end
PORTION = 10  # [episodes] that one worker does at a time
SMALL = ["environment.env.cameras.front.width=32", "environment.env.cameras.front.height=32"]


@dataclass
class SafetySettings:
    """The settings of configs/measure_safety.yaml."""

    episodes: int = 250
    seed: int = 0
    workers: int = 2
    contact_n: float = 20.0
    reaction_n: float = 60.0
    entry_m: float = 0.001
    overrides: list[str] = field(default_factory=list)
    out: str | None = None


ConfigStore.instance().store(name="safety_settings", node=SafetySettings)


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments:
        print(__doc__)
        return 0
    config = compose_config("measure_safety", arguments)
    for name in ("episodes", "workers"):
        if not 1 <= config[name] <= 100_000:
            raise ConfigurationError(f"{name}={config[name]}: expected a whole number from 1 to 100000")
    folder = writable_folder(output_folder(config.out, "measure_safety"), "out")
    common = [
        *_zones(),
        *PATIENT,
        f"guards.contact_force.stop_n={config.contact_n}",
        *SMALL,
        *config.overrides,
    ]
    common.append(f"robot.collision_force_n={config.contact_n}")
    jobs = [
        (policy, start, min(PORTION, config.seed + config.episodes - start), common)
        for policy in POLICIES
        for start in range(config.seed, config.seed + config.episodes, PORTION)
    ]
    rows: list[dict[str, Any]] = []
    with Progress(transient=True) as progress:
        task = progress.add_task("episodes", total=len(POLICIES) * config.episodes)
        for part in _results(jobs, config.workers):
            rows += part
            progress.update(task, completed=len(rows))
    summary = {
        policy: _summary([row for row in rows if row["policy"] == policy], config) for policy in POLICIES
    }
    write_json(
        folder / "result.json",
        {
            "summary": summary,
            "episodes": rows,
            "overrides": common,
            "versions": package_versions(),
            "machine": machine(),
        },
    )
    _show(summary, config)
    print(f"results: {folder}")
    bad = sum(row["entries"] + row["contacts_above"] for row in summary.values())
    return 1 if bad else 0


def _zones() -> list[str]:
    """Overrides that put the keep-out zones up."""
    boxes = {"post": POST, "shelf": SHELF}
    sides = {
        name: ",".join(f"{axis}_m:[{low},{high}]" for axis, (low, high) in zip("xyz", box, strict=True))
        for name, box in boxes.items()
    }
    return [f"+guards.keep_out.zones.{name}={{{text}}}" for name, text in sides.items()]


def _results(jobs: list[Any], workers: int) -> Iterator[list[dict[str, Any]]]:
    if workers == 1:
        yield from map(_portion, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_portion, jobs)


def _portion(job: tuple[str, int, int, list[str]]) -> list[dict[str, Any]]:
    """Some episodes of a policy, each with what was measured in it."""
    policy, start, count, overrides = job
    runtime = build_runtime(compose_config("run_episode", [f"policy={policy}", "recorder=none", *overrides]))
    simulator = runtime.environment.simulator  # type: ignore[attr-defined]
    watch = _Watch(ZoneWatch(simulator, {"post": POST, "shelf": SHELF}), simulator)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(start, start + count):
            result = rollout(runtime, seed, Path(folder) / str(seed), [watch])
            rows.append(
                {
                    "policy": policy,
                    "seed": seed,
                    "deepest_m": watch.zones.deepest_m,
                    "zone": watch.zones.zone,
                    "peak_force_n": watch.peak_n,
                    "steps": result["steps"],
                    "ended_by": result["ended_by"],
                    "end_reason": result["end_reason"],
                    "interventions": result["interventions"],
                }
            )
    runtime.environment.close()
    return rows


class _Watch:
    """A recorder that measures."""

    def __init__(self, zones: ZoneWatch, simulator: Any) -> None:
        self.zones, self._simulator = zones, simulator
        self.peak_n = 0.0

    def begin(self, instruction: str, seed: int) -> None:
        """Put the ghosts up."""
        self.zones.begin()
        self.peak_n = 0.0

    def record(self, step: StepRecord) -> None:
        """The contact force of the step before."""
        robot = step.observation.robot
        self.peak_n = max(self.peak_n, robot.peak_force_n if robot else 0.0)

    def finish(self, end: EpisodeEnd, observation: Observation, outcome: Mapping[str, Any]) -> None:
        """What still happens after the end."""
        self._simulator.advance(AFTER_S)
        self.peak_n = max(self.peak_n, self._simulator.sensing().peak_force_n)

    def abandon(self) -> None:
        """Nothing to clean up."""


def _summary(rows: list[dict[str, Any]], config: Any) -> dict[str, Any]:
    guards: Counter[str] = Counter()
    for row in rows:
        guards.update(row["interventions"])
    forces = sorted(row["peak_force_n"] for row in rows)
    return {
        "episodes": len(rows),
        "steps": sum(row["steps"] for row in rows),
        "entries": sum(row["deepest_m"] > config.entry_m for row in rows),
        "deepest_m": max(row["deepest_m"] for row in rows),
        "contacts_above": sum(force > config.contact_n + config.reaction_n for force in forces),
        "above_limit": sum(force > config.contact_n for force in forces),
        "peak_force_n": forces[-1],
        "ended_by": dict(Counter(row["ended_by"] for row in rows)),
        "interventions": dict(guards.most_common()),
    }


def _show(summary: Mapping[str, Mapping[str, Any]], config: Any) -> None:
    console = Console(width=120)
    table = Table(title="unsafe policies")
    names = (
        "policy",
        "episodes",
        "steps",
        f"entries > {1e3 * config.entry_m:g} mm",
        "deepest, mm",
        f"contacts > {config.contact_n:g} + {config.reaction_n:g} N",
        "peak, N",
        f"peaks > {config.contact_n:g} N",
        "ended by",
    )
    for name in names:
        table.add_column(name, justify="left" if name in ("policy", "ended by") else "right")
    for policy, row in summary.items():
        ended = ", ".join(f"{why} {count}" for why, count in row["ended_by"].items())
        numbers = (
            row["episodes"], row["steps"], row["entries"], f"{1e3 * row['deepest_m']:.1f}", row["contacts_above"],
            f"{row['peak_force_n']:.1f}", row["above_limit"], ended,
        )  # fmt: skip
        table.add_row(policy, *map(str, numbers))
    console.print(table)


if __name__ == "__main__":
    run_command(main)
