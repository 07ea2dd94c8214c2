"""Rotations by their axioms, and the golden values of the original."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vla_runtime.actions import rotations as r

GOLDEN = np.load(Path(__file__).parents[2] / "data" / "openvla" / "transforms.npz")

angle = st.floats(-math.pi, math.pi)
small = st.floats(-1.4, 1.4)
rpys = st.tuples(angle, small, angle)
quaternions = rpys.map(r.quaternion_from_rpy)
vectors = st.tuples(*[st.floats(-10, 10)] * 3)


def close(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    return first == pytest.approx(second, abs=1e-7)


def same(first: r.Quaternion, second: r.Quaternion) -> bool:
    """Equal up to the sign: both signs are the same rotation."""
    return abs(abs(sum(a * b for a, b in zip(first, second, strict=True))) - 1) < 1e-9


@given(quaternions)
def test_inverse_undoes(q: r.Quaternion) -> None:
    assert same(r.multiply(q, r.inverse(q)), r.IDENTITY)


@given(quaternions, quaternions, quaternions)
def test_multiplication_is_associative(a: r.Quaternion, b: r.Quaternion, c: r.Quaternion) -> None:
    assert close(r.multiply(r.multiply(a, b), c), r.multiply(a, r.multiply(b, c)))


@given(quaternions, quaternions, vectors)
def test_a_product_rotates_like_its_factors_in_turn(a: r.Quaternion, b: r.Quaternion, v: r.Vector) -> None:
    assert close(r.rotate(r.multiply(a, b), v), r.rotate(a, r.rotate(b, v)))


@given(quaternions, vectors)
def test_rotation_keeps_length(q: r.Quaternion, v: r.Vector) -> None:
    assert math.hypot(*r.rotate(q, v)) == pytest.approx(math.hypot(*v), abs=1e-8)


@given(rpys)
def test_rpy_round_trip(rpy: r.Vector) -> None:
    assert same(
        r.quaternion_from_rpy(r.rpy_from_quaternion(r.quaternion_from_rpy(rpy))), r.quaternion_from_rpy(rpy)
    )


@given(quaternions)
def test_axis_angle_round_trip(q: r.Quaternion) -> None:
    assert same(r.quaternion_from_axis_angle(r.axis_angle_from_quaternion(q)), q)


@given(quaternions)
def test_axis_angle_is_the_shorter_way(q: r.Quaternion) -> None:
    assert math.hypot(*r.axis_angle_from_quaternion(q)) <= math.pi + 1e-9


@given(quaternions)
def test_both_signs_are_one_rotation(q: r.Quaternion) -> None:
    assume(abs(q[3]) > 1e-6)
    x, y, z, w = q
    assert close(r.normalized(q), r.normalized((-x, -y, -z, -w)))


@given(angle, small, angle)
def test_rpy_turns_about_fixed_axes_in_order(roll: float, pitch: float, yaw: float) -> None:
    by_steps = r.multiply(
        r.quaternion_from_rpy((0, 0, yaw)),
        r.multiply(r.quaternion_from_rpy((0, pitch, 0)), r.quaternion_from_rpy((roll, 0, 0))),
    )
    assert same(r.quaternion_from_rpy((roll, pitch, yaw)), by_steps)


def test_known_turns() -> None:
    quarter = r.quaternion_from_rpy((0.0, 0.0, math.pi / 2))
    assert close(r.rotate(quarter, (1.0, 0.0, 0.0)), (0.0, 1.0, 0.0))
    down = r.quaternion_from_rpy((math.pi, 0.0, 0.0))
    assert close(r.rotate(down, (0.0, 0.0, 1.0)), (0.0, 0.0, -1.0))


def test_golden_axis_angles_of_the_original() -> None:
    for quaternion, expected in zip(
        GOLDEN["quat2axisangle/in_xyzw"], GOLDEN["quat2axisangle/out"], strict=True
    ):
        x, y, z, w = quaternion.tolist()
        ours = r.axis_angle_from_quaternion((x, y, z, w))
        # The original may go the longer way round: the same rotation, so it is compared as one.
        assert same(
            r.quaternion_from_axis_angle(ours), r.quaternion_from_axis_angle(tuple(expected.tolist()))
        )
