"""What a result was made with."""

import platform
import sys
from importlib import metadata

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


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
