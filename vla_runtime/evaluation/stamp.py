"""What a result was made with."""

import os
import platform
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "vla-runtime",
    "pybullet",
    "gymnasium",
    "numpy",
    "torch",
    "transformers",
    "pyzmq",
    "hydra-core",
    "av",
)


def package_versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that matter; None where one is not installed."""
    return {"python": sys.version.split()[0], **{name: _version(name) for name in PACKAGES}}


def machine() -> dict[str, str]:
    """Operating system and processor type."""
    return {"system": platform.platform(), "processor": platform.machine()}


@cache
def full_stamp() -> dict[str, Any]:
    """Versions, machine with processor, cores and GPU, and the commit of a checkout: what a benchmark was run with."""
    return {
        "versions": package_versions(),
        "machine": {**machine(), "cpu": _cpu(), "cores": os.cpu_count(), "gpu": _gpu()},
        "commit": _commit(),
    }


def _cpu() -> str | None:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def _gpu() -> str | None:
    import torch  # here: most commands need none of it

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def _commit() -> str | None:
    """Of the checkout that this code is in, "+" behind it when files were changed; None outside of one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        told = [
            subprocess.run(
                ["git", "-C", str(root), *words], capture_output=True, text=True, check=True, timeout=10
            )
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return told[0].stdout.strip() + ("+" if told[1].stdout.strip() else "")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
