"""Encoding beside the caller: a thread for each camera, behind a queue of bounded length."""

import queue
import threading
from pathlib import Path
from typing import Any, final

from vla_runtime.datasets.features import Feature
from vla_runtime.datasets.moments import PictureCounts, Statistics
from vla_runtime.datasets.video import VideoCodec, VideoWriter
from vla_runtime.errors import RecordingFailed
from vla_runtime.types import Image

PICTURES_WAITING = 32  # [pictures] between the caller and the encoder


@final
class CameraEncoder:
    """Encodes the pictures of one camera in a thread, and counts their brightness."""

    def __init__(self, path: Path, fps: int, feature: Feature, codec: VideoCodec) -> None:
        """Open the file, and start the thread.

        Args:
            path: The video.
            fps: [Hz].
            feature: Says the size of its pictures.
            codec: How they are coded.
        """
        height, width = feature.shape[:2]
        self._video, self._counts = VideoWriter(path, fps, height, width, codec), PictureCounts()
        self._waiting: queue.Queue[Image | None] = queue.Queue(PICTURES_WAITING)
        self._failed: BaseException | None = None
        self._path, self._keep = path, True
        self._thread = threading.Thread(target=self._encode, name=f"encoder of {path.name}", daemon=True)
        self._thread.start()

    def add(self, picture: Image) -> None:
        """Hand over a picture; waits while the encoder is far behind."""
        self._check()
        self._waiting.put(picture)

    def finish(self) -> Statistics:
        """Wait for the encoder, close the file; the statistics of the pictures."""
        self._end()
        self._check()
        return self._counts.statistics()

    def abandon(self) -> None:
        """Stop early."""
        self._keep = False
        self._end()

    def _end(self) -> None:
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join()

    def _check(self) -> None:
        if self._failed is not None:
            raise RecordingFailed(f"{self._path}: the encoder failed ({self._failed})") from self._failed

    def _encode(self) -> None:
        """The thread: after a failure it goes on taking pictures, so that nobody waits for it."""
        while (picture := self._waiting.get()) is not None:
            if self._keep and self._failed is None:
                self._attempt(lambda picture=picture: self._take(picture))
        if self._keep and self._failed is None:
            self._attempt(self._video.finish)
        self._attempt(self._video.close)

    def _take(self, picture: Image) -> None:
        self._video.add(picture)
        self._counts.add(picture)

    def _attempt(self, work: Any) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  it is raised where the caller can see it
            self._failed = self._failed or error
