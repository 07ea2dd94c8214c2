"""Hostile actions through the whole chain: no limit is violated at its output, and the checker would notice."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vla_runtime.config import build_arm, build_chain, compose_config, guard_settings
from vla_runtime.evaluation.fuzz import Tally, fuzz
from vla_runtime.guards.chain import GuardChain
from vla_runtime.kinematics.serial_arm import SerialArm
from vla_runtime.specs import DELTA_AXES, DELTA_UNITS, ActionSpec

ZONES = {"post": {"x_m": [0.50, 0.60], "y_m": [-0.2, -0.1], "z_m": [0.0, 0.4]}}


def spec(control_hz: float) -> ActionSpec:
    high = (0.25 / control_hz,) * 3 + (1.25 / control_hz,) * 3
    return ActionSpec(
        DELTA_AXES, DELTA_UNITS, (*(-h for h in high), 0.0), (*high, 1.0), control_hz=control_hz
    )


def made(profile: str, control_hz: float, without: str | None = None) -> tuple[GuardChain, SerialArm]:
    """A profile with a keep-out zone, patient with policies that are corrected all the time."""
    config = compose_config("run_episode", [f"guards={profile}"])
    content: dict[str, Any] = guard_settings(config, spec(control_hz), None)
    content["guards"]["keep_out"]["zones"] = ZONES
    content["guards"]["dwell"] |= {"max_touched_share": 1.0, "max_flips": 10}
    content["guards"].pop(without, None)
    return build_chain(content), build_arm(content)


def tally(profile: str, control_hz: float, actions: int, seed: int, without: str | None = None) -> Tally:
    chain, arm = made(profile, control_hz, without)
    whole = made(profile, control_hz)[0]
    found = Tally()
    for found in fuzz(chain, arm, spec(control_hz), actions, seed, whole):  # noqa: B007
        pass
    return found


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["simulation", "lab_slow", "panda"]),
    st.sampled_from([5.0, 10.0, 20.0]),
    st.integers(0, 2**31),
)
def test_no_limit_is_violated_at_the_output(profile: str, control_hz: float, seed: int) -> None:
    found = tally(profile, control_hz, 300, seed)
    assert found.violations == {}
    assert found.exceptions == {}
    assert found.actions == 300
    assert found.executed > 200


@pytest.mark.parametrize(
    ("guard", "limit"),
    [
        ("motion", "acceleration"),
        ("workspace", "workspace"),
        ("orientation", "orientation"),
        ("keep_out", "keep-out zone"),
    ],
)
def test_the_checker_notices_a_guard_that_is_missing(guard: str, limit: str) -> None:
    assert tally("panda", 5.0, 2500, 7, without=guard).violations[limit] > 0


def test_equal_seeds_give_equal_tallies() -> None:
    assert vars(tally("simulation", 5.0, 400, 3)) == vars(tally("simulation", 5.0, 400, 3))
