"""pick: "pick up the red cube"."""

from sim.scene import Scene, arrange
from sim.seeding import Streams
from sim.tasks.goals import Lifted
from sim.tasks.problem import Problem
from sim.tasks.sampling import (
    MOST_DISTRACTORS,
    check_count,
    choose,
    choose_others,
    graspable,
    resolve,
    within,
)


class Pick:
    """Lift the named thing 10 cm and hold it."""

    name = "pick"

    def __init__(self, objects: str | list[str] | None = None, distractors: int = 2) -> None:
        """Args: objects: names to choose from (None: all); distractors: other things on the table, 0 to 5."""
        self.objects = resolve(objects, graspable())
        self.distractors = check_count("distractors", distractors, 0, MOST_DISTRACTORS)

    def sample(self, streams: Streams) -> Problem:
        """One thing to pick up among others."""
        thing = choose(streams("object"), self.objects)
        others = choose_others(streams("distractors"), graspable(), [thing], self.distractors)
        placed = arrange([thing, *others], streams("poses"))
        return _problem(Scene(tuple(placed)), thing.name)

    def others(self, problem: Problem) -> list[Problem]:
        """What else could be asked in the same scene: every other thing."""
        every = (_problem(problem.scene, thing.body) for thing in within(problem.scene, self.objects))
        return [other for other in every if other.instruction != problem.instruction]


def _problem(scene: Scene, thing: str) -> Problem:
    return Problem(scene, f"pick up the {thing}", Lifted(thing))
