"""What coding and decoding pictures costs: CPU time of this process, codecs interleaved in rounds."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vla_runtime.datasets.decoding import OpenVideo
from vla_runtime.datasets.video import VideoCodec, VideoWriter
from vla_runtime.types import Image


@dataclass(frozen=True)
class CodecCost:
    """What one round with one codec cost.

    Attributes:
        encode_ms, sequential_ms, random_ms: CPU time of a frame [ms].
        decodings: Frames decoded for one at random.
        kib: Size of a frame [KiB].
        error: Mean absolute difference of decoded pixels from the original ones, of 255.
    """

    encode_ms: float
    sequential_ms: float
    random_ms: float
    decodings: float
    kib: float
    error: float


def measure_codec(pictures: Sequence[Image], codec: VideoCodec, fps: int, path: Path, seed: int) -> CodecCost:
    """Write pictures to a file; read them in sequence, then each once in random order from an open file.

    Args:
        pictures: Of equal size.
        codec: How they are coded.
        fps: [Hz].
        path: The file, which is replaced.
        seed: Of the order.
    """
    height, width = pictures[0].shape[:2]

    def encode() -> None:
        writer = VideoWriter(path, fps, height, width, codec)
        for picture in pictures:
            writer.add(picture)
        writer.finish()

    encode_s = _cpu_s(encode)
    order = np.random.default_rng(seed).permutation(len(pictures)).tolist()
    video = OpenVideo(path, fps)
    decoded: list[Image] = []
    sequential_s = _cpu_s(lambda: decoded.extend(_read(video, range(len(pictures)), fps)))
    before = video.decoded
    random_s = _cpu_s(lambda: list(_read(video, order, fps)))
    decodings = (video.decoded - before) / len(pictures)
    video.close()
    error = np.mean([np.abs(a.astype(int) - b).mean() for a, b in zip(decoded, pictures, strict=True)])
    encode_ms, sequential_ms, random_ms = (
        1e3 * spent_s / len(pictures) for spent_s in (encode_s, sequential_s, random_s)
    )
    kib = path.stat().st_size / 1024 / len(pictures)
    return CodecCost(encode_ms, sequential_ms, random_ms, decodings, kib, float(error))


def _read(video: OpenVideo, order: Sequence[int], fps: int) -> Iterator[Image]:
    for index in order:
        yield video.at(index / fps)


def _cpu_s(work: Callable[[], object]) -> float:
    """CPU time of all threads of this process [s]."""
    began_s = time.process_time()
    work()
    return time.process_time() - began_s
