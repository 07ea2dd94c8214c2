"""Data sets that are only numbers, for tests of statistics and tokenizers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vla_runtime.types import Frame


class NumberSource:
    """Episodes given as arrays of actions; counts how often its actions were read."""

    cameras: tuple[str, ...] = ()

    def __init__(
        self,
        episodes: Sequence[NDArray[np.float64]],
        states: NDArray[np.float64] | None = None,
        fps: float = 5.0,
    ) -> None:
        self.fps = fps
        self._actions = np.concatenate(list(episodes)) if episodes else np.zeros((0, 7))
        self._states = states
        ends = np.cumsum([len(episode) for episode in episodes]).tolist()
        self.episode_bounds = list(zip([0, *ends][: len(ends)], ends, strict=True))
        self.largest_read = self.frames_read = 0

    def __len__(self) -> int:
        return len(self._actions)

    def frame(self, index: int, cameras: Sequence[str] = ()) -> Frame:
        episode = next(n for n, (first, end) in enumerate(self.episode_bounds) if first <= index < end)
        state = None if self._states is None else self._states[index]
        return Frame({}, state, self._actions[index], "go", episode, index - self.episode_bounds[episode][0])

    def actions(self, start: int, stop: int) -> NDArray[np.float64]:
        self.largest_read = max(self.largest_read, stop - start)
        self.frames_read += stop - start
        return self._actions[start:stop].copy()
