"""Procedural meshes: everything on the table is made here from a few numbers, in [m], z up.

A mesh is vertices, triangles and texture coordinates. Curved bodies are lathed: a profile is turned about the z axis.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh.

    Attributes:
        vertices: Shape (V, 3). [m], body frame.
        normals: Shape (V, 3). Unit length.
        uv: Shape (V, 2). Texture coordinates in [0, 1], v up.
        triangles: Shape (T, 3). Vertex indices, counter-clockwise seen from outside.
    """

    vertices: NDArray[np.float64]
    normals: NDArray[np.float64]
    uv: NDArray[np.float64]
    triangles: NDArray[np.int64]

    def rotated(self, matrix: NDArray[np.float64]) -> "Mesh":
        """The mesh turned by a 3x3 rotation matrix."""
        return Mesh(self.vertices @ matrix.T, self.normals @ matrix.T, self.uv, self.triangles)

    def write_obj(self, path: Path, texture: str | None = None) -> None:
        """Write Wavefront OBJ, and an MTL beside it when a texture file (in the same folder) is named."""
        lines = []
        if texture is not None:
            path.with_suffix(".mtl").write_text(
                f"newmtl surface\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nd 1\nillum 1\nmap_Kd {texture}\n"
            )
            lines += [f"mtllib {path.with_suffix('.mtl').name}", "usemtl surface"]
        lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in self.vertices]
        lines += [f"vt {u:.5f} {v:.5f}" for u, v in self.uv]
        lines += [f"vn {x:.4f} {y:.4f} {z:.4f}" for x, y, z in self.normals]
        lines += [
            "f " + " ".join(f"{i + 1}/{i + 1}/{i + 1}" for i in triangle) for triangle in self.triangles
        ]
        path.write_text("\n".join(lines) + "\n")


def lathe(radii: NDArray[np.float64], heights: NDArray[np.float64], segments: int = 20) -> Mesh:
    """Turn a profile about the z axis.

    Args:
        radii: Shape (P,). [m], distance from the axis, along the profile from bottom to top on the outside.
        heights: Shape (P,). [m], z of each profile point.
        segments: Flat sides round the axis.
    """
    # Half a segment on, so that what lies on its side lies on a flat, not on an edge.
    angles = np.linspace(0.0, 2.0 * np.pi, segments + 1) + np.pi / segments
    along = np.stack([np.gradient(radii), np.gradient(heights)], axis=1)
    length = np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-12)
    outward = np.stack([along[:, 1], -along[:, 0]], axis=1) / length
    cos, sin = np.cos(angles), np.sin(angles)
    rings = len(radii)

    def turned(radial: NDArray[np.float64], axial: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack(
            [np.outer(radial, cos), np.outer(radial, sin), np.repeat(axial[:, None], len(angles), axis=1)],
            axis=-1,
        ).reshape(-1, 3)

    u, v = np.meshgrid(np.linspace(0.0, 1.0, segments + 1), np.linspace(0.0, 1.0, rings))
    return Mesh(
        turned(radii, heights),
        turned(outward[:, 0], outward[:, 1]),
        np.stack([u.ravel(), v.ravel()], axis=1),
        _grid_triangles(rings, segments),
    )


def swept(spine: NDArray[np.float64], radii: NDArray[np.float64], segments: int = 12) -> Mesh:
    """Sweep circles along a curve in the x-y plane, for example a banana.

    Args:
        spine: Shape (P, 3). [m], points of the curve, z constant.
        radii: Shape (P,). [m], radius at each point.
        segments: Flat sides round the curve.
    """
    tangent = np.gradient(spine, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    up = np.array([0.0, 0.0, 1.0])
    side = np.cross(up, tangent)
    angles = np.linspace(0.0, 2.0 * np.pi, segments + 1)
    ring = side[:, None, :] * np.cos(angles)[None, :, None] + up * np.sin(angles)[None, :, None]
    u, v = np.meshgrid(angles / (2.0 * np.pi), np.linspace(0.0, 1.0, len(spine)))
    return Mesh(
        (spine[:, None, :] + ring * radii[:, None, None]).reshape(-1, 3),
        ring.reshape(-1, 3),
        np.stack([u.ravel(), v.ravel()], axis=1),
        _grid_triangles(len(spine), segments),
    )


def box(size: tuple[float, float, float], texture_scale: float = 1.0) -> Mesh:
    """An axis-aligned box about the origin.

    Args:
        size: Full lengths along x, y, z [m].
        texture_scale: How often a texture repeats across each face.
    """
    vertices, normals, uv, triangles = [], [], [], []
    half = np.array(size) / 2.0
    for axis in range(3):
        for sign in (-1.0, 1.0):
            u_axis, v_axis = (axis + 1) % 3, (axis + 2) % 3
            start = len(vertices)
            for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
                corner = np.zeros(3)
                corner[axis], corner[u_axis], corner[v_axis] = sign, a * sign, b
                vertices.append(corner * half)
                normals.append(np.eye(3)[axis] * sign)
                uv.append(((a + 1) / 2 * texture_scale, (b + 1) / 2 * texture_scale))
            triangles += [(start, start + 1, start + 2), (start, start + 2, start + 3)]
    return Mesh(np.array(vertices), np.array(normals), np.array(uv), np.array(triangles))


def _grid_triangles(rows: int, columns: int) -> NDArray[np.int64]:
    """Triangles of a (rows) x (columns + 1) grid of vertices, numbered row by row."""
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    a = (row * (columns + 1) + column).ravel()
    b, c, d = a + 1, a + columns + 2, a + columns + 1
    return np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
