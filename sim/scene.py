"""What lies on the table at the start of an episode, and where."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from sim import textures
from sim.errors import SceneFull
from sim.motion import Path
from sim.objects import Item
from sim.world import Pose, Scenery, World, yaw_quaternion

TABLE = Scenery(
    (0.90, 1.30, 0.04), lambda: textures.wood((0.82, 0.66, 0.46), (0.62, 0.45, 0.28)), solid=True
)  # [m]
TABLE_POSE = Pose((0.35, 0.0, -0.02))  # [m]
WALL = Scenery((0.02, 3.0, 2.0), lambda: textures.plaster((0.72, 0.80, 0.84)), solid=False)  # [m]
WALL_POSE = Pose((-0.60, 0.0, 0.30))  # [m]
REGION_X = (0.36, 0.66)  # [m] where things are put: reachable, and seen by the front camera
REGION_Y = (-0.26, 0.26)  # [m]
FINGER_ROOM = 0.035  # [m] between footprints, so that a finger fits between neighbours
PLACING_HEIGHT = 0.001  # [m] above its resting place, where a thing is put down to settle
TRIES = 2000


@dataclass(frozen=True)
class Room:
    """What an episode takes place in: a table, and a wall behind the robot."""

    table: Scenery = TABLE
    wall: Scenery = WALL


ROOM = Room()


@dataclass(frozen=True)
class Placed:
    """An item in the scene.

    Attributes:
        body: Its unique name in the world; the item's name, with a number when there are two alike.
        item: What it is.
        x, y: Centre on the table [m].
        yaw: About z [rad].
        inside: Body name of the receptacle it lies in, or None when it lies on the table.
    """

    body: str
    item: Item
    x: float
    y: float
    yaw: float
    inside: str | None = None


@dataclass(frozen=True)
class Scene:
    """All items of an episode's start, receptacles first.

    Attributes:
        placed: What lies where.
        paths: Of what is driven, by body name.
    """

    placed: tuple[Placed, ...]
    paths: Mapping[str, Path] = field(default_factory=dict)

    def load_fixed(self, world: World, room: Room) -> None:
        """Load what never moves: table, wall and receptacles."""
        world.add_scenery("table", room.table, TABLE_POSE)
        world.add_scenery("wall", room.wall, WALL_POSE)
        for placed in self.placed:
            if placed.item.kind.mass == 0.0:
                self._load(world, placed)

    def load_movable(self, world: World) -> None:
        """Load what can be moved, each just above where it will rest."""
        for placed in self.placed:
            if placed.item.kind.mass > 0.0:
                self._load(world, placed)
            if placed.body in self.paths:
                world.guide(placed.body, _standing(placed))

    def set_going(self, world: World) -> None:
        """Start what is driven on its path."""
        for body, path in self.paths.items():
            world.guide(body, path)

    def _load(self, world: World, placed: Placed) -> None:
        kind = placed.item.kind
        z = 0.0 if kind.collision == "shell" else kind.size[2] / 2.0
        if kind.mass > 0.0:
            z += PLACING_HEIGHT
        if placed.inside is not None:
            z += self.find(placed.inside).item.kind.floor + PLACING_HEIGHT
        world.add_item(placed.body, placed.item, Pose((placed.x, placed.y, z), yaw_quaternion(placed.yaw)))

    def find(self, body: str) -> Placed:
        """The placed item of a body name."""
        return next(placed for placed in self.placed if placed.body == body)


def _standing(placed: Placed) -> Path:
    return lambda _time_s: (placed.x, placed.y)


Allowed = Callable[[float, float, float], bool]  # whether a footprint at x, y of a radius [m] may lie there


def _anywhere(_x: float, _y: float, _radius: float) -> bool:
    return True


def arrange(
    items: list[Item],
    rng: np.random.Generator,
    least_gap: float = FINGER_ROOM,
    allowed: Allowed = _anywhere,
) -> list[Placed]:
    """Put items on the table at random places and yaws, none closer to another than a gap.

    Args:
        items: What to put, in the order in which room is found.
        rng: The stream of poses.
        least_gap: Between footprints [m].
        allowed: Where footprints may lie.

    Raises:
        SceneFull: No room was found.
    """
    for _ in range(TRIES):
        placed = _try_to_arrange(items, rng, least_gap, allowed)
        if placed is not None:
            return placed
    raise SceneFull(f"no room on the table for {', '.join(item.name for item in items)}: ask for fewer")


def _try_to_arrange(
    items: list[Item], rng: np.random.Generator, least_gap: float, allowed: Allowed
) -> list[Placed] | None:
    placed: list[Placed] = []
    for item in items:
        spot = _free_spot(item, placed, rng, least_gap, allowed)
        if spot is None:
            return None
        placed.append(Placed(item.name, item, *spot, yaw=float(rng.uniform(-np.pi, np.pi))))
    return placed


def _free_spot(
    item: Item, placed: list[Placed], rng: np.random.Generator, least_gap: float, allowed: Allowed
) -> tuple[float, float] | None:
    for _ in range(60):
        x, y = float(rng.uniform(*REGION_X)), float(rng.uniform(*REGION_Y))
        radius = item.kind.radius
        clear = all(np.hypot(x - p.x, y - p.y) >= radius + p.item.kind.radius + least_gap for p in placed)
        if clear and allowed(x, y, radius):
            return x, y
    return None
