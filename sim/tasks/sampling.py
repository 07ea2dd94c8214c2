"""Choices that several tasks make: which item is meant, which others lie around."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sim.errors import InvalidSetting
from sim.objects import Item, find_item, find_receptacle, items, receptacles
from sim.scene import Placed, Scene, arrange
from sim.seeding import Streams

MOST_DISTRACTORS = 5


def check_count(name: str, value: object, low: int, high: int) -> int:
    """A whole number from low to high, or InvalidSetting."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidSetting(f"{name} {value!r}: expected a whole number from {low} to {high}")
    return value


def check_speed(name: str, value: float, top: float) -> float:
    """A speed above 0 and up to a top [m/s], or InvalidSetting."""
    if not 0.0 < value <= top:
        raise InvalidSetting(f"{name} {value!r}: expected more than 0 and at most {top} [m/s]")
    return float(value)


def resolve(names: str | Iterable[str] | None, pool: list[Item]) -> list[Item]:
    """The items that a setting names (one name, a list of names, or None for the whole pool). Raises UnknownName."""
    if names is None:
        return pool
    chosen = [find_item(name) for name in ([names] if isinstance(names, str) else names)]
    if not chosen:
        raise InvalidSetting("objects []: expected at least one name")
    allowed = {item.name for item in pool}
    for item in chosen:
        if item.name not in allowed:
            raise InvalidSetting(
                f"object {item.name!r} does not suit this task; suitable: {', '.join(sorted(allowed))}"
            )
    return chosen


def resolve_receptacles(names: str | Iterable[str] | None, kinds: tuple[str, ...]) -> list[Item]:
    """The receptacles that a setting names, or all of some kinds. Raises UnknownName."""
    if names is None:
        return [item for item in receptacles().values() if item.kind.name in kinds]
    chosen = [find_receptacle(name, kinds) for name in ([names] if isinstance(names, str) else names)]
    if not chosen:
        raise InvalidSetting("receptacles []: expected at least one name")
    return chosen


def graspable(*kinds: str) -> list[Item]:
    """All graspable items, or those of some kinds."""
    return [item for item in items().values() if not kinds or item.kind.name in kinds]


def choose(rng: np.random.Generator, pool: list[Item]) -> Item:
    """A kind first and then its colour, so that six cubes do not crowd out one lemon."""
    kinds = sorted({item.kind.name for item in pool})
    kind = kinds[int(rng.integers(len(kinds)))]
    same = [item for item in pool if item.kind.name == kind]
    return same[int(rng.integers(len(same)))]


@dataclass(frozen=True)
class Placement:
    """A thing to be brought to one of several receptacles.

    Attributes:
        thing: What is to be moved.
        destination: Where it belongs.
        wrong: Body names of the other receptacles.
        scene: All of them, with distractors, on the table.
    """

    thing: Item
    destination: Item
    wrong: tuple[str, ...]
    scene: Scene


def draw_placement(
    streams: Streams,
    objects: list[Item],
    destinations: list[Item],
    others: list[Item],
    count: int,
    distractors: int,
) -> Placement:
    """Draw a placement, each choice from a stream of its own.

    Args:
        streams: Of the episode.
        objects: What the thing is chosen from.
        destinations: What its destination is chosen from.
        others: What the other receptacles are chosen from.
        count: Receptacles on the table.
        distractors: Other things on the table.
    """
    thing = choose(streams("object"), objects)
    destination = choose(streams("receptacle"), destinations)
    wrong = choose_others(streams("other receptacles"), others, [destination], count - 1)
    around = choose_others(streams("distractors"), graspable(), [thing], distractors)
    placed = arrange([destination, *wrong, thing, *around], streams("poses"))
    return Placement(thing, destination, tuple(item.name for item in wrong), Scene(tuple(placed)))


def within(scene: Scene, pool: Iterable[Item]) -> list[Placed]:
    """What of a pool lies on the table of a scene, by itself."""
    names = {item.name for item in pool}
    return [
        placed
        for placed in scene.placed
        if placed.body == placed.item.name in names and placed.inside is None
    ]


def placements(scene: Scene, objects: list[Item], destinations: list[Item]) -> list[Placement]:
    """Every pair of a thing and a receptacle in a scene; the other receptacles are wrong."""
    receptacles = [placed.body for placed in scene.placed if placed.item.kind.inner_radius > 0.0]
    return [
        Placement(
            thing.item,
            place.item,
            tuple(name for name in receptacles if name != place.body),
            scene,
        )
        for thing in within(scene, objects)
        for place in within(scene, destinations)
    ]


def choose_others(
    rng: np.random.Generator, pool: list[Item], taken: Iterable[Item], count: int
) -> list[Item]:
    """Distinct items that are not taken yet."""
    used = {item.name for item in taken}
    others: list[Item] = []
    for _ in range(count):
        item = choose(rng, [item for item in pool if item.name not in used])
        others.append(item)
        used.add(item.name)
    return others
