"""OpenVLA's 256 bins: laws, and the golden values of the original."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_runtime.actions.openvla_tokenizer import OpenVLATokenizer
from vla_runtime.errors import ConfigurationError, InvalidTokens

DATA = Path(__file__).parents[2] / "data" / "openvla"
GOLDEN = np.load(DATA / "action_tokenizer.npz")
GROUPS = sorted({name.split("/")[0] for name in GOLDEN.files} - {"decode_all"})
TOKENIZER = OpenVLATokenizer()
HALF_BIN = 1.0 / 255.0

inside = st.floats(-1.0, 1.0)
numbers = st.floats(allow_nan=False)


@pytest.mark.parametrize("group", GROUPS)
def test_golden_values_of_the_original(group: str) -> None:
    tokenizer = OpenVLATokenizer(bins=128 if group == "bins128" else 256)
    ids = tokenizer.encode(GOLDEN[f"{group}/actions"])
    np.testing.assert_array_equal(ids, GOLDEN[f"{group}/token_ids"])
    np.testing.assert_array_equal(tokenizer.decode(ids), GOLDEN[f"{group}/decoded"])


def test_golden_decoding_of_every_action_token() -> None:
    ids, values = GOLDEN["decode_all/token_ids"], GOLDEN["decode_all/actions"]
    actions = np.isin(ids, list(TOKENIZER.token_ids))
    assert actions.sum() == 256
    np.testing.assert_array_equal(TOKENIZER.decode(ids[actions]), values[actions])


def test_other_ids_are_refused_where_the_original_makes_them_a_motion() -> None:
    for token_id in (0, 2, 29871, 31743, 32000, 32063, -1):
        with pytest.raises(InvalidTokens, match=str(token_id)):
            TOKENIZER.decode([31900, token_id])


def test_golden_training_actions() -> None:
    for example in json.loads((DATA / "train_actions.json").read_text()):
        assert TOKENIZER.encode(example["action"]).tolist() == example["action_token_ids"]


@given(st.lists(inside, min_size=1, max_size=14))
def test_round_trip_is_within_half_a_bin(values: list[float]) -> None:
    decoded = TOKENIZER.decode(TOKENIZER.encode(values))
    assert np.abs(decoded - values).max() <= HALF_BIN + 1e-12


@given(numbers)
def test_every_number_gets_an_action_token_and_is_clipped(value: float) -> None:
    token = int(TOKENIZER.encode(value))
    assert token in TOKENIZER.token_ids
    assert token == int(TOKENIZER.encode(min(max(value, -1.0), 1.0)))


@given(numbers, numbers)
def test_tokens_fall_as_values_rise(first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert TOKENIZER.encode(low) >= TOKENIZER.encode(high)


@given(st.integers(31745, 31999))
def test_bin_centres_are_fixed_points(token: int) -> None:
    assert int(TOKENIZER.encode(TOKENIZER.decode(token))) == token


@given(st.integers(2, 512), st.integers(512, 40_000))
def test_any_number_of_bins_stays_inside_its_ids(bins: int, vocab_size: int) -> None:
    tokenizer = OpenVLATokenizer(vocab_size, bins)
    ids = tokenizer.encode(np.linspace(-1.5, 1.5, 50))
    assert set(ids.tolist()) <= set(tokenizer.token_ids)
    assert len(tokenizer.bin_centres) == bins - 1


def test_nan_is_refused() -> None:
    with pytest.raises(InvalidTokens, match="NaN"):
        TOKENIZER.encode([0.0, np.nan])


@pytest.mark.parametrize("bins", [0, 1, 40_000])
def test_senseless_bins_are_refused(bins: int) -> None:
    with pytest.raises(ConfigurationError, match="bins"):
        OpenVLATokenizer(bins=bins)
