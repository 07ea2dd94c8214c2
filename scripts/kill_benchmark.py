"""Kill a benchmark, or one of its workers, at random moments: in the end every episode must be there exactly once.

python scripts/kill_benchmark.py
python scripts/kill_benchmark.py kills=4 victims=[runner,worker]

A benchmark of the scripted expert gets a SIGKILL at a moment drawn from a seed: the runner, one of its workers, or one of the workers of
its Ray cluster. Then the same command is run until it says that it is done, and the results are compared, line by line, with
those of a benchmark that nobody disturbed.
Exit code: 0 when all were the same, else 1.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from hydra.core.config_store import ConfigStore
from rich.progress import track

from vla_runtime.commands.command_line import EXIT_FAILED, output_folder, run_command
from vla_runtime.config import compose_config
from vla_runtime.errors import ConfigurationError
from vla_runtime.evaluation.results_log import RESULTS
from vla_runtime.evaluation.stamp import full_stamp
from vla_runtime.lines import whole_lines
from vla_runtime.recording.files import writable_folder, write_json

VICTIMS = ("runner", "worker", "ray_worker")
MARKS = {"worker": b"spawn_main", "ray_worker": b"ray::"}  # of their command lines
BENCHMARK = [
    sys.executable,
    "-c",
    "from vla_runtime.commands.benchmark import run; run()",
    "suite=place_in",
    "policy=expert",
]
SMALL = [
    "environment.env.cameras.front.width=64",
    "environment.env.cameras.front.height=64",
    "films.successes=0",
]
TRIES = 5  # to hit something, and of the same command after a kill
PATIENCE_S = 300.0  # [s]


@dataclass
class KillBenchmarkSettings:
    """The settings of configs/kill_benchmark.yaml."""

    kills: int = 20
    seed: int = 0
    episodes: int = 12
    victims: list[str] = field(default_factory=lambda: list(VICTIMS))
    out: str | None = None


ConfigStore.instance().store(name="kill_benchmark_settings", node=KillBenchmarkSettings)


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments:
        print(__doc__)
        return 0
    config = compose_config("kill_benchmark", arguments)
    for name, most in (("kills", 10_000), ("episodes", 1000)):
        if not 1 <= config[name] <= most:
            raise ConfigurationError(f"{name}={config[name]}: expected a whole number from 1 to {most}")
    unknown = [victim for victim in config.victims if victim not in VICTIMS]
    if unknown or not config.victims:
        raise ConfigurationError(f"victims={list(config.victims)}: expected some of {', '.join(VICTIMS)}")
    out = writable_folder(output_folder(config.out, "kill_benchmark"), "out")
    random = np.random.default_rng(config.seed)
    hit: Counter[str] = Counter()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        command = [*BENCHMARK, *SMALL, f"episodes={config.episodes}"]
        expected, lasts_s = _undisturbed(command, Path(folder), [str(victim) for victim in config.victims])
        for kill in track(range(config.kills), "killing", transient=True):
            victim = str(config.victims[kill % len(config.victims)])
            root = Path(folder) / f"{kill:03d}"
            own = [*command, f"out={root}", *_executor(victim)]
            for _ in range(TRIES):  # a moment at which there is nothing to be killed does not count
                if _killed(own, victim, float(random.uniform(0.0, lasts_s[victim])), random):
                    hit[victim] += 1
                    break
                shutil.rmtree(root, ignore_errors=True)
            wrong += [f"kill {kill}, {victim}: {line}" for line in _resumed(own, root, expected)]
    write_json(
        out / "result.json",
        {"kills": config.kills, "hit": dict(hit), "wrong": wrong, "run_with": full_stamp()},
    )
    for line in wrong:
        print(line)
    told = ", ".join(f"{victim} {count}" for victim, count in hit.items())
    print(f"{config.kills} times {config.episodes} episodes, killed before the end: {told}")
    print(f"wrong: {len(wrong)}")
    return EXIT_FAILED if wrong else 0


def _executor(victim: str) -> list[str]:
    return ["workers=2", "executor=ray"] if victim == "ray_worker" else ["workers=2"]


def _undisturbed(command: list[str], folder: Path, victims: list[str]) -> tuple[list[str], dict[str, float]]:
    """The episodes' lines of a benchmark that is left alone, and how long each kind takes [s]."""
    lasts_s: dict[str, float] = {}
    lines: list[str] = []
    for kind in sorted({" ".join(_executor(victim)) for victim in victims}):
        root = folder / f"whole_{len(lasts_s)}"
        began_s = time.monotonic()
        subprocess.run(
            [*command, f"out={root}", *kind.split()], check=True, capture_output=True, timeout=PATIENCE_S
        )
        lasts_s[kind] = time.monotonic() - began_s
        lines = _episodes(root)
    return lines, {victim: lasts_s[" ".join(_executor(victim))] for victim in victims}


def _killed(command: list[str], victim: str, after_s: float, random: np.random.Generator) -> bool:
    """Start a benchmark and kill; whether there was still something to be killed."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as runner:
        time.sleep(after_s)
        chosen = [runner.pid] if victim == "runner" else _descendants(runner.pid, MARKS[victim])
        hit = runner.poll() is None and bool(chosen)
        if hit:
            os.kill(int(random.choice(chosen)), signal.SIGKILL)
        runner.wait(PATIENCE_S)
    return hit


def _resumed(command: list[str], root: Path, expected: list[str]) -> list[str]:
    """Run the same command until it is done; what is wrong with its results then."""
    told = ""
    for _ in range(TRIES):
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE_S)
        if done.returncode == 0:
            break
        told = done.stderr.strip()[-200:]
    else:
        return [f"not done after {TRIES} tries: {told}"]
    found = _episodes(root)
    if found == expected:
        return []
    counted = Counter(found)
    missing, twice = set(expected) - set(found), [line for line, count in counted.items() if count > 1]
    return [f"{len(missing)} episodes missing or other, {len(twice)} twice, {len(found)} lines"]


def _episodes(root: Path) -> list[str]:
    """The whole lines of the episodes, in the order in which they were written."""
    return [json.dumps(line) for line in whole_lines(root / RESULTS) if "settings" not in line]


def _descendants(ancestor: int, mark: bytes) -> list[int]:
    """Processes below another one whose command line has a mark."""
    parents: dict[int, int] = {}
    commands: dict[int, bytes] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
                commands[int(entry.name)] = (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it has ended meanwhile
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])

    def below(process: int) -> bool:
        while process in parents:
            process = parents[process]
            if process == ancestor:
                return True
        return False

    return [process for process, command in commands.items() if mark in command and below(process)]


if __name__ == "__main__":
    run_command(main)
