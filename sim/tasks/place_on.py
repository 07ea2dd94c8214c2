"""place_on: "put the lemon on the green plate"."""

from sim.seeding import Streams
from sim.tasks.goals import On
from sim.tasks.problem import Problem
from sim.tasks.sampling import (
    MOST_DISTRACTORS,
    Placement,
    check_count,
    draw_placement,
    graspable,
    placements,
    resolve,
    resolve_receptacles,
)

KINDS = ("plate", "tile")
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
        self.receptacles = resolve_receptacles(receptacles, KINDS)
        self.distractors = check_count("distractors", distractors, 0, MOST_DISTRACTORS)
        self.surfaces = check_count("surfaces", surfaces, 1, MOST_SURFACES)

    def sample(self, streams: Streams) -> Problem:
        """One thing and one of several surfaces among others."""
        every = resolve_receptacles(None, KINDS)
        drawn = draw_placement(
            streams, self.objects, self.receptacles, every, self.surfaces, self.distractors
        )
        return _problem(drawn)

    def others(self, problem: Problem) -> list[Problem]:
        """What else could be asked in the same scene: every other pair of a thing and a surface."""
        every = map(_problem, placements(problem.scene, self.objects, self.receptacles))
        return [other for other in every if other.instruction != problem.instruction]


def _problem(asked: Placement) -> Problem:
    thing, surface = asked.thing.name, asked.destination.name
    return Problem(asked.scene, f"put the {thing} on the {surface}", On(thing, surface, asked.wrong))
