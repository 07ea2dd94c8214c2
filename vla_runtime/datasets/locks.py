"""One process at a time: a lock that the operating system lets go of when its holder dies, however it dies."""

import fcntl
import os
import time
from pathlib import Path
from typing import final

from vla_runtime.errors import DatasetBusy, RecordingFailed

RETRY_S = 0.05  # [s]


@final
class FileLock:
    """Holds a lock file. What a dead process left is taken over, since its lock died with it."""

    def __init__(self, path: Path, what: str, wait_s: float = 0.0) -> None:
        """Take the lock.

        Args:
            path: The file; it stays there, unlocked, afterwards.
            what: What is locked, for the error.
            wait_s: How long to wait for another process [s].

        Raises:
            DatasetBusy: Another process holds it.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RecordingFailed(f"{path}: {error.strerror}") from error
        if not _locked_within(self._descriptor, wait_s):
            holder = os.read(self._descriptor, 100).decode(errors="replace").strip() or "unknown"
            os.close(self._descriptor)
            raise DatasetBusy(f"{what}: process {holder} writes to it (lock {path}); wait for it to end")
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()}\n".encode())

    @property
    def released(self) -> bool:
        """Whether it was let go of."""
        return self._descriptor < 0

    def release(self) -> None:
        """Let go; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock of a file."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _locked_within(descriptor, 0.0)
    finally:
        os.close(descriptor)


def _locked_within(descriptor: int, wait_s: float) -> bool:
    give_up_s = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= give_up_s:
                return False
            time.sleep(RETRY_S)
