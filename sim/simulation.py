"""The physical side of an episode: a world with a robot and a scene in it, seen by cameras, moved by actions."""

import math
from collections.abc import Mapping

from sim.cameras import CameraRig, Image
from sim.control import ActionLimits, Target, checked, moved
from sim.robots.panda import Panda, RobotReading
from sim.scene import Scene
from sim.sensing import Sensing
from sim.state import BodyState, SimulatorState
from sim.variation import Look, Substance
from sim.world import SUBSTEP_S, World

SETTLE_S = 0.5  # [s] for things to come to rest before an episode
STRAYED_M = 0.015  # [m] from where a thing was put, after settling
STRAYED_INSIDE_M = 0.03  # [m] the same for things in a bowl
SUNK_M = 0.005  # [m] of a centre below the table top


class Simulation:
    """World, robot and cameras. `load` a scene first; then command, advance, read, in any number."""

    def __init__(self, robot: Panda, rig: CameraRig, limits: ActionLimits, *, window: bool = False) -> None:
        """Connect to Bullet. Args: limits: of one action; window: open PyBullet's window."""
        self.world = World(window=window)
        self.robot = robot
        self.rig = rig
        self.limits = limits

    def load(self, scene: Scene, look: Look) -> bool:
        """Build a scene anew and let it come to rest. Returns whether everything lies about where it was put."""
        self._scene = scene
        self.world.clear()
        scene.load_fixed(self.world, look.room)
        self.rig.adjust(look.cameras, look.light)
        self.rig.draw_background(self.world)
        self.robot.load(self.world, look.paint, look.start)
        scene.load_movable(self.world)
        self.world.step(round(SETTLE_S / SUBSTEP_S))
        scene.set_going(self.world)
        self.target = Target(*self.robot.tool_pose(), gripper=1.0)
        self.reading: RobotReading = self.robot.read()
        return self._settled()

    def alter(self, substances: Mapping[str, Substance]) -> None:
        """Change what things are made of, by body name, after `load`."""
        for body, substance in substances.items():
            self.world.alter(body, substance.mass, substance.friction)

    @property
    def movable(self) -> list[str]:
        """Body names of what can be moved."""
        return [placed.body for placed in self._scene.placed if placed.item.kind.mass > 0.0]

    def command(self, action: object, substeps: int) -> list[str]:
        """Set out to do an action within a number of substeps; nothing moves yet.

        Returns:
            The names of the axes and limits that cut it short.

        Raises:
            InvalidAction: Wrong shape, or not finite.
        """
        values, limited = checked(action, self.limits)
        if self.robot.reflex.reason is not None:
            return limited
        tool = (self.reading.tool_position, self.reading.tool_quaternion)
        self.target, reasons = moved(self.target, values, tool)
        joints = self.robot.solve(self.target.position, self.target.quaternion)
        self.robot.aim(joints, self.target.gripper, substeps)
        return limited + reasons

    def advance(self, substeps: int) -> None:
        """Let substeps pass, a multiple of SUBSTEPS_PER_TARGET."""
        self.robot.advance(self.world, substeps)

    def read(self) -> RobotReading:
        """Read the robot's sensors, and remember it."""
        self.reading = self.robot.read()
        return self.reading

    def sensing(self) -> Sensing:
        """What the robot's controller can say now."""
        velocities, torques = self.robot.joint_motion()
        return Sensing(
            (*self.target.position, *self.target.quaternion),
            velocities,
            torques,
            self.robot.joint_targets,
            self.robot.reflex.force,
            self.robot.reflex.peak_n,
            self.robot.clearance(self.world.bodies["table"]),
            self.robot.reflex.reason,
        )

    def images(self) -> dict[str, Image]:
        """What every camera sees now, as new arrays."""
        return self.rig.images(self.world, self.robot.tool_pose())

    def state(self) -> SimulatorState:
        """The true state."""
        position, quaternion = self.robot.tool_pose()
        bodies = {
            placed.body: BodyState(
                placed.item, *self.world.pose(placed.body), *self.world.velocity(placed.body)
            )
            for placed in self._scene.placed
        }
        return SimulatorState(
            position,
            quaternion,
            self.target.position,
            self.target.quaternion,
            self.robot.gripper_opening(),
            self.target.gripper,
            self.robot.gripped(self.world),
            bodies,
        )

    def numbers(self) -> list[float]:
        """Joints, gripper, and pose and velocity of every thing: what the state's hash runs over."""
        numbers = [*self.reading.joint_positions, self.reading.gripper_opening]
        for placed in self._scene.placed:
            parts = (*self.world.pose(placed.body), *self.world.velocity(placed.body))
            numbers += [number for part in parts for number in part]
        return numbers

    def close(self) -> None:
        """Disconnect from Bullet; a second call does nothing."""
        self.world.close()

    def _settled(self) -> bool:
        bodies = self.state().bodies
        return all(
            bodies[placed.body].at_rest
            and bodies[placed.body].position[2] > -SUNK_M
            and math.dist(bodies[placed.body].position[:2], (placed.x, placed.y))
            < (STRAYED_INSIDE_M if placed.inside else STRAYED_M)
            for placed in self._scene.placed
        )
