"""Procedural textures, as Pillow images. Each is a pure function of its arguments."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RGB = tuple[float, float, float]


def wood(light: RGB, dark: RGB, pixels: int = 256, planks: int = 5, seed: int = 7) -> Image.Image:
    """Planks with grain along the first axis of the texture; colours in [0, 1]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:pixels, 0:pixels] / pixels
    plank = np.floor(y * planks).astype(int)
    phase, shade = rng.uniform(0, 10, planks)[plank], rng.uniform(-0.12, 0.12, planks)[plank]
    waviness = 0.06 * np.sin(2 * np.pi * (x + phase)) + 0.03 * np.sin(2 * np.pi * (2 * x + 3 * phase))
    grain = 0.5 + 0.5 * np.sin(2 * np.pi * (y * planks * 3 + waviness * 4 + phase))
    blend = np.clip(0.35 * grain + shade + 0.15, 0, 1)
    blend = np.where((y * planks) % 1.0 < 0.03, 0.95, blend)
    return _blended(light, dark, blend)


def plaster(colour: RGB, pixels: int = 128, seed: int = 3) -> Image.Image:
    """A painted wall: one colour with faint, soft clouds."""
    darker = (colour[0] * 0.85, colour[1] * 0.85, colour[2] * 0.87)
    return _blended(colour, darker, _smooth_noise(8, pixels, seed))


def plain(colour: RGB, pixels: int = 16) -> Image.Image:
    """One colour."""
    return _blended(colour, colour, np.zeros((pixels, pixels)))


def checks(first: RGB, second: RGB, count: int, pixels: int = 256) -> Image.Image:
    """A chessboard. Args: count: pairs of squares along each side."""
    y, x = np.mgrid[0:pixels, 0:pixels] / pixels
    return _blended(first, second, (np.floor(2 * count * x) + np.floor(2 * count * y)) % 2)


def stripes(first: RGB, second: RGB, count: int, *, turned: bool = False, pixels: int = 256) -> Image.Image:
    """Pairs of stripes along the first axis of the texture, or turned, along the second."""
    y, x = np.mgrid[0:pixels, 0:pixels] / pixels
    return _blended(first, second, np.floor(2 * count * (x if turned else y)) % 2)


def speckle(first: RGB, second: RGB, share: float, pixels: int = 256, seed: int = 0) -> Image.Image:
    """Grains of 4 px: a share of them in the second colour, in random places."""
    grains = np.random.default_rng(seed).random((pixels // 4, pixels // 4)) < share
    return _blended(first, second, np.where(grains, 1.0, 0.0).repeat(4, axis=0).repeat(4, axis=1))


def clouds(first: RGB, second: RGB, count: int, pixels: int = 256, seed: int = 0) -> Image.Image:
    """Smooth noise from one colour to the other. Args: count: patches along each side."""
    return _blended(first, second, _smooth_noise(count, pixels, seed))


def strawberry(pixels: int = 128) -> Image.Image:
    """Red with yellow seeds, and a green crown at the top of the texture."""
    y, x = np.mgrid[0:pixels, 0:pixels] / pixels
    image = np.empty((pixels, pixels, 3))
    image[:] = (0.86, 0.07, 0.10)
    rows, columns = 9, 10
    row = np.floor(y * rows)
    across = ((x * columns + 0.5 * (row % 2)) % 1.0 - 0.5) / 1.0
    down = (y * rows) % 1.0 - 0.5
    image[(across**2 * 3.0 + down**2) < 0.05] = (0.96, 0.80, 0.35)
    leaf = 0.16 + 0.10 * np.abs(np.sin(2 * np.pi * x * 3))
    image[y < leaf] = (0.16, 0.52, 0.16)
    return _to_image(image)


def ends(body: RGB, tip: RGB, tip_fraction: float, pixels: int = 64) -> Image.Image:
    """One colour with another at both ends of the texture."""
    y = np.repeat(np.linspace(0, 1, pixels)[:, None], pixels, axis=1)
    image = np.empty((pixels, pixels, 3))
    image[:] = body
    image[y < tip_fraction] = tip
    image[y > 1 - tip_fraction] = tip
    return _to_image(image)


def rings(body: RGB, line: RGB, count: int, tip: RGB, tip_fraction: float, pixels: int = 96) -> Image.Image:
    """Thin rings round the body, and a tip of another colour at the top of the texture (a carrot)."""
    y = np.repeat(np.linspace(0, 1, pixels)[:, None], pixels, axis=1)
    image = np.empty((pixels, pixels, 3))
    image[:] = body
    image[(y * count) % 1.0 < 0.18] = line
    image[y < tip_fraction] = tip
    return _to_image(image)


def _smooth_noise(count: int, pixels: int, seed: int) -> NDArray[np.float64]:
    """Shape (pixels, pixels), in [0, 1]: random numbers on a coarse grid, and between them a smooth surface."""
    coarse = np.random.default_rng(seed).uniform(0, 1, (count, count))
    grid = Image.fromarray((coarse * 255).astype(np.uint8))
    return np.asarray(grid.resize((pixels, pixels), Image.Resampling.BICUBIC)) / 255.0


def _blended(first: RGB, second: RGB, weight: NDArray[np.float64]) -> Image.Image:
    return _to_image(np.array(first) * (1 - weight[..., None]) + np.array(second) * weight[..., None])


def _to_image(image: NDArray[np.float64]) -> Image.Image:
    return Image.fromarray((np.clip(image, 0, 1) * 255).round().astype(np.uint8))
