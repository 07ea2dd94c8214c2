"""place_on: "put the lemon on the green plate"."""

from sim.scene import Scene, arrange
from sim.seeding import Streams
from sim.tasks.goals import On
from sim.tasks.problem import Problem
from sim.tasks.sampling import (
    MOST_DISTRACTORS,
    check_count,
    choose,
    choose_others,
    graspable,
    resolve,
    resolve_receptacles,
)

MOST_SURFACES = 3


class PlaceOn:
    """Put the named thing on the named plate or tile, one of several."""

    name = "place_on"

    def __init__(
        self,
        objects: str | list[str] | None = None,
        receptacles: str | list[str] | None = None,
        distractors: int = 2,
        surfaces: int = 2,
    ) -> None:
        """Set the choices.

        Args:
            objects: Names to choose the thing from; None: all.
            receptacles: Names to choose the right surface from; None: all plates and tiles.
            distractors: Other things on the table, 0 to 5.
            surfaces: Plates and tiles on the table, 1 to 3.
        """
        self.objects = resolve(objects, graspable())
        self.receptacles = resolve_receptacles(receptacles, ("plate", "tile"))
        self.distractors = check_count("distractors", distractors, 0, MOST_DISTRACTORS)
        self.surfaces = check_count("surfaces", surfaces, 1, MOST_SURFACES)

    def sample(self, streams: Streams) -> Problem:
        """One thing and one surface among others."""
        thing = choose(streams("object"), self.objects)
        surface = choose(streams("receptacle"), self.receptacles)
        wrong = choose_others(
            streams("other receptacles"),
            resolve_receptacles(None, ("plate", "tile")),
            [surface],
            self.surfaces - 1,
        )
        others = choose_others(streams("distractors"), graspable(), [thing], self.distractors)
        placed = arrange([surface, *wrong, thing, *others], streams("poses"))
        return Problem(
            Scene(tuple(placed)),
            f"put the {thing.name} on the {surface.name}",
            On(thing.name, surface.name, tuple(item.name for item in wrong)),
        )
