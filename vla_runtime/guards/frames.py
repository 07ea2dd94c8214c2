"""A camera that hangs or is covered shows the same picture, or none.

Equal pictures alone prove nothing: a simulated scene at rest looks the same twice. A picture is called frozen when it
stayed equal while the arm moved.
"""

import math
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple, final

import numpy as np

from vla_runtime import limits
from vla_runtime.guards.order import Rank
from vla_runtime.types import Action, FrameFacts, GuardContext, Image, Intervention, Judgement, Verdict

ROW_PX = 4  # [px] every fourth row is compared: a new picture differs in all of them, by its noise alone
GRID_PX = 16  # [px] between the pixels that brightness is measured on


def facts(image: Image) -> FrameFacts:
    """What guards know of a picture."""
    rows: Any = np.ascontiguousarray(image[::ROW_PX])
    return FrameFacts(zlib.crc32(rows), float(image[::GRID_PX, ::GRID_PX].mean()))


class Seen(NamedTuple):
    """A picture, and where the tool was [m] when it was new.

    Attributes:
        digest: Of the picture.
        repeats: How often it came again.
        position: Of the tool [m], when it came first.
    """

    digest: int
    repeats: int
    position: tuple[float, ...]


@final
class Frames:
    """HOLD for a frozen or a black picture."""

    name = "frames"
    rank = Rank.FRAMES

    def __init__(self, max_repeats: int, moved_m: float, min_brightness: float) -> None:
        """Set the limits.

        Args:
            max_repeats: How often a picture may come again while the arm moves [frames].
            moved_m: From this motion of the tool on a picture must change [m].
            min_brightness: Darker is black, 0 to 255.
        """
        limits.count(self.name, 1, 1000, max_repeats=max_repeats)
        limits.positive(self.name, moved_m=moved_m)
        limits.within(self.name, 0.0, 255.0, min_brightness=min_brightness)
        self._max_repeats, self._moved_m, self._min_brightness = max_repeats, moved_m, min_brightness

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        """Judge every camera's picture."""
        for camera, frame in context.frames.items():
            if not frame.brightness >= self._min_brightness:  # also when it is no number
                reason = f"camera {camera} is black: brightness {frame.brightness:.1f}, at least {self._min_brightness:g}"
                return Intervention(
                    self.name, Verdict.HOLD, reason, None, frame.brightness, self._min_brightness, "of 255"
                )
        past: Mapping[str, Seen] = context.memory.get(self.name, {})
        for camera, frame in context.frames.items():
            before = past.get(camera)
            if before is None or before.digest != frame.digest or before.repeats < self._max_repeats:
                continue
            seen = Seen(frame.digest, before.repeats + 1, before.position)
            moved_m = math.dist(seen.position, _tool(context))
            if moved_m > self._moved_m:
                reason = f"camera {camera} is frozen: {seen.repeats} equal pictures while the tool moved {1e3 * moved_m:.0f} mm"
                value, limit = float(seen.repeats), float(self._max_repeats)
                return Intervention(self.name, Verdict.HOLD, reason, None, value, limit, "frames")
        return None

    def remember(self, context: GuardContext, judgement: Judgement | None) -> Mapping[str, Seen]:
        """The newest picture of each camera."""
        past: Mapping[str, Seen] = context.memory.get(self.name, {})
        tool = _tool(context)
        now: dict[str, Seen] = {}
        for camera, frame in context.frames.items():
            before = past.get(camera)
            same = before is not None and before.digest == frame.digest
            now[camera] = (
                Seen(frame.digest, before.repeats + 1, before.position)
                if before is not None and same
                else Seen(frame.digest, 0, tool)
            )
        return now


def _tool(context: GuardContext) -> tuple[float, ...]:
    felt = context.observation.proprioception
    return felt.end_effector_pose[:3] if felt else (0.0, 0.0, 0.0)
