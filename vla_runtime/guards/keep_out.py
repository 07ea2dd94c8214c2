"""Boxes that neither the tool nor the hand may enter. The way out is always open.

The hand is a few spheres that are fixed to the tool. A step is judged by the boxes that the spheres' centres sweep,
which is a little more than they really pass through.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast, final

from vla_runtime import limits
from vla_runtime.actions.rotations import rotate
from vla_runtime.errors import ConfigurationError
from vla_runtime.guards.order import Rank
from vla_runtime.guards.poses import no_pose, scaled
from vla_runtime.guards.regions import Sweep
from vla_runtime.types import Action, GuardContext, Intervention, Pose, Verdict

Box = tuple[tuple[float, float], ...]
HARDLY = 1e-6  # [m] nearer than before, that is rounding


@final
class KeepOut:
    """CLAMP what would enter a zone: first by sliding along it, else by standing still."""

    name = "keep_out"
    rank = Rank.KEEP_OUT

    def __init__(
        self,
        zones: Mapping[str, Mapping[str, Any]],
        spheres: Mapping[str, Sequence[float]],
        margin_m: float,
    ) -> None:
        """Set zones and the hand's shape.

        Args:
            zones: By name, each with x_m, y_m and z_m: low and high, base frame [m].
            spheres: By name: centre x, y, z in the tool frame and radius, 4 numbers [m].
            margin_m: Distance that is kept [m].
        """
        limits.positive(self.name, margin_m=margin_m)
        self.zones: dict[str, Box] = {
            name: limits.box(f"keep_out.zones.{name}", sides) for name, sides in zones.items()
        }
        for name, sphere in spheres.items():
            if not _is_sphere(sphere):
                raise ConfigurationError(
                    f"keep_out.spheres.{name}={sphere!r}: expected centre x, y, z and a radius above 0 [m]"
                )
        if not spheres:
            raise ConfigurationError("keep_out.spheres is empty: expected at least the tool point")
        self.shape = [((s[0], s[1], s[2]), s[3]) for s in spheres.values()]
        self._spheres = [(centre, radius + margin_m) for centre, radius in self.shape]
        self._furthest = max(math.dist(centre, (0, 0, 0)) + radius for centre, radius in self._spheres)

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        """Judge the way to where the action leads."""
        if not self.zones:
            return None
        pose = context.commanded_pose
        if pose is None:
            return no_pose(self.name)
        reason = self.forbids(pose, straight(action))
        if reason is None:
            return None
        for smaller in _detours(action):
            if self.forbids(pose, straight(smaller)) is None:
                return Intervention(self.name, Verdict.CLAMP, reason, smaller)
        return Intervention(self.name, Verdict.CLAMP, reason, scaled(action, 0.0, 0.0))

    def forbids(self, pose: Pose, sweep: Sweep) -> str | None:
        """Why a sweep is not allowed."""
        if not self.zones:
            return None
        position, quaternion = pose
        turned = 2.0 * sum(max(-low, high) for low, high in zip(sweep.low[3:], sweep.high[3:], strict=True))
        moved = sum(max(-low, high) for low, high in zip(sweep.low[:3], sweep.high[:3], strict=True))
        reach = self._furthest * (1.0 + turned) + moved
        for name, zone in self.zones.items():
            if _distance(position, position, zone) > reach:
                continue
            for offset, radius in self._spheres:
                lever = rotate(quaternion, offset)
                swing = turned * math.dist(offset, (0.0, 0.0, 0.0)) / 2.0
                centre = tuple(p + o for p, o in zip(position, lever, strict=True))
                low = tuple(c + d - swing for c, d in zip(centre, sweep.low, strict=False))
                high = tuple(c + d + swing for c, d in zip(centre, sweep.high, strict=False))
                nearest, before = _distance(low, high, zone), _distance(centre, centre, zone)
                end = tuple(c + d for c, d in zip(centre, sweep.stop, strict=False))
                deeper = before == 0.0 and _depth(end, zone) > _depth(centre, zone) + HARDLY
                if deeper or (nearest < radius and nearest < before - HARDLY):
                    return f"would come within {1e3 * nearest:.0f} mm of the keep-out zone {name}, at least {1e3 * radius:.0f} mm"
        return None


def _is_sphere(given: object) -> bool:
    """Whether it is four finite numbers, the last one above 0."""
    values = cast("Sequence[object]", given) if isinstance(given, (list, tuple)) else ()
    finite = [
        value
        for value in values
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    ]
    return len(values) == len(finite) == 4 and finite[3] > 0.0


def straight(action: Action) -> Sweep:
    """What a straight motion passes through."""
    delta = action.values[:6]
    low, high = tuple(min(d, 0.0) for d in delta), tuple(max(d, 0.0) for d in delta)
    return Sweep(low, high, delta)  # type: ignore[arg-type]


def _detours(action: Action) -> Iterator[Action]:
    """The same without its turn, then without one or two of its directions, the largest part first."""
    dx, dy, dz, *_, gripper = action.values
    for angular in (action.values[3:6], (0.0, 0.0, 0.0)):
        ways = [(dx, dy, dz), (dx, dy, 0.0), (dx, 0.0, dz), (0.0, dy, dz)]
        ways += [(dx, 0.0, 0.0), (0.0, dy, 0.0), (0.0, 0.0, dz)]
        for way in sorted(ways, key=lambda way: -sum(d * d for d in way)):
            yield Action((*way, *angular, gripper))


def _distance(low: tuple[float, ...], high: tuple[float, ...], zone: Box) -> float:
    """Between two boxes [m]; 0 when they meet."""
    (x0, x1), (y0, y1), (z0, z1) = zone
    dx, dy, dz = (
        max(x0 - high[0], low[0] - x1),
        max(y0 - high[1], low[1] - y1),
        max(z0 - high[2], low[2] - z1),
    )
    return math.hypot(dx if dx > 0.0 else 0.0, dy if dy > 0.0 else 0.0, dz if dz > 0.0 else 0.0)


def _depth(point: tuple[float, ...], zone: Box) -> float:
    """How deep a point lies in a box: the way to the nearest face [m]; negative outside."""
    return min(min(here - low, high - here) for here, (low, high) in zip(point, zone, strict=True))
