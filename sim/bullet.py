"""The one door to PyBullet: every other module of the simulator imports `pybullet` from here.

It turns a missing package into one clear line, and keeps PyBullet's build banner off the terminal.
"""

import os
import sys

from sim.errors import SimulatorMissing


def _import_quietly() -> None:
    """Import pybullet while file descriptors 1 and 2 are silenced: the banner is printed from C."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        import pybullet  # noqa: F401
    finally:
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for descriptor in (*saved, nowhere):
            os.close(descriptor)


try:
    _import_quietly()
    import pybullet
except ImportError as error:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    raise SimulatorMissing(
        f"pybullet is not installed for this Python {version}: use Python 3.11, for which it has a wheel, "
        "or compile it with pip install 'vla-runtime[sim]'"
    ) from error

__all__ = ["pybullet"]
