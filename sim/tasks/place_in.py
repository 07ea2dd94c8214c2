"""place_in: "put the strawberry in the blue bowl"."""

from sim.seeding import Streams
from sim.tasks.goals import Inside
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

KINDS = ("bowl",)
MOST_BOWLS = 3


class PlaceIn:
    """Put the named thing into the named bowl, one of several in different colours."""

    name = "place_in"

    def __init__(
        self,
        objects: str | list[str] | None = None,
        receptacles: str | list[str] | None = None,
        distractors: int = 2,
        bowls: int = 2,
    ) -> None:
        """Set the choices.

        Args:
            objects: Names to choose the thing from; None: all.
            receptacles: Names to choose the right bowl from; None: all bowls.
            distractors: Other things on the table, 0 to 5.
            bowls: Bowls on the table, 1 to 3.
        """
        self.objects = resolve(objects, graspable())
        self.receptacles = resolve_receptacles(receptacles, KINDS)
        self.distractors = check_count("distractors", distractors, 0, MOST_DISTRACTORS)
        self.bowls = check_count("bowls", bowls, 1, MOST_BOWLS)

    def sample(self, streams: Streams) -> Problem:
        """One thing and one of several bowls among others."""
        every = resolve_receptacles(None, KINDS)
        drawn = draw_placement(streams, self.objects, self.receptacles, every, self.bowls, self.distractors)
        return _problem(drawn)

    def others(self, problem: Problem) -> list[Problem]:
        """What else could be asked in the same scene: every other pair of a thing and a bowl."""
        every = map(_problem, placements(problem.scene, self.objects, self.receptacles))
        return [other for other in every if other.instruction != problem.instruction]


def _problem(asked: Placement) -> Problem:
    thing, bowl = asked.thing.name, asked.destination.name
    return Problem(asked.scene, f"put the {thing} in the {bowl}", Inside(thing, bowl, asked.wrong))
