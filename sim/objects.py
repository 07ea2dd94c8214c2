"""The catalogue: everything that can lie on the table and be named in a sentence.

A *kind* says what a thing is (cube, strawberry, bowl); an *item* is a kind in a colour, and its name is what people
call it: "red cube", "strawberry", "blue bowl". Body frame of every kind: origin at the centre, long axis x, z up when
at rest as made; fingers close along y. All lengths in [m].
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from PIL import Image

from sim import textures
from sim.errors import UnknownName
from sim.meshes import Mesh, box, lathe, swept
from sim.textures import RGB

COLOURS: dict[str, RGB] = {
    "red": (0.82, 0.10, 0.10),
    "green": (0.13, 0.55, 0.18),
    "blue": (0.12, 0.28, 0.78),
    "yellow": (0.95, 0.80, 0.10),
    "orange": (0.95, 0.48, 0.08),
    "purple": (0.48, 0.18, 0.62),
}
OWN_COLOUR = "own"  # the colour of things that have only one, such as a lemon

Collision = Literal["box", "hull", "capsules", "shell"]


@dataclass(frozen=True)
class Grasp:
    """How a parallel gripper takes a thing.

    Attributes:
        width: Distance between the fingers when they touch, along body y [m].
        yaw_period: The thing looks the same to the gripper after this turn about z [rad]; 0 when any yaw will do.
    """

    width: float
    yaw_period: float


@dataclass(frozen=True)
class Kind:
    """What a thing is.

    Attributes:
        name: The noun.
        size: Full lengths of the bounding box at rest, x, y, z [m].
        mass: [kg]; 0 is fixed to the table.
        collision: Which collision shape is made: the bounding box, the convex hull of the mesh, capsules along
            `spine`, or a floor and slabs along `shell`.
        mesh: Makes the visual mesh.
        hull: Makes a coarser mesh for the collision hull, where collision is "hull": its corners cost time.
        rolls: Whether it needs rolling friction to come to rest; that makes its contacts cost more.
        coloured: Whether it comes in every colour of COLOURS, or only in its own.
        likeness: The colour word that describes it, for rules that match colours.
        texture: Makes the texture, for kinds that have one.
        grasp: How it is grasped; None for receptacles.
        spine: Points of the capsules' axis and their radius, where collision is "capsules".
        shell: Radius and height of points up the inner wall, from the floor's edge to the rim [m], where collision
            is "shell".
        inner_radius: Receptacles: things whose centre is within this radius are inside or on it [m].
        floor: Receptacles: height of the surface that carries things, above the table [m].
        driven: Whether something else than the robot moves it.
    """

    name: str
    size: tuple[float, float, float]
    mass: float
    collision: Collision
    mesh: Callable[[], Mesh]
    hull: Callable[[], Mesh] | None = None
    rolls: bool = False
    coloured: bool = True
    likeness: str = OWN_COLOUR
    texture: Callable[[], Image.Image] | None = None
    grasp: Grasp | None = None
    spine: tuple[tuple[tuple[float, float, float], ...], float] | None = None
    shell: tuple[tuple[float, float], ...] = ()
    inner_radius: float = 0.0
    floor: float = 0.0
    driven: bool = False

    @property
    def radius(self) -> float:
        """Radius of the footprint at any yaw [m]."""
        return (
            float(np.hypot(self.size[0], self.size[1])) / 2.0
            if self.collision == "box"
            else max(self.size[:2]) / 2.0
        )


@dataclass(frozen=True)
class Item:
    """A kind in a colour."""

    kind: Kind
    colour: str

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.colour} {self.kind.name}" if self.kind.coloured else self.kind.name

    @property
    def likeness(self) -> str:
        """The colour word that describes it."""
        return self.colour if self.kind.coloured else self.kind.likeness

    @property
    def rgb(self) -> RGB:
        """Its paint; white under a texture."""
        return COLOURS[self.colour] if self.kind.coloured else (1.0, 1.0, 1.0)


# ---------------------------------------------------------------------------------------------- things to grasp

_LYING = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])  # turns a lathe's axis from z to x


def _strawberry(rings: int = 10, segments: int = 14) -> Mesh:
    heights = np.linspace(-1, 1, rings)
    profile = np.sqrt(np.clip(1 - heights**2, 0, 1)) * (0.78 + 0.22 * heights)
    return lathe(0.0225 * profile / profile.max(), 0.026 * heights, segments).rotated(_LYING)


def _lemon(rings: int = 11, segments: int = 14) -> Mesh:
    t = np.linspace(-1, 1, rings)
    body = np.sqrt(np.clip(1 - (t / 0.86) ** 2, 0, 1))
    nub = 0.22 * np.sqrt(np.clip(1 - t**2, 0, 1))
    return lathe(0.023 * np.maximum(body, nub), 0.034 * t, segments).rotated(_LYING)


def _carrot(rings: int = 10, segments: int = 12) -> Mesh:
    t = 1 - np.linspace(1, 0, rings) ** 1.3
    body = 0.007 + 0.0105 * (np.minimum(t, 0.86) / 0.86) ** 0.8
    shoulder = np.sqrt(np.clip(1 - (np.maximum(t - 0.86, 0) / 0.14) ** 2, 0, 1))
    radius = body * shoulder
    radius[0] = 0.0
    return lathe(radius, 0.11 * (t - 0.5), segments).rotated(_LYING)


_BANANA_RADIUS = 0.017  # [m]
_BANANA_BEND = 0.09  # [m] radius of the circle that its spine follows
_BANANA_ARC = np.linspace(-0.58, 0.58, 13)  # [rad] along that circle
_BANANA_CURVE = _BANANA_BEND * np.stack(
    [np.sin(_BANANA_ARC), np.cos(_BANANA_ARC), np.zeros_like(_BANANA_ARC)], axis=1
)
_BANANA_SPINE = _BANANA_CURVE - _BANANA_CURVE.mean(axis=0)  # its weight rests between middle and ends


def _banana() -> Mesh:
    t = np.linspace(-1, 1, len(_BANANA_ARC))
    taper = np.clip(1.15 * (1 - t**6) ** 0.8, 0.25, 1.0) * np.where(np.abs(t) == 1, 0.4, 1.0)
    return swept(_BANANA_SPINE, _BANANA_RADIUS * taper, segments=10)


def _can(segments: int = 18) -> Mesh:
    heights = np.array([-1.0, -1.0, -0.94, -0.90, 0.90, 0.94, 1.0, 1.0]) * 0.030
    radii = np.array([0.0, 0.92, 1.0, 0.97, 0.97, 1.0, 0.92, 0.0]) * 0.024
    return lathe(radii, heights, segments)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("cube", (0.04, 0.04, 0.04), 0.05, "box", lambda: box((0.04, 0.04, 0.04)), grasp=Grasp(0.04, np.pi / 2)),
        Kind(
            "block", (0.075, 0.03, 0.03), 0.06, "box", lambda: box((0.075, 0.03, 0.03)), grasp=Grasp(0.03, np.pi)
        ),
        Kind("can", (0.048, 0.048, 0.06), 0.07, "hull", _can, hull=lambda: _can(12), grasp=Grasp(0.048, 0.0)),
        Kind(
            "strawberry", (0.052, 0.045, 0.045), 0.03, "hull", _strawberry, hull=lambda: _strawberry(7, 10), rolls=True, coloured=False, likeness="red",
            texture=textures.strawberry, grasp=Grasp(0.045, np.pi),
        ),
        Kind(
            "lemon", (0.068, 0.046, 0.046), 0.05, "hull", _lemon, hull=lambda: _lemon(7, 10), coloured=False, likeness="yellow",
            texture=lambda: textures.ends((0.97, 0.86, 0.14), (0.72, 0.72, 0.16), 0.07), grasp=Grasp(0.046, np.pi),
        ),
        Kind(
            "banana", (0.11, 0.05, 0.034), 0.06, "capsules", _banana, coloured=False, likeness="yellow",
            texture=lambda: textures.ends((0.98, 0.84, 0.22), (0.35, 0.24, 0.10), 0.06),
            grasp=Grasp(2 * _BANANA_RADIUS, np.pi),
            spine=(tuple(map(tuple, _BANANA_SPINE[[1, 4, 8, 11]].tolist())), _BANANA_RADIUS),
        ),
        Kind(
            "carrot", (0.11, 0.035, 0.035), 0.04, "hull", _carrot, hull=lambda: _carrot(6, 10), coloured=False, likeness="orange",
            texture=lambda: textures.rings((0.96, 0.50, 0.12), (0.86, 0.40, 0.08), 9, (0.25, 0.60, 0.18), 0.14),
            grasp=Grasp(0.032, np.pi),
        ),
    )
}  # fmt: skip

# ---------------------------------------------------------------------------------------------- receptacles

_WALL = 0.004  # [m] thickness of bowls and plates
_BOWL_T = np.linspace(0.0, 1.0, 7)
_BOWL_OUTER = (0.046 + 0.031 * np.sin(_BOWL_T * np.pi / 2), 0.050 * (1 - np.cos(_BOWL_T * np.pi / 2)) ** 0.8)
_BOWL_FLOOR = 0.006  # [m] height of its inner floor
_PLATE_FLOOR = 0.005  # [m]


def _bowl() -> Mesh:
    outer_r, outer_z = _BOWL_OUTER
    inner_r, inner_z = outer_r[::-1] - _WALL, np.maximum(outer_z[::-1], _BOWL_FLOOR)
    radii = np.concatenate([[0.0], outer_r, inner_r, [0.0]])
    return lathe(radii, np.concatenate([[0.0], outer_z, inner_z, [_BOWL_FLOOR]]), segments=28)


def _plate() -> Mesh:
    radii = np.array([0.0, 0.050, 0.078, 0.080, 0.077, 0.056, 0.050, 0.0])
    heights = np.array([0.0, 0.000, 0.010, 0.0115, 0.0125, 0.006, _PLATE_FLOOR, _PLATE_FLOOR])
    return lathe(radii, heights, segments=32)


RECEPTACLES: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "bowl", (0.154, 0.154, 0.050), 0.0, "shell", _bowl, inner_radius=0.066, floor=_BOWL_FLOOR,
            shell=tuple((float(_BOWL_OUTER[0][i]) - _WALL, max(float(_BOWL_OUTER[1][i]), _BOWL_FLOOR)) for i in (2, 4, 6)),
        ),
        Kind(
            "plate", (0.160, 0.160, 0.0125), 0.0, "shell", _plate, inner_radius=0.070, floor=_PLATE_FLOOR,
            shell=((0.055, _PLATE_FLOOR), (0.077, 0.0125)),
        ),
        Kind("tile", (0.120, 0.120, 0.008), 0.0, "box", lambda: box((0.12, 0.12, 0.008)), inner_radius=0.055, floor=0.008),
    )
}  # fmt: skip

TRAY = Kind(
    "tray", (0.160, 0.120, 0.004), 0.30, "box", lambda: box((0.16, 0.12, 0.004)), coloured=False,
    texture=lambda: textures.plaster((0.45, 0.47, 0.50)), floor=0.005, driven=True,
)  # fmt: skip  # it glides 1 mm above the table

FRUIT = ("strawberry", "lemon", "banana", "carrot")


@cache
def items() -> dict[str, Item]:
    """Every graspable item by name."""
    return _items_of(KINDS)


@cache
def receptacles() -> dict[str, Item]:
    """Every receptacle by name."""
    return _items_of(RECEPTACLES)


def tray() -> Item:
    """What carries a thing over the table."""
    return Item(TRAY, OWN_COLOUR)


def find_item(name: str) -> Item:
    """The graspable item of a name such as "red cube" or "red_cube". Raises UnknownName."""
    return _find("object", name, items())


def find_receptacle(name: str, kinds: tuple[str, ...] | None = None) -> Item:
    """The receptacle of a name such as "blue bowl", of one of some kinds. Raises UnknownName."""
    known = {key: item for key, item in receptacles().items() if kinds is None or item.kind.name in kinds}
    return _find("receptacle", name, known)


def _items_of(kinds: dict[str, Kind]) -> dict[str, Item]:
    made = (
        Item(kind, colour)
        for kind in kinds.values()
        for colour in (COLOURS if kind.coloured else (OWN_COLOUR,))
    )
    return {item.name: item for item in made}


def _find(what: str, name: str, known: dict[str, Item]) -> Item:
    item = known.get(str(name).replace("_", " ").strip().lower())
    if item is None:
        raise UnknownName(what, name, known)
    return item
