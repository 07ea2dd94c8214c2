"""What all commands share: errors in one line, exit codes, and where results go."""

import signal
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import NoReturn

from vla_runtime.errors import VLARuntimeError

EXIT_FAILED, EXIT_REFUSED, EXIT_INTERRUPTED = 1, 2, 130
ERROR_MODULES = ("vla_runtime.errors", "sim.errors")  # their classes carry messages meant for users


def run_command(main: Callable[[Sequence[str]], int], arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit: 0 when its work was done, 1 when it failed, 2 when it was refused, 130 when interrupted."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        sys.exit(main(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except Exception as error:
        message = user_message(error)
        if message is None:
            raise
        print(f"error: {message}", file=sys.stderr)
        sys.exit(EXIT_REFUSED)


def user_message(error: BaseException | None) -> str | None:
    """The one line for the user in an error or in what caused it; None when nobody foresaw it."""
    while error is not None:
        if isinstance(error, VLARuntimeError) or type(error).__module__ in ERROR_MODULES:
            return " ".join(str(error).split())
        error = error.__cause__ or error.__context__
    return None


def output_folder(out: str | None, command: str) -> Path:
    """The folder that `out` names, or a new one under outputs/ named after the command and the time."""
    if out is not None:
        return Path(out).expanduser()
    return Path("outputs") / command / datetime.now().astimezone().strftime("%Y-%m-%d_%H-%M-%S_%f")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
