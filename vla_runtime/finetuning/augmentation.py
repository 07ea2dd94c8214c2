"""The original's image augmentation, seeded per example.

What it does and in which order is that of openvla/openvla, prismatic/vla/datasets/datasets.py (`image_aug`): a crop of
90 % of the area, brightness, contrast, saturation, hue. The formulae are those of TensorFlow's image operations, values
in [0, 1], clipped after each step. There are no golden values: the original draws from TensorFlow's random numbers and
was not run. So the laws are tested, not the numbers.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_runtime.models.openvla.images import CROP_AREA, lanczos3

Image = NDArray[np.uint8]
Values = NDArray[np.float32]

BRIGHTNESS = 0.2  # largest change, of values in [0, 1]
CONTRAST = (0.8, 1.2)  # factor about each channel's mean
SATURATION = (0.8, 1.2)  # factor
HUE = 0.05  # largest change, of the full circle


@dataclass(frozen=True)
class Change:
    """What is done to one picture.

    Attributes:
        top, left: Of the crop, as a share of what the crop leaves over, 0 to 1.
        brightness: Added.
        contrast: Factor about the mean.
        saturation: Factor.
        hue: Added, of the full circle.
    """

    top: float = 0.5
    left: float = 0.5
    brightness: float = 0.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0

    @classmethod
    def draw(cls, seed: int, number: int) -> "Change":
        """The change of one example: a function of seed and number alone, whoever loads it."""
        draw = np.random.default_rng([seed, number]).uniform
        return cls(
            draw(0.0, 1.0),
            draw(0.0, 1.0),
            draw(-BRIGHTNESS, BRIGHTNESS),
            draw(*CONTRAST),
            draw(*SATURATION),
            draw(-HUE, HUE),
        )


@dataclass(frozen=True)
class ImageAugmentation:
    """Brings a picture to the model's size and changes it.

    Attributes:
        size: Side of the result [px]. The picture is brought to it first, with the original's Lanczos kernel, as its
            data pipeline and its evaluation path do.
        seed: Of the training.
    """

    size: int
    seed: int

    def apply(self, image: Image, number: int) -> Image:
        """A new picture of shape (size, size, 3)."""
        square = image if image.shape[:2] == (self.size, self.size) else lanczos3(image, self.size)
        return changed(square, Change.draw(self.seed, number))


def changed(image: Image, change: Change) -> Image:
    """The picture after a change, of the same shape."""
    values: Values = _cropped(image.astype(np.float32) * np.float32(1 / 255), change.top, change.left)
    values = _clipped(values + np.float32(change.brightness))
    mean: Values = values.mean(axis=(0, 1), keepdims=True)
    values = _clipped((values - mean) * np.float32(change.contrast) + mean)
    values = _coloured(values, change.saturation, change.hue)
    return (values * np.float32(255.5)).astype(np.uint8)


def _clipped(values: Values) -> Values:
    return np.clip(values, np.float32(0), np.float32(1))


def _cropped(values: Values, top: float, left: float) -> Values:
    """A part of CROP_AREA of the area brought back to full size, bilinearly with aligned corners."""
    rows, columns = (_positions(*pair) for pair in ((values.shape[0], top), (values.shape[1], left)))
    low, high, share = columns
    across = values[:, low] + (values[:, high] - values[:, low]) * share[None, :, None]
    low, high, share = rows
    both = across[low] + (across[high] - across[low]) * share[:, None, None]
    return np.asarray(both, np.float32)


def _positions(length: int, offset: float) -> tuple[NDArray[np.intp], NDArray[np.intp], Values]:
    """Neighbours of each new row in the old picture, and how far it is from the lower one."""
    side = math.sqrt(CROP_AREA)
    start = offset * (1.0 - side) * (length - 1)
    at = start + np.arange(length) * side
    low = np.minimum(np.floor(at).astype(np.intp), length - 1)
    return low, np.minimum(low + 1, length - 1), (at - low).astype(np.float32)


def _coloured(values: Values, saturation: float, hue: float) -> Values:
    """Saturation, then hue, by way of hue, saturation and value; both act there, so one way is enough."""
    brightest, darkest = values.max(axis=-1), values.min(axis=-1)
    spread = brightest - darkest
    safe = np.where(spread > 0, spread, np.float32(1))
    red, green, blue = values[..., 0], values[..., 1], values[..., 2]
    sixths = np.where(
        brightest == red,
        (green - blue) / safe,
        np.where(brightest == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    turned = sixths + np.float32(6 * hue)
    share = spread / np.where(brightest > 0, brightest, np.float32(1))
    share = np.minimum(share * np.float32(saturation), np.float32(1))
    offsets = np.array([5.0, 3.0, 1.0], np.float32)
    phase = (turned[..., None] + offsets) % 6
    ramp = np.clip(np.minimum(phase, 4 - phase), 0, 1)
    return np.asarray(brightest[..., None] * (1 - share[..., None] * ramp), np.float32)
