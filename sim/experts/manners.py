"""From where the tool should go to one action, in the manner of who acts: briskly, or so that it can be learnt from pixels.

Where to go is decided once, in tabletop.py; manners say how, and how exactly. The brisk one is what runs and demonstrations
show. The graded one answers for lessons: its actions depend on what a picture shows (where the tool is, not where it was
told to be), and hardly any value is much more frequent than those beside it. A network that takes the most probable of 256 bins follows peaks: taught by the
brisk one, it said "no motion" and "as far as allowed" and little between.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.control import ActionLimits
from sim.rotations import down_at_yaw, heading, rpy_between, wrapped
from sim.state import SimulatorState
from sim.world import Vector, rotation_matrix

CLIMB_MARGIN, CLIMB_BAND = 0.025, 0.050  # [m] too low by the margin: travel more slowly over the band
LEAST_TURN = 1e-4  # [rad] less is rounding: left in, it would be all that a data set knows of roll and pitch
GRADED_GAIN = 0.7  # of what is missing, in one action: with the arm's lag it settles in three
GRADED_CLIMB = 0.15  # [1] share of the way that is travelled even when the tool must rise first


@dataclass(frozen=True)
class Aim:
    """Where the tool should go [m], [rad], and what the gripper should do.

    Attributes:
        stay: Where the tool may as well stay while the gripper acts [m]; None: it has to go on.
        at_once: Whether it shall be at that height in one action.
    """

    position: Vector
    yaw: float
    gripper: float
    stay: Vector | None = None
    at_once: bool = False


@dataclass(frozen=True)
class Manner:
    """How the hand moves, and how exact it is before the fingers do.

    Attributes:
        act: From an aim to an action.
        grasp: The tool is where the fingers may close: [m] horizontal, [m] vertical, [rad].
        settled_m: The tool's height above its target from which on it still sinks: fingers that close while it does
            press the thing down [m].
        release: The thing is where the fingers may open: [m] horizontal, [m] vertical, [rad].
        above_m: So far above the grasp height the hand stops [m].
        early_m: So much higher than that the fingers may close or open as well [m].
        rise_m: The hand rises by so much in each action while the fingers close, while they open, and as long as what they hold
            is less than `low_m` above the table [m]: who rises presses nothing down.
        low_m: See there [m]; 0: it is carried at once.
        waits: Whether the hand stays high until the fingers are open wide enough.
        hover_m: Height above where the fingers act, at which the hand waits until it is centred, to go down in one action from
            there; 0: it sinks while it is being centred.
    """

    act: Callable[[Aim, SimulatorState, ActionLimits], NDArray[np.float64]]
    grasp: tuple[float, float, float]
    settled_m: float
    release: tuple[float, float, float]
    above_m: float = 0.0
    early_m: float = 0.0
    rise_m: float = 0.0
    low_m: float = 0.0
    waits: bool = True
    hover_m: float = 0.0


def brisk(aim: Aim, state: SimulatorState, limits: ActionLimits) -> NDArray[np.float64]:
    """As far as it is or as the limits of each axis allow, from where the tool was told to be."""
    there = aim.stay or aim.position
    step = [goal - now for goal, now in zip(there, state.target_position, strict=True)]
    slow = _climb_first(step[2])
    turn = rpy_between(state.target_quaternion, down_at_yaw(aim.yaw))
    step = [step[0] * slow, step[1] * slow, step[2]]
    return np.array(
        [
            *(_clamped(s, limits.step_m) for s in step),
            *(_clamped(t, limits.turn_rad) if abs(t) > LEAST_TURN else 0.0 for t in turn),
            aim.gripper,
        ]
    )


def graded(aim: Aim, state: SimulatorState, limits: ActionLimits) -> NDArray[np.float64]:
    """A share of what is missing from where the tool is; far away it tends to the largest step along the whole way.

    Roll and pitch are left alone: they stay where they are, pointing down.
    """
    x, y, z = (goal - now for goal, now in zip(aim.position, state.tool_position, strict=True))
    slow = max(_climb_first(z), GRADED_CLIMB)
    way = np.array([x * slow, y * slow, z])
    far = float(np.linalg.norm(way))
    share = limits.step_m * math.tanh(GRADED_GAIN * far / limits.step_m) / max(far, 1e-9)
    off = wrapped(aim.yaw - heading_of(state.tool_quaternion))
    turn = limits.turn_rad * math.tanh(GRADED_GAIN * off / limits.turn_rad)
    step = way * share
    if aim.at_once:
        step[2] = _clamped(z, limits.step_m)
    return np.array([*step, 0.0, 0.0, turn, aim.gripper])


BRISK = Manner(brisk, (0.012, 0.012, 0.12), 0.003, (0.010, 0.010, 0.12))
# Whether the tool still sinks cannot be seen; so it rises as the fingers close.
GRADED = Manner(
    graded,
    (0.012, 0.012, 0.12),
    math.inf,
    (0.012, 0.012, 0.15),
    above_m=0.004,
    early_m=0.016,
    rise_m=0.018,
    low_m=0.024,
    waits=False,
    hover_m=0.045,
)


def heading_of(quaternion: tuple[float, float, float, float]) -> float:
    """Of a rotation's x axis in the table plane [rad]."""
    return heading(tuple(rotation_matrix(quaternion)[:, 0]))


def _climb_first(missing_height: float) -> float:
    """1 when high enough to travel, 0 when the tool must rise first."""
    return min(max(1.0 - (missing_height - CLIMB_MARGIN) / CLIMB_BAND, 0.0), 1.0)


def _clamped(value: float, limit: float) -> float:
    return min(max(value, -limit), limit)
