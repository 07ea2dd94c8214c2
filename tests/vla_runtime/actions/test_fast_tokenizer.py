"""FAST: exact down to rounding, fewer tokens for smooth motion, and nothing that looks like a chunk but is none."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vla_runtime.actions.test_tokenizer_laws import AXES, PERIODS, SCALE, fast, smooth
from tests.vla_runtime.actions.vocabularies import byte_level, llama_like
from vla_runtime.actions.action_ids import ActionIds
from vla_runtime.actions.fast_tokenizer import FASTTokenizer, train_pieces
from vla_runtime.actions.spectrum import Spectrum
from vla_runtime.actions.tokenizer_files import THEIRS, save_tokenizer
from vla_runtime.actions.vocabulary import action_names, extended
from vla_runtime.errors import ConfigurationError, InvalidTokens, InvalidVocabulary

SPECTRUM = Spectrum(PERIODS, AXES, SCALE)


def test_amplitudes_are_those_of_the_cosine_transform() -> None:
    """Against the definition: sum over n of x_n cos(pi k (2 n + 1) / (2 N)), scaled to length one."""
    values = np.random.default_rng(0).uniform(-1, 1, (PERIODS, AXES))
    k, n = np.arange(PERIODS)[:, None], np.arange(PERIODS)[None]
    basis = np.cos(np.pi * k * (2 * n + 1) / (2 * PERIODS)) * np.sqrt(np.where(k == 0, 1, 2) / PERIODS)
    np.testing.assert_array_equal(SPECTRUM.numbers(values), np.rint(basis @ values * SCALE))


def test_the_largest_chunk_just_fits_the_alphabet() -> None:
    for corner in (np.ones((PERIODS, AXES)), -np.ones((PERIODS, AXES)), np.full((PERIODS, AXES), np.inf)):
        numbers = SPECTRUM.numbers(corner)
        assert np.abs(numbers).max() <= SPECTRUM.limit
        assert len(SPECTRUM.write(numbers)) == PERIODS * AXES
    assert set(SPECTRUM.write(SPECTRUM.numbers(np.ones((PERIODS, AXES))))) <= set(SPECTRUM.alphabet)


def test_low_frequencies_of_all_axes_come_first() -> None:
    values = np.zeros((PERIODS, AXES))
    values[:, 3] = 0.5  # a constant has the lowest frequency only
    numbers = SPECTRUM.read(SPECTRUM.write(SPECTRUM.numbers(values))).ravel()
    assert np.flatnonzero(numbers).tolist() == [3]


def test_smooth_motion_costs_less_than_a_token_per_number_and_less_than_noise() -> None:
    held_out, noise = smooth(50, seed=9), np.random.default_rng(2).uniform(-1, 1, (50, PERIODS, AXES))
    lengths = [len(fast().encode(chunk)) for chunk in held_out]
    assert np.mean(lengths) < 0.75 * PERIODS * AXES
    assert np.mean(lengths) < np.mean([len(fast().encode(chunk)) for chunk in noise])
    still = np.tile(held_out[0][:1], (PERIODS, 1))
    assert len(fast().encode(np.zeros((PERIODS, AXES)))) <= len(fast().encode(still))


@given(st.lists(st.integers(0, 10**6), min_size=0, max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_tokens_are_refused_or_are_a_chunk(numbers: list[int]) -> None:
    tokenizer = fast()
    tokens = [tokenizer.token_ids[number % len(tokenizer.token_ids)] for number in numbers]
    try:
        decoded = tokenizer.decode(tokens)
    except InvalidTokens as error:
        assert f"expected {PERIODS * AXES}" in str(error)  # noqa: PT017  either is right
    else:
        assert decoded.shape == (PERIODS, AXES)
        assert np.abs(decoded).max() <= 1.0
    repaired, missing = tokenizer.repair(tokens)
    assert repaired.shape == (PERIODS, AXES)
    assert np.abs(repaired).max() <= 1.0
    if missing == 0:
        np.testing.assert_array_equal(repaired, tokenizer.decode(tokens))


def test_repairing_a_cut_off_chunk_keeps_its_low_frequencies() -> None:
    values = smooth(1, seed=4)[0]
    tokens = fast().encode(values)
    repaired, missing = fast().repair(tokens[:-1])
    assert missing > 0
    full, cut = SPECTRUM.numbers(values).ravel(), SPECTRUM.numbers(repaired).ravel()
    np.testing.assert_allclose(cut[:-missing], full[:-missing], atol=1)
    again, surplus = fast().repair([*tokens, tokens[0]])
    assert surplus < 0
    np.testing.assert_array_equal(again, fast().decode(tokens))


def test_training_twice_gives_the_same_pieces() -> None:
    first, second = (train_pieces(SPECTRUM, smooth(100), 300).to_str() for _ in range(2))
    assert first == second


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"vocabulary 10: numbers from -45 to 45 need 91 pieces"):
        train_pieces(SPECTRUM, smooth(3), 10)
    with pytest.raises(ConfigurationError, match="no chunk of 5 control periods"):
        train_pieces(SPECTRUM, [], 300)
    pieces = fast().pieces
    with pytest.raises(InvalidVocabulary, match="3 action ids for"):
        FASTTokenizer(SPECTRUM, pieces, ActionIds((1, 2, 3)))
    with pytest.raises(InvalidVocabulary, match="lack numbers"):
        FASTTokenizer(Spectrum(PERIODS, AXES, 2 * SCALE), pieces, fast().ids)
    for wrong in ({"periods": 0}, {"axes": 0}, {"scale": 0.0}, {"scale": 1e9}, {"scale": float("nan")}):
        with pytest.raises(ConfigurationError, match="expected"):
            Spectrum(**{"periods": PERIODS, "axes": AXES, "scale": SCALE, **wrong})


def test_without_scipy_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "scipy.fft", None)
    with pytest.raises(ConfigurationError, match=r"FAST needs scipy: pip install scipy"):
        SPECTRUM.numbers(np.zeros((PERIODS, AXES)))


def test_pieces_are_read_by_transformers(tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    save_tokenizer(fast(), tmp_path / "fast")
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "fast" / THEIRS))
    written = SPECTRUM.write(SPECTRUM.numbers(smooth(1, seed=5)[0]))
    symbols = theirs(written)["input_ids"]
    assert fast().ids.of(symbols).tolist() == fast().encode(smooth(1, seed=5)[0]).tolist()
    assert theirs.decode(symbols) == written


@pytest.mark.parametrize("make", [byte_level, llama_like])
def test_pieces_find_room_in_a_language_model(make) -> None:
    count = fast().pieces.get_vocab_size()
    text, ids = extended(make(), action_names(count), rows=4096)
    tokenizer = FASTTokenizer(SPECTRUM, fast().pieces, ids)
    chunk = smooth(1, seed=6)[0]
    tokens = tokenizer.encode(chunk)
    written = "".join(text.id_to_token(number) or "" for number in tokens.tolist())
    assert text.encode(written, add_special_tokens=False).ids == tokens.tolist()
    np.testing.assert_array_equal(tokenizer.decode(tokens), fast().decode(fast().encode(chunk)))
    with pytest.raises(InvalidVocabulary, match="no room"):
        extended(make(), action_names(count), rows=make().get_vocab_size() + count - 1)
