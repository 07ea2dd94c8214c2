"""From the plain values of a YAML to what the arm is made of, or one line that says what is wrong."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from vla_runtime.errors import ConfigurationError
from vla_runtime.kinematics.capsules import Capsule, CollisionModel
from vla_runtime.kinematics.frames import Frame, Vector, frame_from

CAPSULE_KEYS = ("name", "link", "start", "end", "radius")


def numbers(what: str, given: Any, count: int) -> tuple[float, ...]:
    """A list of so many finite numbers."""
    values = cast("Sequence[Any]", given)
    if not isinstance(given, (list, tuple)) or not all(map(_is_finite, values)):
        raise ConfigurationError(f"arm: {what} is {given}; expected {count} finite numbers")
    if len(values) != count:
        raise ConfigurationError(f"arm: {what} has {len(values)} numbers; expected {count}")
    return tuple(map(float, values))


def frame(what: str, given: Mapping[str, Any]) -> Frame:
    """A frame from its xyz [m] and rpy [rad]."""
    _check_keys(what, given, ("xyz", "rpy"))
    return frame_from(vector(f"{what} xyz", given["xyz"]), vector(f"{what} rpy", given["rpy"]))


def vector(what: str, given: Any) -> Vector:
    """Three finite numbers."""
    x, y, z = numbers(what, given, 3)
    return (x, y, z)


def check_limits(low: Sequence[float], high: Sequence[float], velocity: Sequence[float]) -> None:
    """Refuse limits that leave no room to move."""
    for joint, (below, above, speed) in enumerate(zip(low, high, velocity, strict=True), start=1):
        if below >= above:
            raise ConfigurationError(f"arm: joint {joint} from {below} to {above} [rad]; expected low < high")
        if speed <= 0.0:
            raise ConfigurationError(
                f"arm: velocity of joint {joint} is {speed} [rad/s]; expected more than 0"
            )


def collision_model(
    capsules: Sequence[Mapping[str, Any]],
    pairs: Sequence[Sequence[str]],
    over_table: Sequence[str],
    links: int,
) -> CollisionModel:
    """Capsules and, by their names, those that are looked at. `links`: how many frames there are to fix them to."""
    made = tuple(_capsule(index, given, links) for index, given in enumerate(capsules))
    names = [capsule.name for capsule in made]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(f"arm: {names.count(name)} capsules named {name!r}; expected one")
    if not pairs or not over_table:
        raise ConfigurationError(
            f"arm: {len(pairs)} pairs and {len(over_table)} over_table; expected one or more of each"
        )
    return CollisionModel(
        made,
        tuple(_pair(given, names) for given in pairs),
        tuple(_index("over_table", name, names) for name in over_table),
    )


def _capsule(index: int, given: Mapping[str, Any], links: int) -> Capsule:
    what = f"capsule {given.get('name', index)!r}"
    _check_keys(what, given, CAPSULE_KEYS)
    link, radius = given["link"], given["radius"]
    if not isinstance(link, int) or isinstance(link, bool) or not 0 <= link < links:
        raise ConfigurationError(f"arm: {what} link is {link}; expected 0 (base) to {links - 1} (tool)")
    if not _is_finite(radius) or radius <= 0.0:
        raise ConfigurationError(f"arm: {what} radius is {radius} [m]; expected more than 0")
    start, end = (vector(f"{what} {end}", given[end]) for end in ("start", "end"))
    return Capsule(str(given["name"]), link, start, end, float(radius))


def _pair(given: Sequence[str], names: list[str]) -> tuple[int, int]:
    if len(given) != 2 or given[0] == given[1]:
        raise ConfigurationError(f"arm: pair {list(given)}; expected the names of two capsules")
    return _index("pair", given[0], names), _index("pair", given[1], names)


def _index(what: str, name: str, names: list[str]) -> int:
    if name not in names:
        raise ConfigurationError(f"arm: {what} names {name!r}; expected one of {', '.join(names)}")
    return names.index(name)


def _check_keys(what: str, given: Mapping[str, Any], keys: Sequence[str]) -> None:
    if set(given) != set(keys):
        raise ConfigurationError(
            f"arm: {what} has {', '.join(given) or 'nothing'}; expected {', '.join(keys)}"
        )


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
