"""Make the low-polygon Panda meshes in sim/assets/panda from the ones that pybullet ships.

    pip install trimesh fast-simplification pybullet
    python scripts/simplify_panda_meshes.py

The stock visual meshes hold about 102,000 triangles and cost four times the render time. Each link becomes at most
two small meshes, one for its light and one for its dark parts (the colours are set in panda.urdf), and one convex
hull for collisions, which is what Bullet makes of the stock collision meshes anyway. Source: the franka_panda folder
of pybullet_data (Apache-2.0, see sim/assets/panda/NOTICE). Run it again only to change the level of detail; the
result is committed.
"""

from pathlib import Path

import numpy as np
import pybullet_data
import trimesh  # pyright: ignore[reportMissingImports]  the extra "meshes"

LINKS = ("link0", "link1", "link2", "link3", "link4", "link5", "link6", "link7", "hand", "finger")
WITHOUT_VISUAL = ("link0", "link7")  # pybullet ships only collision meshes for these two
LIGHT_TRIANGLES = {"link5": 420, "link6": 420, "hand": 360, "finger": 90}
OTHER_LIGHT_TRIANGLES = 300
DARK_TRIANGLES = 110
DARK_BELOW = 128  # a part whose diffuse colour is darker than this (0-255) is drawn dark
SHARP_EDGE_RAD = 0.6  # normals are smoothed only across edges flatter than this
SMALLEST_PART_M = 0.015  # stickers and screws below this size are left out


def main() -> None:
    """Write one visual mesh per link and shade and one collision hull per link, as OBJ."""
    source = Path(pybullet_data.getDataPath()) / "franka_panda" / "meshes"
    target = Path(__file__).resolve().parent.parent / "sim" / "assets" / "panda"
    for link in LINKS:
        light, dark = split_by_shade(source, link)
        light_faces = simplify(light, LIGHT_TRIANGLES.get(link, OTHER_LIGHT_TRIANGLES))
        write_obj(target / f"{link}_light.obj", light_faces)
        total = len(light_faces.faces)
        if dark is not None:
            dark_faces = simplify(dark, DARK_TRIANGLES)
            write_obj(target / f"{link}_dark.obj", dark_faces)
            total += len(dark_faces.faces)
        hull = trimesh.load(source / "collision" / f"{link}.obj", force="mesh").convex_hull
        write_obj(target / f"{link}_collision.obj", hull, normals=False)
        print(f"{link}: {total} visual triangles, {len(hull.vertices)} hull corners")


def split_by_shade(source: Path, link: str) -> tuple[trimesh.Trimesh, trimesh.Trimesh | None]:
    """Merge the parts of a link's visual mesh into a light and, where there is one, a dark mesh."""
    kind = "collision" if link in WITHOUT_VISUAL else "visual"
    loaded = trimesh.load(source / kind / f"{link}.obj", process=False)
    parts = list(loaded.geometry.values()) if isinstance(loaded, trimesh.Scene) else [loaded]
    parts = [part for part in parts if float(np.max(part.extents)) > SMALLEST_PART_M]
    dark = [part for part in parts if is_dark(part)]
    light = [part for part in parts if not is_dark(part)]
    return trimesh.util.concatenate(light), trimesh.util.concatenate(dark) if dark else None


def is_dark(part: trimesh.Trimesh) -> bool:
    """Whether the material of a part is one of the dark greys."""
    material = getattr(part.visual, "material", None)
    diffuse = getattr(material, "diffuse", None)
    return diffuse is not None and float(np.mean(diffuse[:3])) < DARK_BELOW


def simplify(mesh: trimesh.Trimesh, triangles: int) -> trimesh.Trimesh:
    """Reduce a mesh to about a number of triangles by quadric decimation."""
    bare = trimesh.Trimesh(mesh.vertices, mesh.faces, process=True)
    bare.merge_vertices(merge_tex=True, merge_norm=True, digits_vertex=5)
    if len(bare.faces) > triangles:
        bare = bare.simplify_quadric_decimation(face_count=triangles)
    return trimesh.graph.smooth_shade(
        trimesh.Trimesh(bare.vertices, bare.faces, process=True), angle=SHARP_EDGE_RAD
    )


def write_obj(path: Path, mesh: trimesh.Trimesh, *, normals: bool = True) -> None:
    """Write vertices [m] in 10 µm steps, smooth normals and triangles."""
    lines = [f"v {x:.5f} {y:.5f} {z:.5f}" for x, y, z in mesh.vertices]
    if normals:
        lines += [f"vn {x:.3f} {y:.3f} {z:.3f}" for x, y, z in mesh.vertex_normals]
        lines += ["f " + " ".join(f"{i + 1}//{i + 1}" for i in face) for face in mesh.faces]
    else:
        lines += ["f " + " ".join(f"{i + 1}" for i in face) for face in mesh.faces]
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
