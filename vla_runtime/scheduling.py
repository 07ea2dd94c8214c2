"""What keeps a tick on time on a busy machine: real-time priority where it is granted, and no garbage collection."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

from vla_runtime.errors import ConfigurationError

LOWEST, HIGHEST = 1, 99


def request_fifo(priority: int | None) -> str:
    """Ask for SCHED_FIFO for this process, and say honestly what came of it.

    Args:
        priority: 1 to 99; None: do not ask.
    """
    if priority is None:
        return "normal scheduling"
    if not LOWEST <= priority <= HIGHEST:
        raise ConfigurationError(
            f"realtime_priority={priority}: expected from {LOWEST} to {HIGHEST}, or null for normal scheduling"
        )
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except (OSError, AttributeError) as error:
        return (
            f"SCHED_FIFO {priority} refused ({error}): on a busy machine ticks may be several ms late; "
            "CAP_SYS_NICE or an rtprio limit grants it"
        )
    return f"SCHED_FIFO {priority}"


def scheduling() -> str:
    """How this process is scheduled now, for records."""
    names = {os.SCHED_OTHER: "normal", os.SCHED_FIFO: "SCHED_FIFO", os.SCHED_RR: "SCHED_RR"}
    return names.get(os.sched_getscheduler(0), "other") if hasattr(os, "sched_getscheduler") else "unknown"


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep the garbage collector out of the block.

    It is only switched off: a full collection before each episode would cost time, and a Ctrl-C that arrives while finalizers
    run is lost.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
