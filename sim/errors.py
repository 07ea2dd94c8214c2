"""What the simulator refuses, in words a user can act on.

SimulatorError
├── SimulatorMissing      pybullet is not installed
├── UnknownName           a task, object or receptacle that does not exist; the known ones are listed
├── InvalidSetting        a constructor argument outside what makes sense
├── InvalidAction         an action of the wrong shape, or not finite
└── SceneFull             no room on the table for all that was asked
"""

from collections.abc import Iterable
from difflib import get_close_matches


class SimulatorError(Exception):
    """Root of all errors that the simulator raises on purpose."""


class SimulatorMissing(SimulatorError, ImportError):
    """PyBullet cannot be imported."""


class UnknownName(SimulatorError, ValueError):
    """A name that is not in a catalogue."""

    def __init__(self, what: str, name: object, known: Iterable[str]) -> None:
        names = sorted(known)
        close = get_close_matches(str(name), names, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        super().__init__(f"unknown {what} {name!r}{hint}; known: {', '.join(names)}")


class InvalidSetting(SimulatorError, ValueError):
    """A constructor argument outside what makes sense."""


class InvalidAction(SimulatorError, ValueError):
    """An action of the wrong shape, or one that is not finite."""


class SceneFull(SimulatorError):
    """The table has no room for all the objects that were asked for."""
