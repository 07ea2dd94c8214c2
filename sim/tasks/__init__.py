"""Tasks: one file each. A task samples a scene, says the sentence and knows when it is done.

`TASKS` lists the ones that are registered with Gymnasium; any other object with the same methods works as well.
"""

from sim.errors import UnknownName
from sim.tasks.move_near import MoveNear
from sim.tasks.pick import Pick
from sim.tasks.pick_moving import PickMoving
from sim.tasks.place_in import PlaceIn
from sim.tasks.place_on import PlaceOn
from sim.tasks.problem import Goal, ManyProblems, Problem, Task
from sim.tasks.put_correct import PutCorrect
from sim.tasks.stack import Stack

TASKS = {task.name: task for task in (Pick, PlaceIn, PlaceOn, MoveNear, Stack, PutCorrect, PickMoving)}


def make_task(name: str) -> Task:
    """A task by name, for example "place_in", with its default settings. Raises UnknownName."""
    if name not in TASKS:
        raise UnknownName("task", name, TASKS)
    return TASKS[name]()


__all__ = [
    "TASKS",
    "Goal",
    "ManyProblems",
    "MoveNear",
    "Pick",
    "PickMoving",
    "PlaceIn",
    "PlaceOn",
    "Problem",
    "PutCorrect",
    "Stack",
    "Task",
    "make_task",
]
