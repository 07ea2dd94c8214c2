"""Ctrl-C and SIGTERM between two steps, not within one."""

import signal
import threading
from types import FrameType
from typing import final

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@final
class Interrupts:
    """Remembers the first request to stop within a block; a second one stops at once."""

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self.asked = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Interrupts":
        """Listen; only a program's main thread can."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._remember) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        """Who listened before listens again."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
