"""One Bullet client: load, step, contacts. Bodies are called by name.

World frame: the robot's base is the origin, x forward, y left, z up, table top at z = 0. Lengths in [m], angles in
[rad], times in [s], quaternions xyzw.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sim.assets import mesh_file
from sim.bullet import pybullet as p
from sim.collisions import collision_shape
from sim.errors import InvalidSetting
from sim.meshes import box
from sim.motion import Path
from sim.objects import Item

SUBSTEP_S = 1.0 / 240.0  # [s] physics time step
GRAVITY = -9.81  # [m/s²]
SOLVER_ITERATIONS = 50
OBJECT_FRICTION = 0.8  # Coulomb, multiplied by the finger's 1.0
ROLLING_FRICTION = 0.004  # [m] of things that roll
GUIDE_FORCE = 100.0  # [N] with which a guided body is held to its path
ANGULAR_DAMPING = 0.9  # [share of the spin lost per second] so that round things come to rest

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]
UPRIGHT: Quaternion = (0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Pose:
    """Position [m] and quaternion xyzw, world frame."""

    position: Vector
    quaternion: Quaternion = UPRIGHT


@dataclass(frozen=True)
class Scenery:
    """A box that is always there.

    Attributes:
        size: Full lengths [m].
        texture: Makes its texture.
        solid: Whether things collide with it.
        variant: Tells apart the textures that the same scenery may have; empty: the usual one.
    """

    size: Vector
    texture: Callable[[], Image.Image]
    solid: bool
    variant: str = ""


@dataclass
class Guide:
    """What holds a body to a path.

    Attributes:
        constraint: Bullet's number.
        height: Of the body's centre [m].
        path: From time [s] to x, y [m].
        substeps: Passed since the start.
    """

    constraint: int
    height: float
    path: Path
    substeps: int = 0


class World:
    """Owns the connection to Bullet and every body in it."""

    def __init__(self, *, window: bool = False) -> None:
        """Connect. Args: window: open PyBullet's window (needs a display) instead of running headless."""
        self.client = p.connect(p.GUI if window else p.DIRECT)
        if self.client < 0:
            raise InvalidSetting("PyBullet could not open its window: is a display available?")
        self.window = window
        self.bodies: dict[str, int] = {}
        self.guides: dict[str, Guide] = {}
        self.fixed_paint: dict[int, tuple[float, float, float, float]] = {}
        if window:
            p.configureDebugVisualizer(p.COV_ENABLE_GUI, 0, physicsClientId=self.client)
            p.resetDebugVisualizerCamera(1.1, 90.0, -30.0, (0.4, 0.0, 0.05), physicsClientId=self.client)

    def clear(self) -> None:
        """Remove everything and set the physics up anew."""
        p.resetSimulation(physicsClientId=self.client)
        self.bodies.clear()
        self.guides.clear()
        self.fixed_paint.clear()
        p.setPhysicsEngineParameter(
            fixedTimeStep=SUBSTEP_S,
            numSolverIterations=SOLVER_ITERATIONS,
            deterministicOverlappingPairs=1,
            physicsClientId=self.client,
        )
        p.setGravity(0.0, 0.0, GRAVITY, physicsClientId=self.client)

    def close(self) -> None:
        """Disconnect; a second call does nothing."""
        if self.client >= 0:
            p.disconnect(physicsClientId=self.client)
            self.client = -1

    def step(self, substeps: int = 1) -> None:
        """Let the world go on by a number of physics steps."""
        for _ in range(substeps):
            for guide in self.guides.values():
                self._lead_on(guide)
            p.stepSimulation(physicsClientId=self.client)

    # ------------------------------------------------------------------------------------------------ bodies

    def add_scenery(self, name: str, scenery: Scenery, pose: Pose) -> None:
        """Add a fixed, textured box: table or wall."""
        file = mesh_file(f"{name} {scenery.variant}".strip(), lambda: box(scenery.size), scenery.texture)
        collision = -1
        if scenery.solid:
            half = [length / 2.0 for length in scenery.size]
            collision = p.createCollisionShape(p.GEOM_BOX, halfExtents=half, physicsClientId=self.client)
        self._add(name, 0.0, collision, file, (1.0, 1.0, 1.0), pose)

    def add_item(self, name: str, item: Item, pose: Pose) -> None:
        """Add a catalogue item at a pose of its body frame (its centre; receptacles of revolution: their foot)."""
        kind = item.kind
        file = mesh_file(kind.name, kind.mesh, kind.texture)
        body = self._add(name, kind.mass, collision_shape(self.client, kind), file, item.rgb, pose)
        rolling = ROLLING_FRICTION if kind.rolls else 0.0
        p.changeDynamics(
            body,
            -1,
            lateralFriction=OBJECT_FRICTION,
            rollingFriction=rolling,
            spinningFriction=rolling,
            angularDamping=ANGULAR_DAMPING,
            physicsClientId=self.client,
        )

    def alter(self, name: str, mass: float, friction: float) -> None:
        """Multiply a body's mass and its sideways friction by factors."""
        body = self.bodies[name]
        before = p.getDynamicsInfo(body, -1, physicsClientId=self.client)
        p.changeDynamics(
            body, -1, mass=mass * before[0], lateralFriction=friction * before[1], physicsClientId=self.client
        )

    def guide(self, name: str, path: Path) -> None:
        """Lead a body along a path from now on, at the height and rotation it has now; the table does not touch it.

        It stays a dynamic body, so that friction carries along what stands on it.
        """
        position, quaternion = self.pose(name)
        body = self.bodies[name]
        table = self.bodies["table"]
        p.setCollisionFilterPair(body, table, -1, -1, 0, physicsClientId=self.client)
        old = self.guides.get(name)
        constraint = old.constraint if old else self._fix(body, position, quaternion)
        self.guides[name] = Guide(constraint, old.height if old else position[2], path)

    def _fix(self, body: int, position: Vector, quaternion: Quaternion) -> int:
        constraint = p.createConstraint(
            body, -1, -1, -1, p.JOINT_FIXED, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), position,
            childFrameOrientation=quaternion, physicsClientId=self.client,
        )  # fmt: skip
        p.changeConstraint(constraint, maxForce=GUIDE_FORCE, physicsClientId=self.client)
        return constraint

    def _lead_on(self, guide: Guide) -> None:
        guide.substeps += 1
        x, y = guide.path(guide.substeps * SUBSTEP_S)
        p.changeConstraint(guide.constraint, (x, y, guide.height), physicsClientId=self.client)

    def _add(self, name: str, mass: float, collision: int, file: str, rgb: Vector, pose: Pose) -> int:
        rgba = (*rgb, 1.0)
        visual = p.createVisualShape(p.GEOM_MESH, fileName=file, rgbaColor=rgba, physicsClientId=self.client)
        body = p.createMultiBody(
            mass, collision, visual, pose.position, pose.quaternion, physicsClientId=self.client
        )
        self.bodies[name] = body
        if mass == 0.0:
            self.fixed_paint[body] = rgba
        return body

    # ---------------------------------------------------------------------------------------------- measuring

    def pose(self, name: str) -> tuple[Vector, Quaternion]:
        """Position [m] and quaternion xyzw of a body's frame."""
        return p.getBasePositionAndOrientation(self.bodies[name], physicsClientId=self.client)

    def velocity(self, name: str) -> tuple[Vector, Vector]:
        """Linear [m/s] and angular [rad/s] velocity of a body."""
        return p.getBaseVelocity(self.bodies[name], physicsClientId=self.client)

    def touching(self, first: str, second: str) -> bool:
        """Whether two bodies are in contact."""
        return bool(p.getContactPoints(self.bodies[first], self.bodies[second], physicsClientId=self.client))

    def touched_by(self, body: int, link: int) -> set[int]:
        """Bullet's numbers of the bodies that a link is in contact with."""
        points = p.getContactPoints(bodyA=body, linkIndexA=link, physicsClientId=self.client)
        return {point[2] for point in points}

    def force_on(self, name: str) -> Vector:
        """Sum of the contact forces, normal and friction, that other bodies exert on a body [N]."""
        number = self.bodies[name]
        points = p.getContactPoints(bodyA=number, physicsClientId=self.client)
        x = y = z = 0.0
        for point in points:
            if point[2] != number:
                for direction, size in ((point[7], point[9]), (point[11], point[10]), (point[13], point[12])):
                    x += direction[0] * size
                    y += direction[1] * size
                    z += direction[2] * size
        return (x, y, z)

    def name_of(self, body: int) -> str:
        """The name of a body, from Bullet's number."""
        return next(name for name, number in self.bodies.items() if number == body)

    def show_fixed(self, *, visible: bool) -> None:
        """Show or hide the fixed bodies to the cameras: those that a cached background already shows."""
        for body, (red, green, blue, alpha) in self.fixed_paint.items():
            paint = (red, green, blue, alpha if visible else 0.0)
            p.changeVisualShape(body, -1, rgbaColor=paint, physicsClientId=self.client)


def yaw_quaternion(yaw: float) -> Quaternion:
    """Quaternion xyzw of a turn about z [rad]."""
    return (0.0, 0.0, float(np.sin(yaw / 2)), float(np.cos(yaw / 2)))


def rotation_matrix(quaternion: Quaternion) -> NDArray[np.float64]:
    """Shape (3, 3), from xyzw."""
    return np.array(p.getMatrixFromQuaternion(quaternion)).reshape(3, 3)
