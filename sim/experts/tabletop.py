"""A scripted expert for every tabletop task: grasp the target, bring it where the goal says, let go, retreat.

It is a pure function of the simulator's state: it keeps no memory, so it can take over from any policy at any moment.
It is smooth as well: heights blend with horizontal errors instead of switching between phases, which makes its
actions easier to imitate.

A thing that is carried past is led: the tool goes to where the thing will be when the tool gets there.

It is gentle, by geometry alone: fingers open past neighbours and not against them, the palm stays above what stands
beside the thing, and the fingers close when the hand has stopped sinking. So its contacts stay far below the forces at
which a collision reflex stops an arm.
"""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sim.control import AXES, ActionLimits
from sim.environment import TabletopEnv
from sim.experts.forecast import forecast
from sim.experts.manners import BRISK, Aim, Manner, heading_of
from sim.objects import Grasp
from sim.robots.panda import GRIPPER_WIDTH, LAG_S
from sim.rotations import heading, wrapped
from sim.state import BodyState, SimulatorState
from sim.tasks.problem import Goal
from sim.world import Vector, rotation_matrix

TRAVEL_CLEARANCE = 0.11  # [m] above the grasp or release height while far from it
RETREAT_HEIGHT = 0.14  # [m] above what was let go
PEEL_SHARE = 0.4  # of the largest step, upwards while the fingers still touch what was let go
HOLD_UP_HEIGHT = 0.18  # [m] of the tool above the table, for goals that end with the thing in the hand
PAD_DEPTH = 0.007  # [m] by which the pads reach below the tool point
LOWEST_TOOL = 0.012  # [m] above the table
PALM_HEIGHT = 0.036  # [m] of the hand's underside above the tool point, less 3 mm to stay clear by
PALM = (0.020, 0.104)  # [m] half its lengths along the tool's x and y
FUNNEL_START, FUNNEL_END = 0.010, 0.060  # [m] horizontal error at which the descent ends and begins
OPEN_REACH = 0.066  # [m] from the tool point to the outside of an open finger
# Of the tool from its home heading: half a turn, so that every grasp has a heading in it, and on the side on which joint 7
# has room. At home it stands off its middle; at -90 degrees it would be beyond its limit over the left half of the table.
YAW_RANGE = (math.radians(-60), math.radians(120))
CARRIED_AWAY = 0.05  # [m] from its place, in the table's plane: what is low there has just been grasped
PLUNGE_FROM = 0.007  # [m] above the hovering height, from where one action leads down
FINGER_CLEARANCE = 0.010  # [m] wider open than a thing is wide, before the fingers pass it
YAW_REACH = 0.10  # [m/rad] a yaw that is off counts like this horizontal error
LYING = 0.7  # an axis whose |z| component is below this counts as horizontal
OPEN, CLOSED = 1.0, 0.0


class TabletopExpert:
    """Reads the simulator and returns the 7 numbers that a policy would."""

    def act(self, simulator: TabletopEnv, pending: Iterable[NDArray[np.float64]] = ()) -> NDArray[np.float64]:
        """The action for the simulator's present state, or for the one after actions that will be done first."""
        state = self._ahead(simulator, pending)
        return decide(state, simulator.goal, simulator.limits)

    def plan(
        self, simulator: TabletopEnv, steps: int, pending: Iterable[NDArray[np.float64]] = ()
    ) -> NDArray[np.float64]:
        """The actions of the next control periods, each for the state that the ones before it should lead to.

        Args:
            simulator: With the present state.
            steps: How many.
            pending: Actions that will be done before the first of them; shape (k, 7), may be empty.

        Returns:
            Shape (steps, 7).
        """
        state = self._ahead(simulator, pending)
        actions = np.empty((steps, len(AXES)))
        for step in range(steps):
            actions[step] = decide(state, simulator.goal, simulator.limits)
            state = forecast(state, actions[step], simulator.limits, simulator.limits.period_s)
        return actions

    @staticmethod
    def _ahead(simulator: TabletopEnv, pending: Iterable[NDArray[np.float64]]) -> SimulatorState:
        state = simulator.state()
        for action in pending:
            state = forecast(state, action, simulator.limits, simulator.limits.period_s)
        return state


def decide(
    state: SimulatorState, goal: Goal, limits: ActionLimits, manner: Manner = BRISK
) -> NDArray[np.float64]:
    """The expert's action: x, y, z [m], roll, pitch, yaw [rad], gripper opening.

    Args:
        state: The simulator's state.
        goal: What is to be achieved.
        limits: The largest step and turn of one action.
        manner: How it moves.
    """
    return manner.act(_aim(state, goal, limits, manner), state, limits)


