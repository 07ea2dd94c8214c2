"""put_correct: "put the strawberry in the correct bowl", where a rule that is visible in the scene says which.

Rules:
    colour    the correct bowl has the colour of the thing
    company   another thing of the same kind already lies in the correct bowl, other kinds in the others
"""

import numpy as np

from sim.errors import UnknownName
from sim.objects import Item
from sim.scene import Placed, Scene, arrange
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

RULES = ("colour", "company")
COMPACT = ("can", "cube", "lemon", "strawberry")  # two of these lie side by side in a bowl
MOST_BOWLS = 3
OFF_CENTRE = 0.030  # [m] from the bowl's centre: what lies in a bowl leaves room for another beside it


class PutCorrect:
    """Put the named thing into the bowl that the scene shows to be the correct one."""

    name = "put_correct"

    def __init__(
        self,
        objects: str | list[str] | None = None,
        rules: str | list[str] = RULES,  # type: ignore[assignment]
        distractors: int = 1,
        bowls: int = 2,
    ) -> None:
        """Set the choices.

        Args:
            objects: Names to choose the thing from; None: all that are compact.
            rules: "colour", "company" or both, to be chosen from at random.
            distractors: Other things on the table, 0 to 5.
            bowls: Bowls on the table, 2 or 3.
        """
        self.objects = resolve(objects, graspable(*COMPACT))
        self.rules = tuple([rules] if isinstance(rules, str) else rules)
        for rule in self.rules:
            if rule not in RULES:
                raise UnknownName("rule", rule, RULES)
        self.distractors = check_count("distractors", distractors, 0, MOST_DISTRACTORS)
        self.bowls = check_count("bowls", bowls, 2, MOST_BOWLS)

    def sample(self, streams: Streams) -> Problem:
        """One thing, several bowls, and a rule."""
        rule = self.rules[int(streams("rule").integers(len(self.rules)))]
        thing = choose(streams("object"), self.objects)
        bowls = self._bowls(rule, thing, streams("receptacle"))
        company = self._company(thing, streams("company")) if rule == "company" else []
        others = choose_others(streams("distractors"), graspable(), [thing, *company], self.distractors)
        placed = arrange([*bowls, thing, *others], streams("poses"))
        inside = [_lay_in(bowl, item, streams) for bowl, item in zip(placed, company, strict=False)]
        goal = Inside(thing.name, bowls[0].name, tuple(bowl.name for bowl in bowls[1:]))
        return Problem(
            Scene((*placed, *inside)), f"put the {thing.name} in the correct bowl", goal, 1.0 / len(bowls)
        )

    def _bowls(self, rule: str, thing: Item, rng: np.random.Generator) -> list[Item]:
        """The correct bowl first."""
        every = resolve_receptacles(None, ("bowl",))
        matching = [bowl for bowl in every if bowl.colour == thing.likeness]
        if rule == "colour":
            return [*matching, *choose_others(rng, every, matching, self.bowls - 1)]
        return choose_others(rng, every, matching, self.bowls)  # no bowl's colour may hint

    def _company(self, thing: Item, rng: np.random.Generator) -> list[Item]:
        """What lies in each bowl: the thing's like in the first, things of other kinds in the rest."""
        company = [thing]
        for _ in range(self.bowls - 1):
            taken = {item.kind.name for item in company}
            company.append(choose(rng, graspable(*(kind for kind in COMPACT if kind not in taken))))
        return company


def _lay_in(bowl: Placed, item: Item, streams: Streams) -> Placed:
    yaw, side = streams(f"inside {bowl.body}").uniform(-np.pi, np.pi, 2).tolist()
    x, y = bowl.x + OFF_CENTRE * np.cos(side), bowl.y + OFF_CENTRE * np.sin(side)
    return Placed(f"{item.name} in {bowl.body}", item, float(x), float(y), yaw, inside=bowl.body)
