"""Measure how much faster two workers collect demonstrations than one, beside what the machine itself allows.

python scripts/measure_collection.py
python scripts/measure_collection.py episodes=60 rounds=3 collected=pick

The rate is taken from the first episode that is in the data set to the last one, so that starting up does not count; the whole
command's time is reported apart. Beside it: how much more often two processes count to a number than one does in the same
time, which is 2 on two idle cores, and less where they share a core or somebody else is at work.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from hydra.core.config_store import ConfigStore
from rich.console import Console
from rich.table import Table

from vla_runtime.commands.command_line import output_folder, run_command
from vla_runtime.config import compose_config
from vla_runtime.errors import ConfigurationError
from vla_runtime.evaluation.collection import LOG
from vla_runtime.evaluation.stamp import machine, package_versions
from vla_runtime.recording.files import writable_folder, write_json

POLL_S = 0.02  # [s]
COUNT = "import time; t = time.perf_counter(); n = 0\nwhile n < 30_000_000: n += 1\nprint(time.perf_counter() - t)"


@dataclass
class MeasureCollectionSettings:
    """The settings of configs/measure_collection.yaml."""

    episodes: int = 30
    rounds: int = 2
    collected: str = "place_in"
    out: str | None = None


ConfigStore.instance().store(name="measure_collection_settings", node=MeasureCollectionSettings)


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments:
        print(__doc__)
        return 0
    config = compose_config("measure_collection", arguments)
    for name, low in (("episodes", 4), ("rounds", 1)):
        if config[name] < low:
            raise ConfigurationError(f"{name}={config[name]}: expected a whole number from {low}")
    folder = writable_folder(output_folder(config.out, "measure_collection"), "out")
    rates: dict[int, list[float]] = {1: [], 2: []}
    whole_s: dict[int, list[float]] = {1: [], 2: []}
    ceilings = []
    for _ in range(config.rounds):
        ceilings.append(2.0 * _counting(1) / _counting(2))
        for workers in (1, 2):
            rate, total_s = _collected(config.collected, config.episodes, workers)
            rates[workers].append(rate)
            whole_s[workers].append(total_s)
    result = {
        "task": config.collected,
        "episodes": config.episodes,
        "episodes_per_s": {workers: median(values) for workers, values in rates.items()},
        "whole_command_s": {workers: median(values) for workers, values in whole_s.items()},
        "speed_up": median(two / one for one, two in zip(rates[1], rates[2], strict=True)),
        "machine_allows": median(ceilings),
    }
    write_json(folder / "result.json", {**result, "versions": package_versions(), "machine": machine()})
    table = Table(title=f"{config.episodes} episodes of {config.collected}, median of {config.rounds} rounds")
    for column in ("workers", "episodes/s", "whole command, s"):
        table.add_column(column, justify="right")
    for workers in (1, 2):
        table.add_row(str(workers), f"{median(rates[workers]):.2f}", f"{median(whole_s[workers]):.1f}")
    Console(width=100).print(table)
    print(
        f"two workers over one: {result['speed_up']:.2f}; the machine allows {result['machine_allows']:.2f}"
    )
    print(f"results: {folder}")
    return 0


def _collected(task: str, episodes: int, workers: int) -> tuple[float, float]:
    """Episodes per second after the first one [1/s], and the whole command's time [s]."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "set"
        start = "from vla_runtime.commands.collect_demos import run; run()"
        command = [sys.executable, "-c", start, f"task={task}", f"episodes={episodes}", f"workers={workers}"]
        began_s = time.perf_counter()
        process = subprocess.Popen([*command, f"out={out}"], stdout=subprocess.DEVNULL)
        first_s, last_s, first, last = 0.0, 0.0, 0, 0
        while process.poll() is None:
            lines = (out / LOG).read_text().count("\n") - 1 if (out / LOG).exists() else 0
            if lines >= 1 and not first:
                first_s, first = time.perf_counter(), lines
            if lines >= episodes:
                last_s, last = time.perf_counter(), lines
                break
            time.sleep(POLL_S)
        code = process.wait()
        total_s = time.perf_counter() - began_s
        if code != 0 or not last:
            raise ConfigurationError(f"collecting ended with exit code {code}; see its message above")
        shutil.rmtree(out, ignore_errors=True)
    return (last - first) / (last_s - first_s), total_s


def _counting(processes: int) -> float:
    """Time that each of so many processes at once needs to count to a number [s]; the slowest one counts."""
    running = [
        subprocess.Popen([sys.executable, "-c", COUNT], stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    return max(float(process.communicate()[0]) for process in running)


if __name__ == "__main__":
    run_command(main)
