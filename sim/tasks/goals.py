"""The relations that instructions ask for. Each is a goal: judged on the simulator's state, all lengths in [m]."""

from dataclasses import dataclass

import numpy as np

from sim.scene import REGION_X, REGION_Y
from sim.state import BodyState, SimulatorState
from sim.world import Vector

LIFT_HEIGHT = 0.10  # [m] above the table, for `Lifted`
RELEASE_GAP = 0.004  # [m] between a thing and the surface when an expert lets it go
DROP_INTO_BOWL = 0.018  # [m] the same above a bowl's floor, so that the fingers stay clear of the wall
RIM_MARGIN = 0.015  # [m] by which a centre may stand above a bowl's rim and still be inside
SUPPORT_TOLERANCE = 0.012  # [m] between a thing's lower side and the surface that carries it
NEAR = 0.12  # [m] between centres
NEAR_PLACEMENT = 0.095  # [m] between centres, where an expert puts a thing that belongs near another
UNMOVED = 0.03  # [m] that the reference of "near" may have been pushed


@dataclass(frozen=True)
class Lifted:
    """The thing is held up at least 10 cm above the table."""

    target: str

    def satisfied(self, state: SimulatorState) -> bool:
        body = state.bodies[self.target]
        return state.gripped == self.target and body.position[2] - body.half_height > LIFT_HEIGHT

    def over_target(self, state: SimulatorState) -> bool:
        return False  # there is no place to bring it to

    def delivered(self, state: SimulatorState) -> bool:
        return False  # it is never to be let go

    def missed(self, state: SimulatorState) -> bool:
        return False

    def placement(self, state: SimulatorState) -> Vector | None:
        return None


@dataclass(frozen=True)
class Inside:
    """The thing lies in a bowl, let go.

    Attributes:
        wrong: Other bowls that could be mistaken for the right one.
    """

    target: str
    receptacle: str
    wrong: tuple[str, ...] = ()

    def satisfied(self, state: SimulatorState) -> bool:
        return self.delivered(state) and _let_go(state, self.target)

    def over_target(self, state: SimulatorState) -> bool:
        return (
            state.horizontal_distance(self.target, self.receptacle)
            < state.bodies[self.receptacle].item.kind.inner_radius
        )

    def delivered(self, state: SimulatorState) -> bool:
        return self._within(state, self.receptacle)

    def missed(self, state: SimulatorState) -> bool:
        return any(self._within(state, name) for name in self.wrong) and state.released(self.target)

    def placement(self, state: SimulatorState) -> Vector | None:
        bowl, thing = state.bodies[self.receptacle], state.bodies[self.target]
        z = bowl.item.kind.floor + thing.half_height + DROP_INTO_BOWL
        spots = [(0.0, 0.0)] + [
            (0.034 * np.cos(angle), 0.034 * np.sin(angle)) for angle in np.arange(16) * (2 * np.pi / 16)
        ]
        others = [
            body.position
            for name, body in state.bodies.items()
            if name not in (self.target, self.receptacle)
            and state.horizontal_distance(name, self.receptacle) < bowl.item.kind.radius
        ]
        x, y = _emptiest([(bowl.position[0] + dx, bowl.position[1] + dy) for dx, dy in spots], others)
        return (x, y, z)

    def _within(self, state: SimulatorState, name: str) -> bool:
        bowl, thing = state.bodies[name].item.kind, state.bodies[self.target]
        return (
            state.horizontal_distance(self.target, name) < bowl.inner_radius
            and thing.position[2] < bowl.size[2] + RIM_MARGIN
        )


