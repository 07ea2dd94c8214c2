"""place_in: "put the strawberry in the blue bowl"."""

from sim.scene import Scene, arrange
from sim.seeding import Streams
from sim.tasks.goals import Inside
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
        self.receptacles = resolve_receptacles(receptacles, ("bowl",))
        self.distractors = check_count("distractors", distractors, 0, MOST_DISTRACTORS)
        self.bowls = check_count("bowls", bowls, 1, MOST_BOWLS)

    def sample(self, streams: Streams) -> Problem:
        """One thing and one bowl among others."""
        thing = choose(streams("object"), self.objects)
        bowl = choose(streams("receptacle"), self.receptacles)
        wrong = choose_others(
            streams("other receptacles"), resolve_receptacles(None, ("bowl",)), [bowl], self.bowls - 1
        )
        others = choose_others(streams("distractors"), graspable(), [thing], self.distractors)
        placed = arrange([bowl, *wrong, thing, *others], streams("poses"))
        return Problem(
            Scene(tuple(placed)),
            f"put the {thing.name} in the {bowl.name}",
            Inside(thing.name, bowl.name, tuple(item.name for item in wrong)),
        )
