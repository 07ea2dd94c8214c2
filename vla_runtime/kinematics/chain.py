"""A chain of revolute joints: where its frames are, and how its tool moves when they turn."""

from dataclasses import dataclass

from vla_runtime.kinematics.frames import BASE, Frame, attached, turned

Joints = tuple[float, ...]
Frames = tuple[Frame, ...]
Twist = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class Chain:
    """Joints one after the other, each about the z axis of its own frame.

    Attributes:
        joints: Frame of each joint at 0 rad, in the one before it.
        tool: The tool's frame, in the last joint's.
    """

    joints: tuple[Frame, ...]
    tool: Frame

    def frames(self, angles: Joints) -> Frames:
        """Base, then the link behind each joint, then the tool, all in the base frame. Angles in [rad]."""
        frame = BASE
        found = [frame]
        for joint, angle in zip(self.joints, angles, strict=True):
            frame = turned(attached(frame, joint), angle)
            found.append(frame)
        found.append(attached(frame, self.tool))
        return tuple(found)


def twists(frames: Frames) -> list[Twist]:
    """How the tool moves as each joint turns: velocity x y z [m/rad], then angular velocity x y z [rad/rad].

    These are the columns of the Jacobian. A joint turns about its frame's z axis, before and after its own turn.
    """
    (tx, ty, tz), _ = frames[-1]
    found: list[Twist] = []
    for (ox, oy, oz), ((_, _, x), (_, _, y), (_, _, z)) in frames[1:-1]:
        dx, dy, dz = tx - ox, ty - oy, tz - oz
        found.append((y * dz - z * dy, z * dx - x * dz, x * dy - y * dx, x, y, z))
    return found
