"""What a task hands to the environment at each reset."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, runtime_checkable

from sim.scene import Scene
from sim.seeding import Streams
from sim.state import SimulatorState
from sim.world import Vector


class Stage(IntEnum):
    """How far an episode got; the furthest stage counts."""

    STARTED = 0
    REACHED = 1
    GRASPED = 2
    LIFTED = 3
    OVER_TARGET = 4
    PLACED = 5


class Goal(Protocol):
    """When the task is done, judged on the simulator's state."""

    @property
    def target(self) -> str:
        """Body name of the thing to move."""
        ...

    def satisfied(self, state: SimulatorState) -> bool:
        """Whether everything is as it should be now."""
        ...

    def over_target(self, state: SimulatorState) -> bool:
        """Whether the lifted thing is above the place where it belongs."""
        ...

    def delivered(self, state: SimulatorState) -> bool:
        """Whether the thing is where it belongs, even if the hand is still there or it still moves."""
        ...

    def missed(self, state: SimulatorState) -> bool:
        """Whether the thing was let go in a wrong place that could be mistaken for the right one."""
        ...

    def placement(self, state: SimulatorState) -> Vector | None:
        """Where an expert should let the thing go: its centre [m]. None: nowhere, hold it up."""
        ...


@dataclass(frozen=True)
class Problem:
    """One episode's start and aim.

    Attributes:
        scene: What lies where.
        instruction: The sentence.
        goal: When it is done.
        chance_level: Success rate of a policy that does everything right but chooses the destination at random;
            None where there is no choice to make.
    """

    scene: Scene
    instruction: str
    goal: Goal
    chance_level: float | None = None


@runtime_checkable
class ManyProblems(Protocol):
    """A task that knows what else could be asked in a scene."""

    def others(self, problem: Problem) -> Sequence[Problem]:
        """Problems in the scene of one that was sampled, with other instructions; none where there is no choice."""
        ...


class Task(Protocol):
    """Samples problems. A new task is one file with a class of this shape and one YAML in configs/task."""

    name: str

    def sample(self, streams: Streams) -> Problem:
        """A problem, drawn from the seeded streams of one episode only."""
        ...
