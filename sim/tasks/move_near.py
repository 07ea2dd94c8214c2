"""move_near: "move the banana near the blue cube"."""

from sim.errors import InvalidSetting
from sim.scene import REGION_X, REGION_Y, Placed, Scene, arrange
from sim.seeding import Streams
from sim.tasks.goals import NEAR, Near
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

FAR = NEAR + 0.06  # [m] between the two at the start, at least
ROOM = 0.04  # [m] the reference stands this far inside the region, so that there is room beside it
COMPACT = ("can", "cube", "lemon", "strawberry")  # things small enough to stand beside each other within NEAR
LEAST_OTHERS = 1


class MoveNear:
    """Bring the named thing next to another named one."""

    name = "move_near"

    def __init__(self, objects: str | list[str] | None = None, distractors: int = 2) -> None:
        """Args: objects: names to choose the thing from (None: all that are compact); distractors: 1 to 5 others.

        The reference is one more thing, so that with no distractor the sentence would not need to be read.
        """
        self.objects = resolve(objects, graspable(*COMPACT))
        self.distractors = check_count("distractors", distractors, LEAST_OTHERS, MOST_DISTRACTORS)

    def sample(self, streams: Streams) -> Problem:
        """One thing and one reference among others, the two apart."""
        thing = choose(streams("object"), self.objects)
        reference = choose_others(streams("reference"), graspable(*COMPACT), [thing], 1)[0]
        others = choose_others(streams("distractors"), graspable(), [thing, reference], self.distractors)
        rng = streams("poses")
        for _ in range(200):
            placed = arrange([thing, reference, *others], rng)
            if _apart(placed[0], placed[1]) and _has_room(placed[1]):
                return _problem(Scene(tuple(placed)), placed[0], placed[1])
        raise InvalidSetting(
            f"distractors {self.distractors}: no room to stand apart and beside each other; ask for fewer"
        )

    def others(self, problem: Problem) -> list[Problem]:
        """What else could be asked in the same scene: every other pair that stands apart, with room beside the second."""
        things = within(problem.scene, self.objects)
        every = (
            _problem(problem.scene, thing, reference)
            for thing in things
            for reference in within(problem.scene, graspable(*COMPACT))
            if _apart(thing, reference) and _has_room(reference)
        )
        return [other for other in every if other.instruction != problem.instruction]


def _problem(scene: Scene, thing: Placed, reference: Placed) -> Problem:
    goal = Near(thing.body, reference.body, (reference.x, reference.y))
    return Problem(scene, f"move the {thing.body} near the {reference.body}", goal)


def _apart(first: Placed, second: Placed) -> bool:
    return (first.x - second.x) ** 2 + (first.y - second.y) ** 2 > FAR**2


def _has_room(placed: Placed) -> bool:
    inside_x = REGION_X[0] + ROOM <= placed.x <= REGION_X[1] - ROOM
    return inside_x and REGION_Y[0] + ROOM <= placed.y <= REGION_Y[1] - ROOM
