"""pick_moving: "pick up the red cube from the moving tray"."""

import numpy as np

from sim.motion import Loop, draw_loop
from sim.objects import Item, tray
from sim.scene import FINGER_ROOM, Placed, Scene, arrange
from sim.seeding import Streams
from sim.tasks.goals import Lifted
from sim.tasks.problem import Problem
from sim.tasks.sampling import check_count, check_speed, choose, choose_others, graspable, resolve

MOST_OTHERS = 3  # they share half of the table
FASTEST_MPS = 0.15  # [m/s]
LOOP_X = (0.48, 0.54)  # [m] centre of the tray's way
LOOP_Y = (0.09, 0.12)  # [m] the same, to either side
LOOP_RADII = (0.09, 0.09)  # [m] of the tray's way along x and y, at most
OFF_CENTRE = 0.015  # [m] of the thing on the tray, along each axis


class PickMoving:
    """Lift the named thing 10 cm off a tray that never stands still, and hold it."""

    name = "pick_moving"

    def __init__(
        self,
        objects: str | list[str] | None = None,
        distractors: int = 2,
        speed_mps: float = 0.06,
    ) -> None:
        """Set the choices.

        Args:
            objects: Names to choose the thing from; None: all.
            distractors: Other things, on the table, 0 to 3.
            speed_mps: Of the tray [m/s], at most 0.15.
        """
        self.objects = resolve(objects, graspable())
        self.distractors = check_count("distractors", distractors, 0, MOST_OTHERS)
        self.speed_mps = check_speed("speed_mps", speed_mps, FASTEST_MPS)

    def sample(self, streams: Streams) -> Problem:
        """One thing on a tray that goes round on one side of the table, others on the rest of it."""
        thing = choose(streams("object"), self.objects)
        others = choose_others(streams("distractors"), graspable(), [thing], self.distractors)
        loop = self._loop(streams("path"))
        carrier, carried = _on_tray(thing, loop, streams("tray"))

        def beside(x: float, y: float, radius: float) -> bool:
            return loop.distance(x, y) >= carrier.item.kind.radius + radius + FINGER_ROOM

        around = arrange(others, streams("poses"), allowed=beside)
        scene = Scene((carrier, carried, *around), {carrier.body: loop})
        return Problem(scene, f"pick up the {thing.name} from the moving tray", Lifted(thing.name))

    def _loop(self, rng: np.random.Generator) -> Loop:
        side = rng.choice([-1.0, 1.0])
        centre = (float(rng.uniform(*LOOP_X)), float(side * rng.uniform(*LOOP_Y)))
        return draw_loop(rng, centre, LOOP_RADII, self.speed_mps)


def _on_tray(thing: Item, loop: Loop, rng: np.random.Generator) -> tuple[Placed, Placed]:
    """The tray where its way begins, and the thing on it."""
    x, y = loop(0.0)
    dx, dy = rng.uniform(-OFF_CENTRE, OFF_CENTRE, 2).tolist()
    tray_yaw, yaw = rng.uniform(-np.pi, np.pi, 2).tolist()
    carrier = Placed(tray().name, tray(), x, y, tray_yaw)
    return carrier, Placed(thing.name, thing, x + dx, y + dy, yaw, inside=carrier.body)
