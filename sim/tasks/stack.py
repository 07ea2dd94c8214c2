"""stack: "stack the red cube on the blue cube"."""

from sim.scene import Scene, arrange
from sim.seeding import Streams
from sim.tasks.goals import Stacked
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


class Stack:
    """Put the named cube on top of another named one."""

    name = "stack"

    def __init__(self, objects: str | list[str] | None = None, distractors: int = 2) -> None:
        """Args: objects: cubes to choose the upper one from (None: all); distractors: other things, 0 to 5."""
        self.objects = resolve(objects, graspable("cube"))
        self.distractors = check_count("distractors", distractors, 0, MOST_DISTRACTORS)

    def sample(self, streams: Streams) -> Problem:
        """Two cubes among other things."""
        upper = choose(streams("object"), self.objects)
        base = choose_others(streams("reference"), graspable("cube"), [upper], 1)[0]
        others = choose_others(streams("distractors"), graspable(), [upper, base], self.distractors)
        placed = arrange([upper, base, *others], streams("poses"))
        return _problem(Scene(tuple(placed)), upper.name, base.name)

    def others(self, problem: Problem) -> list[Problem]:
        """What else could be asked in the same scene: every other pair of cubes, in either order."""
        every = (
            _problem(problem.scene, upper.body, base.body)
            for upper in within(problem.scene, self.objects)
            for base in within(problem.scene, graspable("cube"))
            if upper is not base
        )
        return [other for other in every if other.instruction != problem.instruction]


def _problem(scene: Scene, upper: str, base: str) -> Problem:
    return Problem(scene, f"stack the {upper} on the {base}", Stacked(upper, base))
