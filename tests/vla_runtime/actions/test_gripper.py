"""Gripper conventions: the golden values of the original, and laws."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_runtime.actions import gripper

GOLDEN = np.load(Path(__file__).parents[2] / "data" / "openvla" / "transforms.npz")


def golden(name: str) -> list:
    return GOLDEN[name].tolist()


def test_golden_libero_data_set() -> None:
    ours = [gripper.opening_from_libero_dataset(raw) for raw in golden("libero_dataset_gripper/raw")]
    assert ours == pytest.approx(golden("libero_dataset_gripper/out"), abs=1e-12)


def test_golden_libero_commands() -> None:
    ours = [gripper.libero_from_opening(row[6]) for row in golden("eval_gripper/in")]
    assert ours == [row[6] for row in golden("eval_gripper/libero_final")]


def test_golden_binarisation() -> None:
    assert gripper.binarized(golden("binarize/in")) == golden("binarize/out")


def test_golden_relative_commands() -> None:
    assert gripper.openings_from_relative(golden("rel2abs/in")) == golden("rel2abs/out")


@given(st.lists(st.sampled_from([0.0, 1.0])))
def test_binarising_twice_changes_nothing(openings: list[float]) -> None:
    assert gripper.binarized(openings) == openings


@given(st.floats(0, 0.08))
def test_width_round_trip(width_m: float) -> None:
    assert gripper.width_from_opening(gripper.opening_from_width(width_m, 0.08), 0.08) == pytest.approx(
        width_m
    )


def test_width_beyond_the_fingers_is_clipped() -> None:
    assert gripper.opening_from_width(0.2, 0.08) == 1.0
    assert gripper.width_from_opening(-3.0, 0.08) == 0.0