@dataclass(frozen=True)
class On:
    """The thing lies on a plate or tile, let go."""

    target: str
    receptacle: str
    wrong: tuple[str, ...] = ()

    def satisfied(self, state: SimulatorState) -> bool:
        return self.delivered(state) and _let_go(state, self.target)

    def over_target(self, state: SimulatorState) -> bool:
        return (
            state.horizontal_distance(self.target, self.receptacle)
            < state.bodies[self.receptacle].item.kind.inner_radius
        )

    def delivered(self, state: SimulatorState) -> bool:
        return self._on(state, self.receptacle)

    def missed(self, state: SimulatorState) -> bool:
        return any(self._on(state, name) for name in self.wrong) and state.released(self.target)

    def placement(self, state: SimulatorState) -> Vector | None:
        plate, thing = state.bodies[self.receptacle], state.bodies[self.target]
        return (plate.position[0], plate.position[1], plate.item.kind.floor + thing.half_height + RELEASE_GAP)

    def _on(self, state: SimulatorState, name: str) -> bool:
        plate, thing = state.bodies[name].item.kind, state.bodies[self.target]
        gap = thing.position[2] - thing.half_height - plate.floor
        return state.horizontal_distance(self.target, name) < plate.inner_radius and gap < SUPPORT_TOLERANCE


@dataclass(frozen=True)
class Near:
    """The thing stands on the table beside another one, which was not pushed away.

    Attributes:
        reference_start: Where the other one was at the start, x and y [m].
    """

    target: str
    reference: str
    reference_start: tuple[float, float]

    def satisfied(self, state: SimulatorState) -> bool:
        x, y, _ = state.bodies[self.reference].position
        pushed = np.hypot(x - self.reference_start[0], y - self.reference_start[1])
        return self.delivered(state) and pushed < UNMOVED and _let_go(state, self.target)

    def over_target(self, state: SimulatorState) -> bool:
        return state.horizontal_distance(self.target, self.reference) < NEAR

    def delivered(self, state: SimulatorState) -> bool:
        thing = state.bodies[self.target]
        on_table = thing.position[2] - thing.half_height < SUPPORT_TOLERANCE
        return on_table and state.horizontal_distance(self.target, self.reference) < NEAR

    def missed(self, state: SimulatorState) -> bool:
        return False

    def placement(self, state: SimulatorState) -> Vector | None:
        reference, thing = state.bodies[self.reference], state.bodies[self.target]
        around = [
            (
                reference.position[0] + NEAR_PLACEMENT * np.cos(a),
                reference.position[1] + NEAR_PLACEMENT * np.sin(a),
            )
            for a in np.arange(24) * (2 * np.pi / 24)
        ]
        reachable = [(x, y) for x, y in around if _inside_region(x, y)]
        others = [
            body.position for name, body in state.bodies.items() if name not in (self.target, self.reference)
        ]
        x, y = _emptiest(reachable, others)
        return (x, y, thing.half_height + RELEASE_GAP)


@dataclass(frozen=True)
class Stacked:
    """The thing stands on top of another one, let go."""

    target: str
    base: str

    def satisfied(self, state: SimulatorState) -> bool:
        return self.delivered(state) and _let_go(state, self.target)

    def over_target(self, state: SimulatorState) -> bool:
        return state.horizontal_distance(self.target, self.base) < self._overhang(state.bodies[self.base])

    def delivered(self, state: SimulatorState) -> bool:
        thing, base = state.bodies[self.target], state.bodies[self.base]
        gap = (thing.position[2] - thing.half_height) - (base.position[2] + base.half_height)
        return self.over_target(state) and abs(gap) < SUPPORT_TOLERANCE

    def missed(self, state: SimulatorState) -> bool:
        return False

    def placement(self, state: SimulatorState) -> Vector | None:
        thing, base = state.bodies[self.target], state.bodies[self.base]
        x, y, z = base.position
        return (x, y, z + base.half_height + thing.half_height + RELEASE_GAP)

    @staticmethod
    def _overhang(base: BodyState) -> float:
        return min(base.item.kind.size[:2]) / 2.0


def _let_go(state: SimulatorState, target: str) -> bool:
    return state.released(target) and state.bodies[target].at_rest


def _inside_region(x: float, y: float) -> bool:
    return REGION_X[0] <= x <= REGION_X[1] and REGION_Y[0] <= y <= REGION_Y[1]


def _emptiest(spots: list[tuple[float, float]], others: list[Vector]) -> tuple[float, float]:
    """The first of the spots that are farthest from their nearest neighbour."""
    if not others:
        return spots[0]
    clearances = [min(np.hypot(x - other[0], y - other[1]) for other in others) for x, y in spots]
    # Rounded to 1 mm, so that a trembling neighbour does not make the choice jump.
    return spots[int(np.argmax(np.round(clearances, 3)))]
