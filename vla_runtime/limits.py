"""Limits from YAML: refused at the start, in one line, when they are missing, negative, senseless or contradictory."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

from vla_runtime.errors import ConfigurationError

UNITS = {  # by the end of a limit's name, longest first; the largest value that makes sense
    "_mps3": ("m/s³", 1e5),
    "_mps2": ("m/s²", 1e3),
    "_mps": ("m/s", 10.0),
    "_radps3": ("rad/s³", 1e6),
    "_radps2": ("rad/s²", 1e4),
    "_radps": ("rad/s", 50.0),
    "_rad": ("rad", 2.0 * math.pi),
    "_nats": ("nats", 20.0),
    "_hz": ("Hz", 10_000.0),
    "_nm": ("N m", 1e3),
    "_n": ("N", 1e4),
    "_m": ("m", 10.0),
    "_s": ("s", 60.0),
}


def unit_of(name: str) -> tuple[str, float]:
    """The unit that a limit's name ends in, and the largest value that makes sense in it."""
    return next((unit for end, unit in UNITS.items() if name.endswith(end)), ("", math.inf))


def positive(owner: str, **limits: Any) -> None:
    """Refuse limits that are not numbers above 0, or absurdly large in the unit of their name.

    Raises:
        ConfigurationError: Names the limit, its value and what would have been right.
    """
    for name, value in limits.items():
        _number(owner, name, value)
        unit, largest = unit_of(name)
        if not 0.0 < value <= largest:
            raise ConfigurationError(
                f"{owner}.{name}={value}: expected more than 0 and at most {largest:.6g} {_in(unit)}".rstrip()
            )


def within(owner: str, low: float, high: float, **limits: Any) -> None:
    """Refuse limits that are not numbers from low to high."""
    for name, value in limits.items():
        _number(owner, name, value)
        if not low <= value <= high:
            unit = unit_of(name)[0]
            raise ConfigurationError(
                f"{owner}.{name}={value}: expected from {low:.6g} to {high:.6g} {_in(unit)}".rstrip()
            )


def count(owner: str, low: int, high: int, **limits: Any) -> None:
    """Refuse what is not a whole number from low to high."""
    for name, value in limits.items():
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ConfigurationError(
                f"{owner}.{name}={value!r}: expected a whole number from {low} to {high}"
            )


def ordered(owner: str, **limits: float) -> None:
    """Refuse limits that do not rise in the order in which they are given."""
    names = list(limits)
    for first, second in pairwise(names):
        if not limits[first] < limits[second]:
            raise ConfigurationError(
                f"{owner}.{first}={limits[first]} and {second}={limits[second]}: expected {first} below {second}"
            )


def interval(owner: str, name: str, value: Any) -> tuple[float, float]:
    """Two finite numbers, the first below the second."""
    unit = unit_of(name)[0]
    pair = () if isinstance(value, str) or not isinstance(value, Sequence) else cast(Sequence[float], value)
    if len(pair) != 2:
        raise ConfigurationError(f"{owner}.{name}={value!r}: expected two numbers, low and high {_in(unit)}")
    low, high = pair
    for number in pair:
        _number(owner, name, number)
    if not low < high:
        raise ConfigurationError(f"{owner}.{name}=[{low}, {high}]: expected low below high {_in(unit)}")
    return float(low), float(high)


def box(owner: str, sides: Mapping[str, Any]) -> tuple[tuple[float, float], ...]:
    """The three intervals of a box: x_m, y_m and z_m."""
    if not isinstance(sides, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] it comes from YAML
        raise ConfigurationError(f"{owner}={sides!r}: expected x_m, y_m and z_m")
    wrong = sorted(set(sides) ^ {"x_m", "y_m", "z_m"})
    if wrong:
        raise ConfigurationError(f"{owner}: {wrong[0]} is missing or unknown; expected x_m, y_m and z_m")
    return tuple(interval(owner, name, sides[name]) for name in ("x_m", "y_m", "z_m"))


def _number(owner: str, name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        unit = unit_of(name)[0]
        raise ConfigurationError(f"{owner}.{name}={value!r}: expected a finite number {_in(unit)}".rstrip())


def _in(unit: str) -> str:
    return f"[{unit}]" if unit else ""