def _aim(state: SimulatorState, goal: Goal, limits: ActionLimits, manner: Manner) -> Aim:
    holding = state.gripped == goal.target and state.gripper_target < 0.5
    if holding:
        return _carry(state, goal, manner)
    if goal.delivered(state):
        return _retreat(state, goal, limits)
    return _approach(state, goal.target, limits.period_s + LAG_S, manner)


def _approach(state: SimulatorState, name: str, lead_s: float, manner: Manner) -> Aim:
    """Come over the thing with open fingers, sink while centring, close when in place.

    Args:
        state: The simulator's state.
        name: The thing.
        lead_s: Time until the tool is where this action sends it [s].
        manner: Of the expert.
    """
    body = state.bodies[name]
    grasp = body.item.kind.grasp
    assert grasp is not None
    x, y, z = body.position
    yaw = _grasp_yaw(state, name, grasp)
    grasp_z = max(z, LOWEST_TOOL, min(_under_palm(state, name, yaw) - PALM_HEIGHT, z + PAD_DEPTH))
    off = math.hypot(x - state.tool_position[0], y - state.tool_position[1])
    yaw_off = abs(wrapped(yaw - _tool_yaw(state)))
    sinking = state.tool_position[2] - state.target_position[2] > manner.settled_m
    across, height, turn = manner.grasp
    low_enough = -height < state.tool_position[2] - grasp_z < height + manner.early_m and not sinking
    in_place = off < across and yaw_off < turn and low_enough
    closed_on_nothing = state.gripper_opening * GRIPPER_WIDTH < 0.5 * grasp.width
    drift = state.drift(name)
    x, y = x + lead_s * drift[0], y + lead_s * drift[1]
    if in_place and not closed_on_nothing:
        here = state.target_position
        there = (x, y, state.tool_position[2] + manner.rise_m)
        return Aim(there, yaw, CLOSED, stay=(x, y, here[2]) if any(drift) else here, at_once=True)
    ready = _opened_for(state, body) or not manner.waits
    clearance = TRAVEL_CLEARANCE * max(_funnel(off), _funnel(yaw_off * YAW_REACH), 0.0 if ready else 1.0)
    centred = off < across and yaw_off < turn
    return _above(state, (x, y, grasp_z + manner.above_m), clearance, yaw, OPEN, manner, centred=centred)


def _carry(state: SimulatorState, goal: Goal, manner: Manner) -> Aim:
    """Bring the held thing to its place: as far as the thing has to go, the tool has to go."""
    placement = goal.placement(state)
    tool = state.tool_position
    body = state.bodies[goal.target]
    low = manner.low_m > 0.0 and body.position[2] - body.half_height < manner.low_m
    if low and (placement is None or _across(placement, body.position) > CARRIED_AWAY):
        return Aim((*tool[:2], tool[2] + manner.rise_m), _tool_yaw(state), CLOSED, at_once=True)
    if placement is None:
        return Aim((*state.target_position[:2], HOLD_UP_HEIGHT), _tool_yaw_target(state), CLOSED)
    yaw = _open_past(state, goal.target, placement)
    thing = state.bodies[goal.target].position
    missing = [there - here for there, here in zip(placement, thing, strict=True)]
    off = math.hypot(missing[0], missing[1])
    yaw_off = abs(wrapped(yaw - _tool_yaw(state)))
    across, height, turn = manner.release
    x, y, z = (at + gap for at, gap in zip(tool, missing, strict=True))
    centred = off < across and yaw_off < turn
    if centred and -height - manner.early_m < missing[2] < height:
        there = (x, y, tool[2] + manner.rise_m)
        return Aim(there, _tool_yaw_target(state), OPEN, stay=state.target_position, at_once=True)
    rise = TRAVEL_CLEARANCE * max(_funnel(off), _funnel(yaw_off * YAW_REACH))
    return _above(state, (x, y, z), rise, yaw, CLOSED, manner, centred=centred)


def _above(
    state: SimulatorState,
    place: Vector,
    clearance: float,
    yaw: float,
    gripper: float,
    manner: Manner,
    *,
    centred: bool,
) -> Aim:
    """Over a place by a clearance; in the manner that hovers: over it at least so high, and down at once when centred."""
    x, y, z = place
    if manner.hover_m and centred and state.tool_position[2] - z < manner.hover_m + PLUNGE_FROM:
        return Aim(place, yaw, gripper, at_once=True)
    return Aim((x, y, z + max(clearance, manner.hover_m)), yaw, gripper)


