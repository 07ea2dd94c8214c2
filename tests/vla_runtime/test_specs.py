"""Conventions are compared before anything moves."""

from dataclasses import replace

import pytest

from vla_runtime.errors import ConfigurationError, ConventionMismatch
from vla_runtime.specs import ActionSpec, check_compatible


def test_equal_conventions_with_other_bounds_are_compatible(spec: ActionSpec) -> None:
    check_compatible(spec, replace(spec, high=(1.0,) * 7))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("frame", "tool"),
        ("rotation", "axis_angle"),
        ("mode", "absolute"),
        ("control_hz", 10.0),
        ("units", ("mm", *("m",) * 6)),
    ],
)
def test_each_convention_matters(spec: ActionSpec, field: str, value: object) -> None:
    with pytest.raises(ConventionMismatch, match=field):
        check_compatible(spec, replace(spec, **{field: value}))


@pytest.mark.parametrize(
    "change",
    [
        {"low": (0.0,) * 6},
        {"units": ("m",) * 8},
        {"high": (float("nan"), *(1.0,) * 6)},
        {"low": (9.0, *(0.0,) * 6)},
        {"control_hz": 0.0},
    ],
)
def test_senseless_specs_are_refused(spec: ActionSpec, change: dict) -> None:
    with pytest.raises(ConfigurationError):
        replace(spec, **change)
