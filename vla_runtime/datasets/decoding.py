"""Reading single pictures out of videos: a few containers stay open, and only what is needed is decoded."""

import os
from collections import OrderedDict
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, final

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import VideoReformatter

from vla_runtime.errors import InvalidDataset
from vla_runtime.types import Image

OPEN_VIDEOS = 16  # [containers] that a reader keeps open
TOLERANCE = 0.1  # [periods] by which a frame may lie beside its time


@final
class OpenVideo:
    """One open video. `decoded` counts the frames that it took to decode so far."""

    def __init__(self, path: Path, fps: float) -> None:
        """Args: path: the file; fps: what the data set says of its rate [Hz].

        Raises:
            InvalidDataset: It cannot be opened, or has another rate.
        """
        self.path, self._fps, self.decoded = path, fps, 0
        self._frames: Iterator[Any] = iter(())
        self._last: Any = None
        self._converter = VideoReformatter()
        self._container = open_video(path)
        self._stream = self._container.streams.video[0]
        self._stream.codec_context.thread_count = 1  # several threads hand out frames later
        rate = self._stream.average_rate
        if rate is not None and self._stream.frames != 1 and abs(float(rate) - fps) > TOLERANCE * fps:
            self.close()
            raise InvalidDataset(
                f"{path}: {float(rate):g} frames per second; expected {fps:g}, as info.json says"
            )

    def at(self, time_s: float) -> Image:
        """The picture at a time [s], shape (height, width, 3), RGB.

        Raises:
            InvalidDataset: There is none, or it cannot be decoded.
        """
        unit = self._stream.time_base or Fraction(1, 90000)
        wanted, period = round(time_s / float(unit)), 1.0 / (self._fps * float(unit))
        try:
            frame = self._find(wanted, period)
        except FFmpegError as error:
            raise InvalidDataset(
                f"{self.path}: cannot be decoded at {time_s:.3f} s ({error.strerror})"
            ) from error
        if frame is None:
            raise InvalidDataset(
                f"{self.path}: no frame at {time_s:.3f} s; expected one every {1 / self._fps:.4f} s"
            )
        # The frame's own conversion starts threads for each picture, which wait for their turn on a busy machine.
        picture: Image = (
            self._converter.reformat(frame, format="rgb24", threads=1)
            .to_ndarray()
            .astype(np.uint8, copy=False)
        )
        return picture

    def close(self) -> None:
        """Close the file."""
        self._frames, self._last = iter(()), None
        self._container.close()

    def _find(self, wanted: int, period: float) -> Any:
        """The frame at a time [time base of the stream]; None when there is none."""
        near = TOLERANCE * period
        ahead = None if self._last is None else wanted - self._last.pts
        if ahead is not None and abs(ahead) <= near:
            return self._last
        if ahead is not None and 0 < ahead <= period + near and self._forward(wanted - near):
            return self._hit(wanted, near)
        for earlier in (0, round(10 * period), wanted):  # a key frame may be shown later than it is stored
            self._container.seek(max(0, wanted + round(near) - earlier), stream=self._stream)
            self._frames = self._container.decode(self._stream)
            if self._forward(wanted - near) and self._hit(wanted, near) is not None:
                return self._last
        return None

    def _forward(self, until: float) -> bool:
        """Decode up to the first frame that is not before a time; whether there is one."""
        for frame in self._frames:
            self.decoded += 1
            self._last = frame
            if frame.pts is not None and frame.pts >= until:
                return True
        self._last = None
        return False

    def _hit(self, wanted: int, near: float) -> Any:
        return self._last if abs(self._last.pts - wanted) <= near else None


@final
class OpenVideos:
    """A few open videos, the least recently used one closed first. A process that was forked opens its own."""

    def __init__(self, fps: float, limit: int = OPEN_VIDEOS) -> None:
        """Args: fps: of all of them [Hz]; limit: how many stay open."""
        self._fps, self._limit, self._process = fps, limit, os.getpid()
        self._open: OrderedDict[Path, OpenVideo] = OrderedDict()
        self._decoded = 0

    def at(self, path: Path, time_s: float) -> Image:
        """The picture of a video at a time [s]."""
        if self._process != os.getpid():
            self._open, self._process = OrderedDict(), os.getpid()
        video = self._open.pop(path, None) or OpenVideo(path, self._fps)
        self._open[path] = video
        if len(self._open) > self._limit:
            self._close(self._open.popitem(last=False)[1])
        return video.at(time_s)

    @property
    def decoded(self) -> int:
        """How many frames were decoded so far."""
        return self._decoded + sum(video.decoded for video in self._open.values())

    def close(self) -> None:
        """Close all."""
        while self._open:
            self._close(self._open.popitem()[1])

    def _close(self, video: OpenVideo) -> None:
        self._decoded += video.decoded
        video.close()


def open_video(path: Path) -> Any:
    """An open container with a video stream.

    Raises:
        InvalidDataset: There is none, or it is no video.
    """
    try:
        container = av.open(str(path))
    except FileNotFoundError as error:
        raise InvalidDataset(f"{path}: the video is missing") from error
    except (FFmpegError, OSError) as error:
        raise InvalidDataset(
            f"{path}: cannot be read as a video ({error.strerror}); it is damaged or was cut off"
        ) from error
    if not container.streams.video:
        container.close()
        raise InvalidDataset(f"{path}: has no video stream")
    return container


def frame_times(path: Path) -> np.ndarray:
    """When the frames of a video are shown [s], sorted, shape (frames,); nothing is decoded.

    Raises:
        InvalidDataset: It cannot be read to its end.
    """
    container = open_video(path)
    try:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        if any(packet.is_corrupt or packet.pts is None for packet in packets) or len(packets) < stream.frames:
            raise InvalidDataset(f"{path}: damaged, {len(packets)} of {stream.frames} frames are there")
        return np.sort([float(packet.pts * packet.time_base) for packet in packets])
    except FFmpegError as error:
        raise InvalidDataset(f"{path}: cannot be read to its end ({error.strerror})") from error
    finally:
        container.close()
