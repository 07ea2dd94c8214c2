"""Writing the pictures of one camera as an mp4 whose frame n is at exactly n / fps seconds."""

import os
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, final

import av
import numpy as np
from av.codec import Codec

from vla_runtime.errors import ConfigurationError, RecordingFailed
from vla_runtime.types import Image

PRESETS = {  # fast enough beside a control loop, and two frames at most for any one
    "libx264": {"preset": "veryfast", "crf": "23", "bf": "0"},
    "libx265": {"preset": "ultrafast", "crf": "25", "bf": "0", "x265-params": "log-level=error"},
    "libsvtav1": {"preset": "12", "crf": "30", "svtav1-params": "lp=1"},
    "libvpx-vp9": {"crf": "31", "b": "0", "deadline": "realtime", "cpu-used": "8"},
}


@dataclass(frozen=True)
class VideoCodec:
    """How pictures are coded.

    Attributes:
        name: Any encoder that PyAV has; libx264 by default.
        group: Frames from one that stands alone to the next; a random frame costs at most so many decodings.
        pixel_format: yuv420p plays everywhere.
        options: The encoder's own, over those of PRESETS.
    """

    name: str = "libx264"
    group: int = 2  # [frames]
    pixel_format: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse an encoder that there is not."""
        try:
            codec = Codec(self.name, "w")
        except ValueError as error:
            raise ConfigurationError(
                f"codec {self.name}: PyAV has no such encoder; expected for example libx264"
            ) from error
        if codec.type != "video":
            raise ConfigurationError(f"codec {self.name}: codes {codec.type}; expected a video encoder")
        if self.group < 1:
            raise ConfigurationError(f"codec group={self.group}: expected 1 or more [frames]")

    @property
    def all_options(self) -> dict[str, str]:
        """PRESETS and the own ones."""
        return {**PRESETS.get(self.name, {}), **{key: str(value) for key, value in self.options.items()}}


@final
class VideoWriter:
    """Encodes as pictures come; memory does not grow with their number."""

    def __init__(self, path: Path, fps: int, height: int, width: int, codec: VideoCodec) -> None:
        """Args: path: the file; fps: [Hz]; height, width: [px]; codec: how."""
        self._frames = 0
        os.environ.setdefault("SVT_LOG", "1")  # its AV1 encoder talks a page for each file; errors only
        try:
            self._container: Any = av.open(str(path), "w")
            stream: Any = self._container.add_stream(
                codec.name, rate=Fraction(fps), options=codec.all_options
            )
            stream.width, stream.height, stream.pix_fmt = width, height, codec.pixel_format
            stream.codec_context.gop_size = codec.group
            stream.codec_context.thread_count = 1
            stream.codec_context.time_base = Fraction(1, fps)
        except OSError as error:
            raise RecordingFailed(f"{path}: {error.strerror or error}") from error
        self._stream = stream

    def add(self, picture: Image) -> None:
        """Encode one picture, shape (height, width, 3), RGB."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame.pts, frame.time_base = self._frames, self._stream.codec_context.time_base
        self._frames += 1
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write out what is still in the encoder, and close the file."""
        self._container.mux(self._stream.encode(None))
        self.close()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        container, self._container = self._container, None
        if container is not None:
            container.close()


def coding(path: Path) -> dict[str, Any]:
    """What info.json says of a video's coding, in the words of lerobot."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return {
            "video.height": stream.height,
            "video.width": stream.width,
            "video.codec": stream.codec.canonical_name,
            "video.pix_fmt": stream.pix_fmt,
            "video.is_depth_map": False,
            "video.fps": int(stream.base_rate or 0),
            "video.channels": 3,
            "has_audio": False,
        }
