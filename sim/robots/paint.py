"""What the Panda looks like: two paints, and whether it is drawn as its collision hulls. Nothing here moves it."""

import xml.etree.ElementTree as ET
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from sim.assets import PANDA_URDF, text_file
from sim.bullet import pybullet as p
from sim.textures import RGB

DARK_HULLS = ("panda_hand", "panda_leftfinger", "panda_rightfinger")  # a hull is all light or all dark


@dataclass(frozen=True)
class Paint:
    """The arm's look.

    Attributes:
        light, dark: RGB in [0, 1] of its light and its dark parts; None: as in panda.urdf.
        hulls: Draw the coarse convex hulls that it collides as, not the fine meshes.
    """

    light: RGB | None = None
    dark: RGB | None = None
    hulls: bool = False


PLAIN = Paint()


def urdf_file(look: Paint) -> str:
    """The file to load for a look: paint apart, there are two."""
    if not look.hulls:
        return str(PANDA_URDF)
    return text_file("panda_hulls.urdf", lambda: as_hulls(PANDA_URDF.read_text(), PANDA_URDF.parent))


def as_hulls(urdf: str, folder: Path) -> str:
    """A robot description in which every link is drawn as what it collides as.

    Args:
        urdf: The description, with materials "light" and "dark".
        folder: Where its meshes are; they are named by absolute paths then.
    """
    robot = ET.fromstring(urdf)
    for mesh in robot.iter("mesh"):
        mesh.set("filename", str(folder / mesh.attrib["filename"]))
    for link in robot.iter("link"):
        for visual in link.findall("visual"):
            link.remove(visual)
        for collision in link.findall("collision"):
            hull = deepcopy(collision)
            hull.tag = "visual"
            ET.SubElement(hull, "material", name="dark" if link.get("name") in DARK_HULLS else "light")
            link.append(hull)
    return ET.tostring(robot, encoding="unicode")


def paint(client: int, body: int, look: Paint) -> None:
    """Paint a loaded robot, whichever of the two files it came from. Args: client, body: Bullet's numbers."""
    if look.light is None and look.dark is None:
        return
    seen: Counter[int] = Counter()
    for shape in p.getVisualShapeData(body, physicsClientId=client):
        link, usual = shape[1], shape[7]
        number = seen[link]
        seen[link] += 1
        rgb = look.dark if max(usual[:3]) < 0.5 else look.light
        if rgb is not None:
            p.changeVisualShape(body, link, shapeIndex=number, rgbaColor=(*rgb, 1.0), physicsClientId=client)
