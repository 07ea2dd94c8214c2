"""What the columns of a data set are: type, shape, names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vla_runtime.errors import InvalidDataset

NUMBERS = ("float32", "float64", "int64", "int32", "bool")
ACTION_DTYPES = ("float32", "float64")
PICTURES = ("video", "image")


@dataclass(frozen=True)
class Feature:
    """One column, or the pictures of one camera.

    Attributes:
        dtype: float32, float64, int64, int32, bool, string, video or image.
        shape: (n,) for numbers, (height, width, 3) for pictures [px].
        names: Of its numbers, or of a picture's axes.
        details: What the file says of a video's coding.
    """

    dtype: str
    shape: tuple[int, ...]
    names: Any = None
    details: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def is_picture(self) -> bool:
        """Whether it is what a camera saw."""
        return self.dtype in PICTURES

    @property
    def is_number(self) -> bool:
        """Whether it has numbers, and so statistics."""
        return self.dtype in NUMBERS

    def as_json(self) -> dict[str, Any]:
        """As info.json has it."""
        content = {"dtype": self.dtype, "shape": list(self.shape), "names": self.names}
        return {**content, "info": dict(self.details)} if self.details else content

    def arrow_type(self) -> pa.DataType:
        """The type of its column in a data file."""
        scalar = pa.string() if self.dtype == "string" else pa.from_numpy_dtype(np.dtype(self.dtype))
        return scalar if self.shape == (1,) else pa.list_(scalar, self.shape[0])


DEFAULTS = {
    "timestamp": Feature("float32", (1,)),
    "frame_index": Feature("int64", (1,)),
    "episode_index": Feature("int64", (1,)),
    "index": Feature("int64", (1,)),
    "task_index": Feature("int64", (1,)),
}


def camera_feature(height: int, width: int) -> Feature:
    """The feature of a camera's video [px]."""
    return Feature("video", (height, width, 3), ["height", "width", "channels"])


def features_from_json(content: Mapping[str, Any]) -> dict[str, Feature]:
    """The features of an info.json.

    Raises:
        InvalidDataset: One has no dtype or no shape.
    """
    try:
        return {
            name: Feature(
                str(node["dtype"]),
                tuple(int(size) for size in node["shape"]),
                node.get("names"),
                node.get("info") or node.get("video_info") or {},
            )
            for name, node in content.items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidDataset(f"features: {error!r}; expected dtype and shape for each") from error


def check_writable(features: Mapping[str, Feature]) -> None:
    """Refuse features that cannot be written.

    Raises:
        InvalidDataset: A name with a slash or of ours, an unknown dtype, a shape that does not go with it.
    """
    for name, feature in features.items():
        if "/" in name or not name or name in DEFAULTS:
            raise InvalidDataset(
                f"feature {name!r}: expected a name without '/' that is not one of {', '.join(DEFAULTS)}"
            )
        if feature.dtype == "video":
            if (
                len(feature.shape) != 3
                or feature.shape[2] != 3
                or feature.shape[0] % 2
                or feature.shape[1] % 2
            ):
                raise InvalidDataset(
                    f"feature {name!r}: shape {feature.shape}; expected (height, width, 3) with even height and width [px]"
                )
        elif feature.dtype not in (*NUMBERS, "string"):
            raise InvalidDataset(
                f"feature {name!r}: dtype {feature.dtype!r}; expected video, string or {', '.join(NUMBERS)}"
            )
        elif (
            len(feature.shape) != 1
            or feature.shape[0] < 1
            or (feature.dtype == "string" and feature.shape != (1,))
        ):
            raise InvalidDataset(f"feature {name!r}: shape {feature.shape}; expected (n,)")


def difference(there: Mapping[str, Feature], given: Mapping[str, Feature]) -> str | None:
    """What is different between a data set's features and others, in words; None when they are the same."""
    for name in sorted(there.keys() | given.keys()):
        if name not in given:
            return f"feature {name!r} is missing"
        if name not in there:
            return f"feature {name!r} is not in the data set, which has {', '.join(there)}"
        for what in ("dtype", "shape", "names"):
            old, new = getattr(there[name], what), getattr(given[name], what)
            if old != new and not (what == "names" and there[name].is_picture):  # lerobot: channel, channels
                return f"feature {name!r} has {what} {new}, the data set's has {old}"
    return None


def checked_numbers(name: str, feature: Feature, value: Any) -> NDArray[Any]:
    """A value as its feature wants it, shape (n,).

    Raises:
        InvalidDataset: Another shape, or a number that is not finite.
    """
    numbers = np.atleast_1d(np.asarray(value))
    if numbers.shape != feature.shape:
        raise InvalidDataset(f"{name}: shape {numbers.shape}; expected {feature.shape}")
    if not np.can_cast(numbers.dtype, feature.dtype, "same_kind"):
        raise InvalidDataset(f"{name}: {numbers.dtype} numbers; expected {feature.dtype}")
    with np.errstate(over="ignore"):
        cast = numbers.astype(feature.dtype)
    if cast.dtype.kind == "f" and not np.isfinite(cast).all():
        at = int(np.flatnonzero(~np.isfinite(cast))[0])
        axis = feature.names[at] if isinstance(feature.names, list) and len(feature.names) > at else at
        raise InvalidDataset(f"{name}: {axis} is {numbers[at]}; expected finite numbers")
    return cast


def check_fps(fps: float) -> None:
    """Refuse a rate that lerobot cannot hold.

    Raises:
        InvalidDataset: It is no whole number above 0.
    """
    if fps != int(fps) or fps < 1:
        raise InvalidDataset(f"fps={fps:g}: expected a whole number above 0 [Hz]")


def check_instruction(instruction: str) -> None:
    """Refuse an empty sentence.

    Raises:
        InvalidDataset: It is empty.
    """
    if not isinstance(instruction, str) or not instruction.strip():
        raise InvalidDataset(f"instruction {instruction!r}: is empty; expected a sentence")
