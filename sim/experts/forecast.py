"""The state one control period from now, without physics: for plans, and for looking past actions under way.

Kinematics only: the arm lags as its motors do, fingers stop at what they close on, what is held goes with the tool, what
is driven goes on as it does now, everything else stays. Nothing falls, slips or is pushed.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sim.control import ActionLimits, Target, checked, moved
from sim.robots.panda import FINGER_SPEED, GRIPPER_WIDTH, LAG_S, POSITION_GAIN, SUBSTEPS_PER_TARGET
from sim.rotations import rpy_between, turned
from sim.state import BodyState, SimulatorState
from sim.world import SUBSTEP_S, Quaternion, Vector

INTERVAL_S = SUBSTEPS_PER_TARGET * SUBSTEP_S  # [s] between two joint targets
CATCH_UP = 1.0 - (1.0 - POSITION_GAIN) ** SUBSTEPS_PER_TARGET  # of a motor's error, in one interval
OPENING_SPEED = 2.0 * FINGER_SPEED / GRIPPER_WIDTH  # [openings/s] of both fingers together
GRASP_REACH_M = (
    0.020  # [m] of a thing's centre from the tool point, along each axis, when fingers close on it
)
TOUCH = 0.02  # [openings] by which the fingers may be wider than a thing and still touch it


def forecast(
    state: SimulatorState, action: NDArray[np.float64], limits: ActionLimits, period_s: float
) -> SimulatorState:
    """The state after one action.

    Args:
        state: At the start of the control period.
        action: x, y, z [m], roll, pitch, yaw [rad], gripper opening.
        limits: The largest step and turn of one action.
        period_s: The control period [s].

    Raises:
        InvalidAction: Wrong shape, or not finite.
    """
    start = Target(state.target_position, state.target_quaternion, state.gripper_target)
    tool = (state.tool_position, state.tool_quaternion)
    goal, _ = moved(start, checked(action, limits)[0], tool)
    intervals = round(period_s / INTERVAL_S)
    position = _followed(state.tool_position, start.position, goal.position, intervals)
    held = state.gripped if state.gripped in state.bodies else None  # the fingers may touch the table as well
    within = held or _within_reach(state)
    opening = _opening(state, goal.gripper, within, intervals)
    gripped = within if within and _touches(state, within, opening, goal.gripper) else None
    return SimulatorState(
        position,
        _turned_after(state.tool_quaternion, start.quaternion, goal.quaternion, intervals),
        goal.position,
        goal.quaternion,
        opening,
        goal.gripper,
        gripped,
        _carried_on(state, position, gripped, period_s),
    )


def _followed(here: Vector, start: Vector, goal: Vector, intervals: int) -> Vector:
    """Where something is that follows targets which go from start to goal in a number of motor intervals."""
    now, first, last = (np.array(place) for place in (here, start, goal))
    for leg in range(1, intervals + 1):
        now = now + CATCH_UP * (first + (last - first) * (leg / intervals) - now)
    x, y, z = now.tolist()
    return (x, y, z)


def _turned_after(here: Quaternion, start: Quaternion, goal: Quaternion, intervals: int) -> Quaternion:
    """The same for rotations, as turns about the fixed axes from where it is: good for small ones."""
    none: Vector = (0.0, 0.0, 0.0)
    return turned(here, _followed(none, rpy_between(here, start), rpy_between(here, goal), intervals))


def _opening(state: SimulatorState, goal: float, within: str | None, intervals: int) -> float:
    """How far the gripper is open after a number of motor intervals, 0 to 1."""
    now, ahead = state.gripper_opening, LAG_S * OPENING_SPEED
    # The motors are ahead of fingers that are under way.
    motor = now + min(max(state.gripper_target - now, -ahead), ahead)
    step = OPENING_SPEED * INTERVAL_S
    for _ in range(intervals):
        motor += min(max(goal - motor, -step), step)
        now += CATCH_UP * (motor - now)
    return max(now, min(_width(state, within), state.gripper_opening)) if within else now


def _width(state: SimulatorState, name: str) -> float:
    """The opening at which the fingers touch a thing."""
    grasp = state.bodies[name].item.kind.grasp
    return grasp.width / GRIPPER_WIDTH if grasp else 0.0


def _within_reach(state: SimulatorState) -> str | None:
    """The nearest thing that closing fingers would take, or None."""
    near = [
        name
        for name, body in state.bodies.items()
        if body.item.kind.grasp and _offset(body, state) < GRASP_REACH_M
    ]
    return min(near, key=state.distance_to_tool, default=None)


def _offset(body: BodyState, state: SimulatorState) -> float:
    return max(abs(a - b) for a, b in zip(body.position, state.tool_position, strict=True))


def _touches(state: SimulatorState, name: str, opening: float, goal: float) -> bool:
    """Whether both fingers touch a thing: those that close on it, and those that held it until they are wider."""
    closing = goal < opening or state.gripped == name
    return closing and opening < _width(state, name) + TOUCH


def _carried_on(
    state: SimulatorState, tool: Vector, gripped: str | None, period_s: float
) -> Mapping[str, BodyState]:
    """Every body, a control period later."""
    held = state.gripped if state.gripped == gripped else None
    with_tool = tuple(a - b for a, b in zip(tool, state.tool_position, strict=True))
    moves = {
        name: with_tool if name == held else tuple(v * period_s for v in state.drift(name))
        for name in state.bodies
    }
    return {name: _shifted(body, moves[name]) for name, body in state.bodies.items()}


def _shifted(body: BodyState, by: tuple[float, ...]) -> BodyState:
    x, y, z = (here + delta for here, delta in zip(body.position, by, strict=True))
    return replace(body, position=(x, y, z))
