"""Gripper conventions. Inside the runtime a gripper number is always an *opening*: 1 open, 0 closed.

Data sets and simulators mean other things by theirs. The conversions are those of the original's data transforms and
evaluation scripts (openvla/openvla, prismatic/vla/datasets/rlds/utils/data_utils.py and
experiments/robot/robot_utils.py); its golden values are in tests/data/openvla.
"""

from collections.abc import Sequence

OPEN_ABOVE, CLOSED_BELOW = 0.95, 0.05  # [opening] Bridge's fingers are surely open or closed beyond these
RELATIVE_DEADBAND = 0.1  # RT-1's relative commands smaller than this mean "as before"


def opening_from_libero_dataset(command: float) -> float:
    """A command of LIBERO's data set, -1 open to +1 closed, as an opening."""
    return 1.0 - min(max(command, 0.0), 1.0)


def libero_from_opening(opening: float) -> float:
    """An opening as LIBERO's command: -1 open, +1 closed, and 0 at exactly 0.5."""
    centred = 2.0 * opening - 1.0
    return float((centred < 0) - (centred > 0))


def binarized(openings: Sequence[float]) -> list[float]:
    """Openings of a whole episode as 0 or 1: while the fingers travel, what they arrive at counts.

    An episode that ends on the way keeps its last raw value for those steps.
    """
    result: list[float] = []
    later = openings[-1] if openings else 0.0
    for opening in reversed(openings):
        if opening > OPEN_ABOVE:
            later = 1.0
        elif opening < CLOSED_BELOW:
            later = 0.0
        result.append(later)
    return result[::-1]


def openings_from_relative(commands: Sequence[float]) -> list[float]:
    """RT-1's relative commands of a whole episode, +1 close and -1 open, as openings.

    The first command that moves the fingers is taken to change something; before it they were the other way.
    """
    moves = [command for command in commands if abs(command) > RELATIVE_DEADBAND]
    opening = 1.0 if not moves or moves[0] > 0 else 0.0
    result: list[float] = []
    for command in commands:
        if abs(command) > RELATIVE_DEADBAND:
            opening = 0.0 if command > 0 else 1.0
        result.append(opening)
    return result


def opening_from_width(width_m: float, open_width_m: float) -> float:
    """The distance between the fingers [m] as an opening, given that of the open gripper [m]."""
    return min(max(width_m / open_width_m, 0.0), 1.0)


def width_from_opening(opening: float, open_width_m: float) -> float:
    """An opening as the distance between the fingers [m]."""
    return min(max(opening, 0.0), 1.0) * open_width_m
