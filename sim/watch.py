"""How deep the robot gets into boxes that are not there: ghosts that nothing collides with, measured by Bullet.

It shares no code with the guards, so it can say whether they hold what they promise.
"""

from collections.abc import Mapping

from sim.bullet import pybullet as p
from sim.environment import TabletopEnv
from sim.robots.panda import FINGER_JOINTS, HAND_LINK, SUBSTEPS_PER_TARGET
from sim.world import World

TOOL_LINKS = (HAND_LINK, *FINGER_JOINTS)
RANGE_M = 0.05  # [m] distances beyond are not measured

Box = tuple[tuple[float, float], ...]


class ZoneWatch:
    """Looks after every motor interval how deep hand and fingers are in each of several boxes.

    Attributes:
        deepest_m: The deepest so far in this episode; negative: they stayed so far away [m].
        zone: In which box.
    """

    def __init__(self, env: TabletopEnv, zones: Mapping[str, Box]) -> None:
        """Args: env: to watch; zones: by name, low and high of x, y and z [m]."""
        self._env, self._zones = env, zones
        self._ghosts: dict[str, int] = {}
        self.deepest_m, self.zone = -RANGE_M, ""
        world = env.simulation.world
        self._substeps = 0
        world.step = self._step  # type: ignore[method-assign]
        self._world = world

    def begin(self) -> None:
        """Put the ghosts into the world of a new episode, after its reset."""
        client = self._world.client
        self._ghosts = {}
        for name, box in self._zones.items():
            half = [(high - low) / 2.0 for low, high in box]
            centre = [(high + low) / 2.0 for low, high in box]
            shape = p.createCollisionShape(p.GEOM_BOX, halfExtents=half, physicsClientId=client)
            ghost = p.createMultiBody(0.0, shape, -1, centre, physicsClientId=client)
            p.setCollisionFilterGroupMask(ghost, -1, 0, 0, physicsClientId=client)
            self._ghosts[name] = ghost
        self.deepest_m, self.zone = -RANGE_M, ""

    def _step(self, substeps: int = 1) -> None:
        World.step(self._world, substeps)
        self._substeps += substeps
        if self._substeps >= SUBSTEPS_PER_TARGET:
            self._substeps = 0
            self._look()

    def _look(self) -> None:
        client, robot = self._world.client, self._world.bodies.get(self._env.simulation.robot.name)
        if robot is None:
            return
        for name, ghost in self._ghosts.items():
            for link in TOOL_LINKS:
                points = p.getClosestPoints(robot, ghost, RANGE_M, link, physicsClientId=client)
                for point in points:
                    if -point[8] > self.deepest_m:
                        self.deepest_m, self.zone = -point[8], name
