"""Numbers of a data set, read a piece at a time: its actions, or its proprioception."""

from collections.abc import Callable, Iterator
from typing import final

import numpy as np
from numpy.typing import NDArray

from vla_runtime.errors import InvalidStatistics
from vla_runtime.interfaces import FrameSource

BYTES = 8  # [bytes] of a float64
COPIES = 6  # arrays as large as a piece that are alive at a time while quantiles are counted

Rows = NDArray[np.float64]
Read = Callable[[int, int], Rows]
Progress = Callable[[int, int], None]


@final
class Column:
    """One column of a data set, in pieces that fit a memory budget. It is read once if it fits as a whole.

    Attributes:
        name: What it is called in errors.
        length: How many rows.
        axes: How many numbers each row has.
    """

    def __init__(self, source: FrameSource, name: str, read: Read, memory_bytes: int) -> None:
        """Open a column.

        Args:
            source: Gives the number of frames and where episodes begin.
            name: "action" or "proprio".
            read: From first frame and one past the last to rows, shape (frames, axes).
            memory_bytes: What pieces and what is computed from them may take [bytes].

        Raises:
            InvalidStatistics: A data set without frames.
        """
        self.length = len(source)
        if self.length == 0:
            raise InvalidStatistics(f"{name}: a data set without frames; expected 1 or more")
        self.name = name
        self._source, self._read = source, read
        self._advance: Callable[[int], None] = lambda frames: None
        self.axes = read(0, 1).shape[1]
        self.piece_rows = max(1, memory_bytes // (COPIES * BYTES * self.axes))
        self._kept: list[Rows] | None = [] if self.length <= self.piece_rows else None

    def watch(self, advance: Callable[[int], None]) -> None:
        """Have a function told of the rows of each piece that has been worked on."""
        self._advance = advance

    def pieces(self) -> Iterator[Rows]:
        """All rows in order, shape (up to piece_rows, axes). Raises InvalidStatistics for a number that is not finite."""
        for rows in self._kept or self._read_pieces():
            yield rows
            self._advance(len(rows))

    def _read_pieces(self) -> Iterator[Rows]:
        for start in range(0, self.length, self.piece_rows):
            rows = np.asarray(self._read(start, min(start + self.piece_rows, self.length)), dtype=np.float64)
            self._check(rows, start)
            if self._kept is not None:
                self._kept.append(rows)
            yield rows

    def _check(self, rows: Rows, start: int) -> None:
        if rows.ndim != 2 or rows.shape[1] != self.axes:
            raise InvalidStatistics(
                f"{self.name} of shape {rows.shape[1:]} in frame {start} or after it; expected ({self.axes},)"
            )
        strange = np.argwhere(~np.isfinite(rows))
        if strange.size:
            row, axis = (int(number) for number in strange[0])
            raise InvalidStatistics(
                f"{self.name}: axis {axis} is {rows[row, axis]} in {self._place(start + row)}; expected finite numbers"
            )

    def _place(self, frame: int) -> str:
        for episode, (first, end) in enumerate(self._source.episode_bounds):
            if first <= frame < end:
                return f"episode {episode}, frame {frame - first} of it (frame {frame} of the data set)"
        return f"frame {frame}"


def action_column(source: FrameSource, memory_bytes: int) -> Column:
    """The actions of a data set."""
    return Column(source, "action", source.actions, memory_bytes)


def proprio_column(source: FrameSource, memory_bytes: int, read: Read | None = None) -> Column:
    """The proprioception of a data set; zeros as wide as an action where it has none, as in the original.

    Args:
        source: It has proprioception if its first frame has.
        memory_bytes: What pieces may take [bytes].
        read: A faster way to the rows than frame by frame.
    """
    if len(source) and source.frame(0).state is None:
        width = source.actions(0, 1).shape[1]
        return Column(source, "proprio", lambda start, stop: np.zeros((stop - start, width)), memory_bytes)

    def frame_by_frame(start: int, stop: int) -> Rows:
        states = [source.frame(index).state for index in range(start, stop)]
        missing = [state is None for state in states]
        if any(missing):
            raise InvalidStatistics(f"proprio: frame {start + missing.index(True)} has none, others have")
        return np.stack([state for state in states if state is not None])

    return Column(source, "proprio", read or frame_by_frame, memory_bytes)
