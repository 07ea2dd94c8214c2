"""Images for the towers: resizing, normalisation, and the original's evaluation path.

Pixel values are those of the original's processor: Pillow's bicubic on uint8, then (x / 255 - mean) / std in fp32 for
each tower, towers stacked on the channel axis.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PillowImage
from torch import Tensor

from vla_runtime.errors import ConfigurationError, InvalidCheckpoint

Image = NDArray[np.uint8]
Strategy = Literal["resize-naive", "letterbox", "resize-crop"]
STRATEGIES = ("resize-naive", "letterbox", "resize-crop")
JPEG_QUALITY = 95  # of the original's evaluation path, with 4:2:0 chroma
CROP_AREA = 0.9  # share of the area that the centre crop keeps


@dataclass(frozen=True)
class ImagePreprocessing:
    """How an image becomes pixel values.

    Attributes:
        strategy: "resize-naive" ignores the aspect, "letterbox" pads to a square, "resize-crop" cuts to a square.
        size: Side of the square [px].
        means, stds: Per tower and channel, of values in [0, 1].
    """

    strategy: Strategy
    size: int
    means: tuple[tuple[float, ...], ...]
    stds: tuple[tuple[float, ...], ...]

    @classmethod
    def from_mapping(cls, entry: Mapping[str, Any], where: str) -> "ImagePreprocessing":
        """From preprocessor_config.json. Raises InvalidCheckpoint."""
        for key in ("image_resize_strategy", "input_sizes", "means", "stds"):
            if key not in entry:
                raise InvalidCheckpoint(f"{where}: no {key}")
        strategy, sizes = entry["image_resize_strategy"], {tuple(size) for size in entry["input_sizes"]}
        if strategy not in STRATEGIES:
            raise InvalidCheckpoint(
                f"{where}: image_resize_strategy {strategy!r}; known: {', '.join(STRATEGIES)}"
            )
        if len(sizes) != 1 or set(entry.get("interpolations", ["bicubic"])) != {"bicubic"}:
            raise InvalidCheckpoint(
                f"{where}: expected one input size and bicubic interpolation for all towers"
            )
        _, height, width = next(iter(sizes))
        if height != width:
            raise InvalidCheckpoint(f"{where}: input size {height} x {width}; expected a square")
        means, stds = (tuple(tuple(map(float, tower)) for tower in entry[key]) for key in ("means", "stds"))
        return cls(strategy, height, means, stds)

    def pixel_values(self, image: Image) -> Tensor:
        """[1, 3 per tower, S, S] fp32 from an RGB image of shape (height, width, 3), or grey (height, width)."""
        channels = np.ascontiguousarray(self.resized(image).transpose(2, 0, 1))
        values = np.empty((len(self._tables), *channels.shape[1:]), np.float32)
        for number, table in enumerate(self._tables):
            np.take(table, channels[number % 3], out=values[number], mode="clip")
        return torch.from_numpy(values)[None]

    @cached_property
    def _tables(self) -> NDArray[np.float32]:
        """[3 per tower, 256]: what each level becomes, computed as the original does; exact, and half the work."""
        levels = torch.arange(256, dtype=torch.float32).div_(255)
        towers = zip(self.means, self.stds, strict=True)
        rows = [
            (levels - mean) / std for means, stds in towers for mean, std in zip(means, stds, strict=True)
        ]
        return torch.stack(rows).numpy()

    def resized(self, image: Image) -> Image:
        """The square uint8 image, a new array of shape (S, S, 3)."""
        picture = PillowImage.fromarray(image).convert("RGB")
        if self.strategy == "letterbox":
            picture = _padded(picture, tuple(int(value * 255) for value in self.means[-1]))
        if self.strategy != "resize-naive":
            picture = _short_side(picture, self.size)
            left, top = (round((side - self.size) / 2.0) for side in picture.size)
            picture = picture.crop((left, top, left + self.size, top + self.size))
        elif picture.size != (self.size, self.size):
            picture = picture.resize((self.size, self.size), PillowImage.Resampling.BICUBIC)
        return np.array(picture)


def _padded(picture: PillowImage.Image, fill: tuple[int, ...]) -> PillowImage.Image:
    """Equal borders on both sides; an odd difference leaves the result one pixel off square, as in the original."""
    longest = max(picture.size)
    left, top = ((longest - side) // 2 for side in picture.size)
    framed = PillowImage.new("RGB", (picture.width + 2 * left, picture.height + 2 * top), fill)  # type: ignore[arg-type]
    framed.paste(picture, (left, top))
    return framed


def _short_side(picture: PillowImage.Image, size: int) -> PillowImage.Image:
    """The shorter side brought to a size, the longer one in proportion, rounded down."""
    width, height = picture.size
    short, long = min(width, height), max(width, height)
    scaled = int(size * long / short)
    target = (size, scaled) if width <= height else (scaled, size)
    return picture if picture.size == target else picture.resize(target, PillowImage.Resampling.BICUBIC)


# ------------------------------------------------------------------------------------------------ evaluation path


@dataclass(frozen=True)
class EvaluationPath:
    """What the original's evaluation scripts do to a camera image before the processor sees it.

    Attributes:
        size: Side of the result [px].
        centre_crop: Cut out the middle 90 % of the area; right if and only if the model was trained with image_aug.
        jpeg: Compress and decompress first, as the training data was.
    """

    size: int = 224
    centre_crop: bool = False
    jpeg: bool = True

    def __post_init__(self) -> None:
        """Refuse a JPEG step that could not be exact. Raises ConfigurationError."""
        if self.jpeg and find_spec("simplejpeg") is None:
            raise ConfigurationError(
                "the evaluation path's JPEG step needs the package simplejpeg, because Pillow's decoder differs by up to "
                "13 levels: pip install 'vla-runtime[jpeg]', or jpeg=false"
            )

    def apply(self, image: Image) -> Image:
        """A new uint8 array of shape (size, size, 3)."""
        result = jpeg_round_trip(image) if self.jpeg else image
        result = lanczos3(result, self.size)
        return centre_crop(result) if self.centre_crop else result


def jpeg_round_trip(image: Image) -> Image:
    """Quality 95, 4:2:0, decoded with the fast integer transform that TensorFlow uses. Needs simplejpeg."""
    import simplejpeg

    encoded = io.BytesIO()
    PillowImage.fromarray(image).save(encoded, "JPEG", quality=JPEG_QUALITY, subsampling=2)
    return simplejpeg.decode_jpeg(encoded.getvalue(), fastdct=True)


def lanczos3(image: Image, size: int) -> Image:
    """Resize to a square with the Lanczos kernel of radius 3, stretched when shrinking; half-pixel centres."""
    rows, columns = (_lanczos_weights(length, size) for length in image.shape[:2])
    height, width = image.shape[:2]
    values = rows @ image.astype(np.float32).reshape(
        height, -1
    )  # products of matrices: ten times as fast as einsum
    values = columns @ values.reshape(size, width, 3)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _lanczos_weights(length: int, size: int) -> NDArray[np.float32]:
    """[size, length] weights, each row adding up to one."""
    scale = length / size
    support = max(scale, 1.0)
    centres = (np.arange(size) + 0.5) * scale
    offsets = (np.arange(length)[None, :] + 0.5 - centres[:, None]) / support
    weights = np.where(np.abs(offsets) < 3.0, np.sinc(offsets) * np.sinc(offsets / 3.0), 0.0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def centre_crop(image: Image) -> Image:
    """The middle 90 % of the area, brought back to the same size bilinearly with aligned corners."""
    size = image.shape[0]
    side = np.sqrt(np.float32(CROP_AREA))
    start = (np.float32(1.0) - side) / np.float32(2.0)
    step = ((start + side) - start) * np.float32(size - 1) / np.float32(size - 1)
    positions = start * np.float32(size - 1) + np.arange(size, dtype=np.float32) * step
    low = np.floor(positions).astype(int)
    high = np.minimum(low + 1, size - 1)
    share = (positions - low).astype(np.float32)
    values = image.astype(np.float32) * np.float32(1.0 / 255.0)
    values = values[:, low] + (values[:, high] - values[:, low]) * share[None, :, None]
    values = values[low] + (values[high] - values[low]) * share[:, None, None]
    return np.floor(np.clip(values, 0.0, 1.0) * np.float32(255.5)).astype(np.uint8)
