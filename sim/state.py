"""The simulator's true state: what goals are judged on and what experts may read. Policies never see it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sim.objects import Item
from sim.world import Quaternion, Vector, rotation_matrix

AT_REST_MPS = 0.05  # [m/s]
AT_REST_RADPS = 0.5  # [rad/s]
STANDS_ON_M = 0.010  # [m] between a thing's lower side and the upper side of what carries it
STILL: Vector = (0.0, 0.0, 0.0)  # [m/s]


@dataclass(frozen=True)
class BodyState:
    """Where a body is and how it moves, world frame.

    Attributes:
        item: What it is.
        position: Centre; for bowls and plates the middle of the foot [m].
        quaternion: xyzw.
        linear_velocity: [m/s].
        angular_velocity: [rad/s].
    """

    item: Item
    position: Vector
    quaternion: Quaternion
    linear_velocity: Vector
    angular_velocity: Vector

    @property
    def at_rest(self) -> bool:
        """Slower than 5 cm/s and 0.5 rad/s."""
        return _length(self.linear_velocity) < AT_REST_MPS and _length(self.angular_velocity) < AT_REST_RADPS

    @property
    def half_height(self) -> float:
        """Half its extent along world z as it lies now [m]: exact for boxes, that of an ellipsoid for round things."""
        along_z = rotation_matrix(self.quaternion)[2] * self.item.kind.size
        return float(np.linalg.norm(along_z, ord=1 if self.item.kind.collision == "box" else 2)) / 2.0


@dataclass(frozen=True)
class SimulatorState:
    """Everything that the rest of an episode depends on.

    Attributes:
        tool_position, tool_quaternion: Measured tool frame [m], xyzw.
        target_position, target_quaternion: Where the controller was last told to bring it.
        gripper_opening: Measured, 0 closed to 1 open.
        gripper_target: Commanded, 0 to 1.
        gripped: The body that both fingers touch, or None.
        bodies: Every item in the scene by body name.
    """

    tool_position: Vector
    tool_quaternion: Quaternion
    target_position: Vector
    target_quaternion: Quaternion
    gripper_opening: float
    gripper_target: float
    gripped: str | None
    bodies: Mapping[str, BodyState]

    def distance_to_tool(self, name: str) -> float:
        """From the tool point to a body's centre [m]."""
        return _length(
            tuple(a - b for a, b in zip(self.bodies[name].position, self.tool_position, strict=True))
        )

    def released(self, name: str) -> bool:
        """Whether the gripper has let go of a body: open, and more than 5 cm away."""
        return self.gripper_opening > 0.5 and self.distance_to_tool(name) > 0.05

    def horizontal_distance(self, first: str, second: str) -> float:
        """Between the centres of two bodies, in the table plane [m]."""
        a, b = self.bodies[first].position, self.bodies[second].position
        return float(np.hypot(a[0] - b[0], a[1] - b[1]))

    def drift(self, name: str) -> Vector:
        """The velocity of the driven body that a thing is or stands on [m/s]; zero for all others.

        The thing's own velocity would not do: fingers that close on it push it for a moment.
        """
        if name == self.gripped:
            return STILL
        for carrier, body in self.bodies.items():
            if body.item.kind.driven and (name == carrier or self._stands_on(name, carrier)):
                return body.linear_velocity
        return STILL

    def _stands_on(self, name: str, carrier: str) -> bool:
        thing, below = self.bodies[name], self.bodies[carrier]
        gap = (thing.position[2] - thing.half_height) - (below.position[2] + below.half_height)
        return abs(gap) < STANDS_ON_M and self.horizontal_distance(name, carrier) < below.item.kind.radius


def _length(vector: tuple[float, ...]) -> float:
    return sum(component * component for component in vector) ** 0.5
