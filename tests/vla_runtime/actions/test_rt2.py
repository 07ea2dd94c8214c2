"""RT-2's eight numbers: the paper's example, both styles, the end of an episode."""

import numpy as np
import pytest

from tests.vla_runtime.actions.vocabularies import byte_level, llama_like, with_numbers
from vla_runtime.actions.action_ids import ActionIds
from vla_runtime.actions.rt2 import RT2Format
from vla_runtime.actions.rt2_tokenizers import RT2TextTokenizer, RT2Tokenizer
from vla_runtime.errors import ConfigurationError, InvalidTokens, InvalidVocabulary

EXAMPLE = "1 128 91 241 5 101 127 217"
STYLE = RT2Format()


def test_the_example_of_the_paper() -> None:
    numbers = STYLE.read(EXAMPLE)
    values = STYLE.values(numbers)
    np.testing.assert_allclose(values * 128 + 127.5, [128, 91, 241, 5, 101, 127, 217])
    assert not STYLE.ends(numbers)
    assert STYLE.write(STYLE.numbers(values)) == EXAMPLE
    assert STYLE.write(STYLE.numbers(values, ends=True)) == "0" + EXAMPLE[1:]


def test_numbers_with_tokens_of_their_own_are_eight_tokens() -> None:
    text = with_numbers()
    tokenizer = RT2TextTokenizer(STYLE, text)
    ids = text.encode(EXAMPLE).ids
    assert len(ids) == 8
    assert tokenizer.encode(tokenizer.decode(ids)).tolist() == ids
    assert not tokenizer.ends(ids)
    assert tokenizer.ends(tokenizer.encode(np.zeros(7), ends=True))


@pytest.mark.parametrize("make", [byte_level, llama_like])
def test_vocabularies_without_numbers_are_refused_or_spell_digits(make) -> None:
    with pytest.raises(InvalidVocabulary, match=r"the number \d+ has no token of its own"):
        RT2TextTokenizer(STYLE, make())
    tokenizer = RT2TextTokenizer(STYLE, make(), own_tokens=False)
    ids = tokenizer.encode(STYLE.values(STYLE.read(EXAMPLE)))
    assert len(ids) >= len(EXAMPLE.replace(" ", ""))
    assert make().decode(ids.tolist()) == EXAMPLE


def test_overwritten_ids_carry_the_end_too() -> None:
    tokenizer = RT2Tokenizer(STYLE, ActionIds.last(1000, 256))
    ids = tokenizer.encode(STYLE.values(STYLE.read(EXAMPLE)))
    assert (999 - ids).tolist() == [1, 128, 91, 241, 5, 101, 127, 217]
    assert not tokenizer.ends(ids)
    assert tokenizer.ends(tokenizer.encode(np.zeros(7), ends=True))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no action"),
        ("1 128", "2 numbers: expected 8"),
        (EXAMPLE + " 3", "9 numbers: expected 8"),
        (EXAMPLE.replace("128", "256"), "256 in .*from 0 to 255"),
        (EXAMPLE.replace("5 1", "05 1"), "is no action"),
        (EXAMPLE.replace(" 91", "  91"), "is no action"),
        (EXAMPLE.replace("91", "-1"), "is no action"),
        ("7" + EXAMPLE[1:], "terminate is 7: expected 0 to end or 1"),
    ],
)
def test_other_texts_are_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidTokens, match=said):
        STYLE.values(STYLE.read(text))


def test_an_unusual_spelling_is_refused() -> None:
    """Sub-words can often spell a text in several ways; only one of them is an action."""
    text = llama_like()
    tokenizer = RT2TextTokenizer(STYLE, text, own_tokens=False)
    ids = tokenizer.encode(np.zeros(7)).tolist()
    space = text.token_to_id("\u2581") or 0
    with pytest.raises(InvalidTokens, match=r"no action|unusual"):
        tokenizer.decode([space, *ids])


def test_formats_that_cannot_be_told_apart_are_refused() -> None:
    for wrong in ({"end": 1}, {"end": 256}, {"axes": 0}):
        with pytest.raises(ConfigurationError, match="expected"):
            RT2Format(**wrong)
    with pytest.raises(InvalidVocabulary, match="10 action ids for 256 numbers"):
        RT2Tokenizer(STYLE, ActionIds.last(1000, 10))
