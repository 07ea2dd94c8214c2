"""q01/q99 normalisation: laws, and the golden values of the original."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.errors import InvalidStatistics
from vla_runtime.specs import ActionSpec
from vla_runtime.types import Action, NormalizedAction

DATA = Path(__file__).parents[2] / "data" / "openvla"
GOLDEN = np.load(DATA / "transforms.npz")
STATISTICS = json.loads((DATA / "norm_stats.json").read_text())["norm_stats"]
BRIDGE = ActionStatistics.load(DATA / "dataset_statistics.json", "bridge_orig")


@pytest.mark.parametrize("kind", ["action", "proprio"])
@pytest.mark.parametrize(("golden", "low", "high"), [("bounds_q99", "q01", "q99"), ("bounds", "min", "max")])
def test_golden_normalisation_of_the_original(kind: str, golden: str, low: str, high: str) -> None:
    entry = STATISTICS[kind]
    statistics = ActionStatistics.from_mapping({**entry, "q01": entry[low], "q99": entry[high]})
    for raw, expected in zip(
        GOLDEN[f"{kind}_raw"].tolist(), GOLDEN[f"{golden}/{kind}"].tolist(), strict=True
    ):
        assert statistics.normalize(Action(tuple(raw))).values == pytest.approx(expected, abs=1e-6)


def test_unnormalisation_follows_the_published_formula() -> None:
    entry = json.loads((DATA / "dataset_statistics.json").read_text())["bridge_orig"]["action"]
    q01, q99, mask = (np.array(entry[key]) for key in ("q01", "q99", "mask"))
    values = np.linspace(-1.0, 1.0, 7)
    expected = np.where(mask, 0.5 * (values + 1) * (q99 - q01) + q01, values)
    assert BRIDGE.unnormalize(NormalizedAction(tuple(values.tolist()))).values == tuple(expected.tolist())


unit = st.lists(st.floats(-1.0, 1.0), min_size=7, max_size=7).map(tuple)


@given(unit)
def test_round_trip_inside_the_quantiles(values: tuple[float, ...]) -> None:
    physical = BRIDGE.unnormalize(NormalizedAction(values))
    again = BRIDGE.normalize(physical)
    # The original's epsilon in the denominator costs up to 2e-8 / (q99 - q01).
    assert again.values == pytest.approx(values, abs=2e-6)


@given(unit, st.floats(0, 1e3))
def test_outside_the_quantiles_is_clipped(values: tuple[float, ...], beyond: float) -> None:
    physical = BRIDGE.unnormalize(NormalizedAction(values)).values
    far = Action(tuple(value + beyond for value in physical))
    for value, masked in zip(BRIDGE.normalize(far).values, BRIDGE.mask, strict=True):
        assert not masked or -1.0 <= value <= 1.0


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_masked_out_axes_pass_unchanged(gripper: float) -> None:
    assert BRIDGE.mask[6] is False
    assert BRIDGE.normalize(Action((0.0,) * 6 + (gripper,))).values[6] == gripper
    assert BRIDGE.unnormalize(NormalizedAction((0.0,) * 6 + (gripper,))).values[6] == gripper


def test_bounds_of_a_spec_become_one(spec: ActionSpec) -> None:
    statistics = ActionStatistics.from_spec(spec)
    assert statistics.unnormalize(NormalizedAction((1.0,) * 7)).values == pytest.approx(spec.high)
    assert statistics.unnormalize(NormalizedAction((-1.0,) * 6 + (0.0,))).values == pytest.approx(spec.low)
    assert statistics.mask == (True,) * 6 + (False,)


def test_a_missing_mask_means_every_axis() -> None:
    assert ActionStatistics.from_mapping({"q01": [0, 0], "q99": [1, 1]}).mask == (True, True)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"q01": [0.0]}, "without q99"),
        ({}, "found nothing"),
        ({"q01": [0.0, 1.0], "q99": [1.0]}, "2 q01, 1 q99"),
        ({"q01": [1.0], "q99": [0.0]}, "axis 0"),
        ({"q01": [0.0], "q99": [float("nan")]}, "axis 0"),
    ],
)
def test_senseless_statistics_are_refused(entry: dict, said: str) -> None:
    with pytest.raises(InvalidStatistics, match=said):
        ActionStatistics.from_mapping(entry)


def test_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidStatistics, match="no data set named; expected one of bridge_orig, fractal"):
        ActionStatistics.load(DATA / "dataset_statistics.json")
    with pytest.raises(InvalidStatistics, match="no data set 'moon'"):
        ActionStatistics.load(DATA / "dataset_statistics.json", "moon")
    with pytest.raises(InvalidStatistics, match="No such file"):
        ActionStatistics.load(tmp_path / "absent.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InvalidStatistics, match="not JSON"):
        ActionStatistics.load(tmp_path / "broken.json")


def test_wrong_length_is_refused() -> None:
    with pytest.raises(InvalidStatistics, match="action of 3 numbers, statistics of 7"):
        BRIDGE.unnormalize(NormalizedAction((0.0,) * 3))


@given(st.lists(st.floats(-0.05, 0.05), min_size=3, max_size=3), st.floats(0.0, 1.0))
def test_the_inverse_is_exact_at_rest_and_at_the_bounds_and_true_to_rounding_elsewhere(
    values: list[float], gripper: float
) -> None:
    statistics = ActionStatistics((-0.05,) * 3 + (0.0,), (0.05,) * 3 + (1.0,), (True,) * 3 + (False,))
    for action in (Action((*values, gripper)), Action((0.0, 0.05, -0.05, gripper))):
        back = statistics.unnormalize(statistics.inverse(action))
        assert back.values == pytest.approx(action.values, abs=1e-16)
    assert statistics.unnormalize(statistics.inverse(Action((0.0, 0.05, -0.05, 1.0)))).values == (
        0.0,
        0.05,
        -0.05,
        1.0,
    )
    outside = statistics.inverse(Action((0.2, -0.2, 0.0, 1.0)))
    assert outside.values == (1.0, -1.0, 0.0, 1.0)
