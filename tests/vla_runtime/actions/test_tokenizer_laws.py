"""What every action tokenizer keeps to, with every kind of vocabulary."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.vla_runtime.actions.sources import NumberSource
from tests.vla_runtime.actions.vocabularies import byte_level, llama_like, with_numbers
from vla_runtime.actions.action_ids import ActionIds
from vla_runtime.actions.bin_tokenizer import BinTokenizer, quantile_bins
from vla_runtime.actions.bins import Bins
from vla_runtime.actions.fast_tokenizer import FASTTokenizer, train_pieces
from vla_runtime.actions.openvla_tokenizer import OpenVLATokenizer
from vla_runtime.actions.rt2 import RT2Format
from vla_runtime.actions.rt2_tokenizers import RT2TextTokenizer, RT2Tokenizer
from vla_runtime.actions.spectrum import Spectrum
from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.actions.tokenizer_files import OURS, THEIRS, load_tokenizer, save_tokenizer
from vla_runtime.actions.vocabulary import action_names, extended, least_used
from vla_runtime.errors import ConfigurationError, InvalidTokens, InvalidVocabulary
from vla_runtime.interfaces import ActionTokenizer

AXES = 7
PERIODS, SCALE = 5, 20.0
STRAIGHT = ActionStatistics((-1.0,) * AXES, (1.0,) * AXES, (True,) * AXES)


def smooth(chunks: int, seed: int = 0) -> np.ndarray:
    """Smooth motion, shape (chunks, PERIODS, AXES)."""
    random = np.random.default_rng(seed)
    times = np.arange(PERIODS)[:, None]
    speed, phase = random.uniform(0, 1.2, (chunks, 1, AXES)), random.uniform(0, 6.3, (chunks, 1, AXES))
    return 0.8 * np.sin(speed * times + phase)


@cache
def fast() -> FASTTokenizer:
    spectrum = Spectrum(PERIODS, AXES, SCALE)
    pieces = train_pieces(spectrum, smooth(400), 400)
    return FASTTokenizer(spectrum, pieces, ActionIds.last(32_000, pieces.get_vocab_size()))


@cache
def quantile() -> BinTokenizer:
    rows = np.clip(np.random.default_rng(1).normal(0, 0.2, (2000, AXES)), -1, 1)
    rows[:, 6] = rows[:, 6] > 0
    return BinTokenizer(quantile_bins(NumberSource([rows]), STRAIGHT, 64), ActionIds.last(32_000, 64))


MADE: dict[str, Callable[[], ActionTokenizer]] = {
    "openvla": OpenVLATokenizer,
    "uniform bins": lambda: BinTokenizer(Bins.uniform(256, AXES), ActionIds.last(32_000, 256)),
    "quantile bins": quantile,
    "rt2, last ids": lambda: RT2Tokenizer(RT2Format(), ActionIds.last(32_000, 256)),
    "rt2, added to bytes": lambda: RT2Tokenizer(
        RT2Format(), extended(byte_level(), action_names(256), 32_064)[1]
    ),
    "rt2, overwriting llama's": lambda: RT2Tokenizer(RT2Format(), least_used(llama_like(), 256)),
    "rt2, numbers": lambda: RT2TextTokenizer(RT2Format(), with_numbers()),
    "rt2, bytes": lambda: RT2TextTokenizer(RT2Format(), byte_level(), own_tokens=False),
    "rt2, llama's digits": lambda: RT2TextTokenizer(RT2Format(), llama_like(), own_tokens=False),
    "fast": fast,
}
TOKENIZERS = {name: cache(make) for name, make in MADE.items()}
every = pytest.mark.parametrize("name", TOKENIZERS)
few = settings(max_examples=15, deadline=None)


def shape(tokenizer: ActionTokenizer) -> tuple[int, ...]:
    return (AXES,) if tokenizer.periods == 1 else (tokenizer.periods, AXES)


def actions(tokenizer: ActionTokenizer, largest: float = 1.0) -> st.SearchStrategy[np.ndarray]:
    return arrays(float, shape(tokenizer), elements=st.floats(-largest, largest))


def allowed(name: str, tokenizer: ActionTokenizer, values: np.ndarray) -> np.ndarray | float:
    """Half the bin that a value lies in; where bins differ in width, the distance to the nearest centre."""
    if name == "quantile bins":
        assert isinstance(tokenizer, BinTokenizer)
        return np.array(
            [
                np.abs(np.asarray(centres) - value).min()
                for centres, value in zip(tokenizer.bins.centres, values, strict=True)
            ]
        )
    return 1 / 255 if name == "openvla" else 1 / 256


@every
@given(st.data())
@few
def test_decoding_gives_back_what_was_encoded(name: str, data: st.DataObject) -> None:
    tokenizer = TOKENIZERS[name]()
    values = data.draw(actions(tokenizer))
    decoded = tokenizer.decode(tokenizer.encode(values))
    assert decoded.shape == values.shape
    assert np.abs(decoded).max() <= 1.0
    if tokenizer.periods == 1:
        assert (np.abs(decoded - values) <= allowed(name, tokenizer, values) + 1e-12).all()
    else:
        rms = np.sqrt(((decoded - values) ** 2).mean(axis=0))
        assert rms.max() <= 0.5 / SCALE + 1e-12


@every
@given(st.data())
@few
def test_encoding_what_was_decoded_gives_the_same_tokens(name: str, data: st.DataObject) -> None:
    tokenizer = TOKENIZERS[name]()
    largest = (
        0.99 if tokenizer.periods == 1 else 0.9
    )  # 1.0 has two tokens in OpenVLA; FAST may overshoot and be clipped
    tokens = tokenizer.encode(data.draw(actions(tokenizer, largest)))
    np.testing.assert_array_equal(tokenizer.encode(tokenizer.decode(tokens)), tokens)


@every
@given(st.data())
@few
def test_only_action_tokens_are_written_and_values_outside_are_clipped(
    name: str, data: st.DataObject
) -> None:
    tokenizer = TOKENIZERS[name]()
    values = data.draw(arrays(float, shape(tokenizer), elements=st.floats(allow_nan=False)))
    tokens = tokenizer.encode(values)
    assert set(tokens.tolist()) <= set(tokenizer.token_ids)
    np.testing.assert_array_equal(tokens, tokenizer.encode(np.clip(values, -1.0, 1.0)))


@every
def test_ids_are_different_and_others_are_refused(name: str) -> None:
    tokenizer = TOKENIZERS[name]()
    assert len(set(tokenizer.token_ids)) == len(tokenizer.token_ids)
    tokens = tokenizer.encode(np.zeros(shape(tokenizer)))
    strange = next(number for number in range(40_000) if number not in set(tokenizer.token_ids))
    for wrong in (strange, 40_000, -1):
        with pytest.raises(InvalidTokens, match=str(wrong)):
            tokenizer.decode([*tokens[:-1], wrong])


@every
def test_nan_and_wrong_lengths_are_refused(name: str) -> None:
    tokenizer = TOKENIZERS[name]()
    values = np.zeros(shape(tokenizer))
    if name != "openvla":  # it takes any number of values
        with pytest.raises(InvalidTokens, match="expected"):
            tokenizer.encode(values[..., :-1])
        tokens = tokenizer.encode(values)
        half = tokens[
            : len(tokens) // 2
        ]  # one less would not do: digits spelled one by one would still be a number
        with pytest.raises(InvalidTokens, match="expected"):
            tokenizer.decode(half)
    values[..., 2] = np.nan
    with pytest.raises(InvalidTokens, match="NaN"):
        tokenizer.encode(values)


@every
def test_saved_is_loaded(name: str, tmp_path: Path) -> None:
    tokenizer = TOKENIZERS[name]()
    save_tokenizer(tokenizer, tmp_path / "saved")  # type: ignore[arg-type]  each of them has describe()
    loaded = load_tokenizer(tmp_path / "saved")
    assert type(loaded) is type(tokenizer)
    assert (loaded.periods, list(loaded.token_ids)) == (tokenizer.periods, list(tokenizer.token_ids))
    values = np.random.default_rng(0).uniform(-1, 1, shape(tokenizer))
    tokens = tokenizer.encode(values)
    np.testing.assert_array_equal(loaded.encode(values), tokens)
    np.testing.assert_array_equal(loaded.decode(tokens), tokenizer.decode(tokens))
    with pytest.raises(ConfigurationError, match="not empty"):
        save_tokenizer(tokenizer, tmp_path / "saved")  # type: ignore[arg-type]
    assert [file.name for file in tmp_path.iterdir()] == ["saved"]


@pytest.mark.parametrize("name", [name for name in TOKENIZERS if name != "fast"])
@given(st.integers(0, AXES - 1), st.floats(-1, 1), st.floats(-1, 1))
@few
def test_decoded_values_rise_with_what_was_encoded(name: str, axis: int, first: float, second: float) -> None:
    tokenizer = TOKENIZERS[name]()
    low, high = np.zeros(AXES), np.zeros(AXES)
    low[axis], high[axis] = sorted((first, second))
    assert (tokenizer.decode(tokenizer.encode(low)) <= tokenizer.decode(tokenizer.encode(high))).all()


def test_what_cannot_be_loaded_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidVocabulary, match="No such file"):
        load_tokenizer(tmp_path)
    (tmp_path / OURS).write_text(json.dumps({"kind": "moon"}))
    with pytest.raises(
        InvalidVocabulary, match="kind 'moon'; expected one of openvla, bins, rt2_ids, rt2_text, fast"
    ):
        load_tokenizer(tmp_path)
    (tmp_path / OURS).write_text(json.dumps({"kind": "bins", "ids": [1]}))
    with pytest.raises(InvalidVocabulary, match=r"damaged .*centres"):
        load_tokenizer(tmp_path)
    (tmp_path / OURS).write_text("{")
    with pytest.raises(InvalidVocabulary, match="damaged"):
        load_tokenizer(tmp_path)
    (tmp_path / OURS).write_text(json.dumps({"kind": "fast", **fast().describe()}))
    with pytest.raises(InvalidVocabulary, match="no such file"):
        load_tokenizer(tmp_path)
    (tmp_path / THEIRS).write_text("{}")
    with pytest.raises(InvalidVocabulary, match=THEIRS):
        load_tokenizer(tmp_path)
    byte_level().save(str(tmp_path / THEIRS))
    with pytest.raises(InvalidVocabulary, match="action ids for 259 pieces"):
        load_tokenizer(tmp_path)
