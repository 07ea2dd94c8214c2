"""vla-doctor: what is installed, what this machine can do, and whether a checkpoint is sound."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hydra.core.config_store import ConfigStore
from rich.console import Console

from vla_runtime.commands.command_line import output_folder, run_command
from vla_runtime.config import compose_config
from vla_runtime.errors import ConfigurationError
from vla_runtime.evaluation.stamp import machine, package_versions
from vla_runtime.recording.files import writable_folder, write_json
from vla_runtime.types import Observation

HELP = """\
vla-doctor: what is installed, what this machine can do, and whether a checkpoint is sound.

  vla-doctor
  vla-doctor checkpoint=PATH_OR_HUB_ID unnorm_key=bridge_orig device=cuda dtype=bfloat16

Settings: checkpoint, unnorm_key, device, dtype, runs (timed actions), out (folder of result.json).
Exit code: 0 when all is well, 2 when the checkpoint is refused.
"""
SIDE = 224  # [px] of the timed image


@dataclass
class DoctorSettings:
    """The settings of configs/doctor.yaml."""

    checkpoint: str | None = None
    unnorm_key: str | None = None
    device: str = "cpu"
    dtype: str = "float32"
    runs: int = 5
    out: str | None = None


ConfigStore.instance().store(name="doctor_settings", node=DoctorSettings)


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments or "-h" in arguments:
        print(HELP, end="")
        return 0
    config = compose_config("doctor", arguments)
    if config.runs < 1:
        raise ConfigurationError(f"runs={config.runs}: expected 1 or more")
    console = Console()
    result: dict[str, Any] = {"versions": package_versions(), "machine": machine(), "devices": _devices()}
    _show(console, "versions", result["versions"])
    _show(console, "machine", {**result["machine"], **result["devices"]})
    if config.checkpoint is not None:
        result |= _checkpoint(config)
        _show(console, "checkpoint", result["checkpoint"])
        _show(console, "timing", result["timing"])
    folder = writable_folder(output_folder(config.out, "doctor"), "out")
    write_json(folder / "result.json", result)
    console.print(f"results: {folder}", markup=False, highlight=False, soft_wrap=True)
    return 0


def _checkpoint(config: Any) -> dict[str, Any]:
    """Load it, test it, and time some actions."""
    from vla_runtime.policies.openvla import OpenVLAPolicy

    start = time.perf_counter()
    policy = OpenVLAPolicy(config.checkpoint, config.unnorm_key, device=config.device, dtype=config.dtype)
    load_s = time.perf_counter() - start
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    observation = Observation({"front": image}, None, "pick up the red cube", 0.0, 0)
    policy.act(observation)  # the first one is slower
    times = []
    for _ in range(config.runs):
        start = time.perf_counter()
        policy.act(observation)
        times.append((time.perf_counter() - start) * 1e3)
    timing = {
        "load_and_self_test_s": round(load_s, 2),
        "action_ms_median": round(float(np.median(times)), 2),
        "action_ms_slowest": round(max(times), 2),
        "actions_timed": config.runs,
    }
    return {"checkpoint": dict(policy.describe()), "timing": timing}


def _devices() -> dict[str, Any]:
    import torch

    cuda = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {"threads": torch.get_num_threads(), "cuda": cuda, "mps": torch.backends.mps.is_available()}


def _show(console: Console, title: str, rows: dict[str, Any]) -> None:
    console.print(f"[bold]{title}[/bold]")
    for key, value in rows.items():
        console.print(f"  {key}: {value}", markup=False, highlight=False, soft_wrap=True)


def run() -> None:
    """Entry point of the console command vla-doctor."""
    run_command(main)