def _retreat(state: SimulatorState, goal: Goal, limits: ActionLimits) -> Aim:
    """Straight up: gently while the fingers still touch the thing (walls and neighbours may keep them from opening)."""
    x, y, z = state.target_position
    z += PEEL_SHARE * limits.step_m
    if state.gripped != goal.target:
        z = state.bodies[goal.target].position[2] + RETREAT_HEIGHT
    return Aim((x, y, max(z, state.target_position[2])), _tool_yaw_target(state), OPEN)


def _opened_for(state: SimulatorState, body: BodyState) -> bool:
    """Whether the fingers are open wide enough to pass a thing."""
    grasp = body.item.kind.grasp
    assert grasp is not None
    return state.gripper_opening * GRIPPER_WIDTH > grasp.width + FINGER_CLEARANCE


def _under_palm(state: SimulatorState, name: str, yaw: float) -> float:
    """The height [m] of what would be under the hand beside a thing, if it came over it at a yaw; 0 for nothing."""
    x, y, _ = state.bodies[name].position
    tops = [0.0]
    for other, body in state.bodies.items():
        across = (x - body.position[0]) * math.cos(yaw) + (y - body.position[1]) * math.sin(yaw)
        along = (y - body.position[1]) * math.cos(yaw) - (x - body.position[0]) * math.sin(yaw)
        radius = body.item.kind.radius
        if other != name and abs(across) < PALM[0] + radius and abs(along) < PALM[1] + radius:
            tops.append(_top(body))
    return max(tops)


def _grasp_yaw(state: SimulatorState, name: str, grasp: Grasp) -> float:
    """The nearest heading of the tool's x axis at which the fingers close across the thing's short side."""
    body = state.bodies[name]
    if grasp.yaw_period == 0.0:
        return _open_past(state, name, body.position)
    return _nearest_yaw(_tool_yaw_target(state), *grasp_heading(body, grasp))


def grasp_heading(body: BodyState, grasp: Grasp) -> tuple[float, float]:
    """A heading of the tool's x axis at which fingers close across a thing's short side, and the turn to the next [rad]."""
    axes = rotation_matrix(body.quaternion)
    lying = [axis for axis in range(3) if abs(axes[2, axis]) < LYING]
    long_axis = 0 if 0 in lying else lying[0]
    return heading(tuple(axes[:, long_axis])), grasp.yaw_period if long_axis == 0 else math.pi / 2


def _open_past(state: SimulatorState, name: str, place: Vector) -> float:
    """The nearest heading at which fingers around a thing at a place open past what is closest, not against it."""
    now = _tool_yaw_target(state)
    foot = place[2] - state.bodies[name].half_height
    ways = [
        (place[0] - body.position[0], place[1] - body.position[1], body.item.kind.radius)
        for other, body in state.bodies.items()
        if other != name and _top(body) > foot
    ]
    # What the place is inside of or on top of is not beside it.
    beside = [(gap, x, y) for x, y, radius in ways if 0.0 < (gap := math.hypot(x, y) - radius) < OPEN_REACH]
    if not beside:
        return now
    _, x, y = min(beside)
    return _nearest_yaw(now, math.atan2(y, x), math.pi)


def _top(body: BodyState) -> float:
    """Height of the upper side [m]; the origin of what is hollow is its foot."""
    kind = body.item.kind
    return body.position[2] + (kind.size[2] if kind.collision == "shell" else body.half_height)


def _nearest_yaw(now: float, wished: float, period: float) -> float:
    """What is nearest to the present heading among those that look the same after a period, inside the range."""
    yaw = now + wrapped(wished - now, period)
    low, high = YAW_RANGE
    return yaw + period if yaw < low else yaw - period if yaw > high else yaw


def _tool_yaw(state: SimulatorState) -> float:
    return heading_of(state.tool_quaternion)


def _tool_yaw_target(state: SimulatorState) -> float:
    return heading_of(state.target_quaternion)


def _across(first: Vector, second: Vector) -> float:
    """Distance in the table's plane [m]."""
    return math.hypot(first[0] - second[0], first[1] - second[1])


def _funnel(off: float) -> float:
    """0 when centred, 1 when far: how much of the clearance to keep."""
    share = min(max((off - FUNNEL_START) / (FUNNEL_END - FUNNEL_START), 0.0), 1.0)
    return share * share * (3.0 - 2.0 * share)
