"""What one moment of an episode can teach: the right action for everything that could be asked, and what is where.

For training only, and in the manner that can be learnt from pictures (sim.experts.manners). A picture says the same whatever is asked, and the expert is a pure function of the state: so every
frame has an answer for each instruction of its scene, at no cost. A model that sees them side by side cannot do without
the words.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sim.cameras import pixel_positions
from sim.environment import TabletopEnv
from sim.errors import UnknownName
from sim.experts.manners import GRADED, heading_of
from sim.experts.tabletop import decide, grasp_heading
from sim.objects import COLOURS, KINDS, OWN_COLOUR, RECEPTACLES, tray
from sim.state import BodyState
from sim.tasks.problem import ManyProblems, Problem
from sim.world import Vector

DESTINATIONS = ("receptacle", "reference", "base")  # what goals call the place where the thing belongs


@dataclass(frozen=True)
class Answer:
    """What the expert would do now if it was asked for something.

    Attributes:
        instruction: The sentence.
        action: x, y, z [m], roll, pitch, yaw [rad], gripper opening; shape (7,).
        target: Body name of the thing to move.
        destination: Body name of where it belongs; None where the goal has none.
    """

    instruction: str
    action: NDArray[np.float64]
    target: str
    destination: str | None


@dataclass(frozen=True)
class Sighting:
    """A thing on the table.

    Attributes:
        body: Its name.
        kind, colour: What it is; the colour is "own" for things that have only one.
        position: World frame [m].
        pixel: Where its centre is in the picture: right and down, as shares of width and height; outside of 0 to 1 it is
            out of sight.
        turn: Cosine and sine of the heading at which fingers close on it, so often around as it looks the same in one turn; zeros
            where any heading will do.
    """

    body: str
    kind: str
    colour: str
    position: Vector
    pixel: tuple[float, float]
    turn: tuple[float, float]


@dataclass(frozen=True)
class Lesson:
    """Everything that can be learnt from one moment.

    Attributes:
        answers: One for each instruction, the episode's own first.
        sightings: One for each thing.
        tool: Position of the tool, world frame [m].
        tool_pixel: Where it is in the picture, as in Sighting.
        tool_turn: Cosine and sine of twice its heading: a gripper looks the same after half a turn.
    """

    answers: tuple[Answer, ...]
    sightings: tuple[Sighting, ...]
    tool: Vector
    tool_pixel: tuple[float, float]
    tool_turn: tuple[float, float]


class Lessons:
    """The lessons of one episode. Make it after `reset`.

    Attributes:
        kinds, colours: Every word that a sighting can have.
    """

    kinds: ClassVar[tuple[str, ...]] = (*KINDS, *RECEPTACLES, tray().kind.name)
    colours: ClassVar[tuple[str, ...]] = (OWN_COLOUR, *COLOURS)

    def __init__(self, simulator: TabletopEnv, camera: str = "front") -> None:
        """Args: camera: one that stands still, in whose picture things are located. Raises UnknownName."""
        if camera not in simulator.simulation.rig.cameras:
            raise UnknownName("camera", camera, simulator.simulation.rig.cameras)
        self._simulator, self._camera = simulator, camera
        asked, task = simulator.problem, simulator.task
        others: Sequence[Problem] = task.others(asked) if isinstance(task, ManyProblems) else ()
        self.problems: tuple[Problem, ...] = (asked, *others)

    def now(self) -> Lesson:
        """Of the simulator's present state."""
        simulator = self._simulator
        state = simulator.state()
        answers = tuple(
            Answer(
                problem.instruction,
                decide(state, problem.goal, simulator.limits, GRADED),
                problem.goal.target,
                next(
                    (getattr(problem.goal, name) for name in DESTINATIONS if hasattr(problem.goal, name)),
                    None,
                ),
            )
            for problem in self.problems
        )
        points = np.array([state.tool_position, *(body.position for body in state.bodies.values())])
        pixels = pixel_positions(simulator.simulation.rig.cameras[self._camera], points).tolist()
        sightings = tuple(
            Sighting(
                name,
                body.item.kind.name,
                body.item.colour,
                body.position,
                (pixel[0], pixel[1]),
                _turn_of(body),
            )
            for (name, body), pixel in zip(state.bodies.items(), pixels[1:], strict=True)
        )
        return Lesson(
            answers,
            sightings,
            state.tool_position,
            (pixels[0][0], pixels[0][1]),
            _around(heading_of(state.tool_quaternion), math.pi),
        )


def _turn_of(body: BodyState) -> tuple[float, float]:
    grasp = body.item.kind.grasp
    return _around(*grasp_heading(body, grasp)) if grasp and grasp.yaw_period else (0.0, 0.0)


def _around(angle: float, period: float) -> tuple[float, float]:
    """Cosine and sine of an angle [rad] as a share of a period [rad]."""
    share = 2.0 * math.pi * angle / period
    return (math.cos(share), math.sin(share))
