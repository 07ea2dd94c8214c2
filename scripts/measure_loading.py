"""Measure the memory that loading a checkpoint takes, beside the size of its weights.

    python scripts/measure_loading.py                      # makes a checkpoint of 1.1 GB with random weights
    python scripts/measure_loading.py checkpoint=PATH dtype=bfloat16

A child process loads a tiny checkpoint first, so that imports are not counted, and then the one that is measured.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.config_store import ConfigStore

from vla_runtime.commands.command_line import output_folder, run_command
from vla_runtime.config import compose_config
from vla_runtime.evaluation.stamp import machine, package_versions
from vla_runtime.models.openvla.random_checkpoint import write_random_checkpoint
from vla_runtime.recording.files import writable_folder, write_json

IN_A_CHILD = """
import json, sys, torch
from pathlib import Path
from vla_runtime.models.openvla.checkpoint import load_model

def peak_bytes():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024

tiny, folder, dtype = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
load_model(tiny)
before = peak_bytes()
loaded = load_model(folder, dtype=getattr(torch, dtype) if dtype != "as_stored" else None)
print(json.dumps({"before": before, "peak": peak_bytes(), "weights": loaded.weight_bytes}))
"""


@dataclass
class LoadingSettings:
    """The settings of configs/measure_loading.yaml."""

    checkpoint: str | None = None
    dtype: str = "as_stored"
    out: str | None = None


ConfigStore.instance().store(name="loading_settings", node=LoadingSettings)


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments:
        print(__doc__)
        return 0
    config = compose_config("measure_loading", arguments)
    folder = writable_folder(output_folder(config.out, "measure_loading"), "out")
    with tempfile.TemporaryDirectory() as temporary:
        tiny, large = Path(temporary) / "tiny", Path(config.checkpoint or Path(temporary) / "large")
        write_random_checkpoint(tiny)
        if config.checkpoint is None:
            print("making a checkpoint of about 1.1 GB ...", flush=True)
            write_random_checkpoint(large, "1gb")
        command = [sys.executable, "-c", IN_A_CHILD, str(tiny), str(large), config.dtype]
        measured = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    ratio = (measured["peak"] - measured["before"]) / measured["weights"]
    write_json(
        folder / "result.json",
        {**measured, "ratio": ratio, "versions": package_versions(), "machine": machine()},
    )
    print(f"weights {measured['weights'] / 1e9:.3f} GB, peak while loading {ratio:.3f} times that")
    print(f"results: {folder}")
    return 0


if __name__ == "__main__":
    run_command(main)
