"""Files of the meshes, textures and robots that PyBullet reads, made once per process in a temporary folder."""

import atexit
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from PIL import Image

from sim.meshes import Mesh

PANDA_URDF = Path(__file__).parent / "assets" / "panda" / "panda.urdf"


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="tabletop-meshes-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def text_file(name: str, text: Callable[[], str]) -> str:
    """A file with a text, made when first asked for. Args: name: of the file; equal names must mean equal text."""
    path = _folder() / name
    if not path.exists():
        path.write_text(text())
    return str(path)


def mesh_file(key: str, mesh: Callable[[], Mesh], texture: Callable[[], Image.Image] | None = None) -> str:
    """The OBJ file of a mesh, made when first asked for.

    Args:
        key: Names the file; equal keys must mean equal mesh and texture.
        mesh: Makes the mesh.
        texture: Makes its texture, or None for plain paint.
    """
    path = _folder() / f"{key.replace(' ', '_')}.obj"
    if not path.exists():
        if texture is not None:
            texture().save(path.with_suffix(".png"))
        mesh().write_obj(path, path.with_suffix(".png").name if texture is not None else None)
    return str(path)
