"""What kinds collide as: boxes, coarse hulls, capsules, and for bowls a floor with a wall of slabs."""

from itertools import pairwise

import numpy as np

from sim.assets import mesh_file
from sim.bullet import pybullet as p
from sim.objects import Kind

SHELL_SIDES = 12  # slabs round a bowl's wall
SHELL_THICKNESS = 0.006  # [m]


def collision_shape(client: int, kind: Kind) -> int:
    """Bullet's number of a new collision shape for a kind, in a client."""
    if kind.collision == "box":
        half = [length / 2.0 for length in kind.size]
        return p.createCollisionShape(p.GEOM_BOX, halfExtents=half, physicsClientId=client)
    if kind.hull is not None:
        file = mesh_file(f"{kind.name} hull", kind.hull)
        return p.createCollisionShape(p.GEOM_MESH, fileName=file, physicsClientId=client)
    return _shell(client, kind) if kind.collision == "shell" else _capsules(client, kind)


def _shell(client: int, kind: Kind) -> int:
    """A round floor and a wall of flat slabs.

    A thing on the floor touches one shape only; on the triangles of a mesh it would touch many, at 2.5 times
    the cost of a physics step.
    """
    radius = kind.shell[0][0] + SHELL_THICKNESS
    shapes, half_extents, centres = [p.GEOM_CYLINDER], [[0.0, 0.0, 0.0]], [[0.0, 0.0, kind.floor / 2]]
    turns = [(0.0, 0.0, 0.0, 1.0)]
    for (r0, z0), (r1, z1) in pairwise(kind.shell):
        slope = float(np.arctan2(z1 - z0, r1 - r0))
        length = float(np.hypot(z1 - z0, r1 - r0))
        # The slab's inner face lies on the wall, so its centre lies half a thickness outside it.
        r = (r0 + r1) / 2 + SHELL_THICKNESS / 2 * np.sin(slope)
        z = (z0 + z1) / 2 - SHELL_THICKNESS / 2 * np.cos(slope)
        width = 2.0 * max(r0, r1) * np.tan(np.pi / SHELL_SIDES)
        for angle in np.arange(SHELL_SIDES) * (2 * np.pi / SHELL_SIDES):
            shapes.append(p.GEOM_BOX)
            half_extents.append([length / 2, width / 2, SHELL_THICKNESS / 2])
            centres.append([r * np.cos(angle), r * np.sin(angle), z])
            turns.append(p.getQuaternionFromEuler((0.0, -slope, angle)))
    return p.createCollisionShapeArray(
        shapeTypes=shapes,
        halfExtents=half_extents,
        radii=[radius] + [0.0] * (len(shapes) - 1),
        lengths=[kind.floor] + [0.0] * (len(shapes) - 1),
        collisionFramePositions=centres,
        collisionFrameOrientations=turns,
        physicsClientId=client,
    )


def _capsules(client: int, kind: Kind) -> int:
    assert kind.spine is not None
    points, radius = np.array(kind.spine[0]), kind.spine[1]
    starts, ends = points[:-1], points[1:]
    lengths = np.linalg.norm(ends - starts, axis=1)
    headings = np.arctan2(ends[:, 1] - starts[:, 1], ends[:, 0] - starts[:, 0])
    # Bullet's capsule stands along z: tip it over to x, then turn it to the heading.
    turned = [p.getQuaternionFromEuler((0.0, np.pi / 2, heading)) for heading in headings]
    return p.createCollisionShapeArray(
        shapeTypes=[p.GEOM_CAPSULE] * len(lengths),
        radii=[radius] * len(lengths),
        lengths=lengths.tolist(),
        collisionFramePositions=((starts + ends) / 2).tolist(),
        collisionFrameOrientations=turned,
        physicsClientId=client,
    )
