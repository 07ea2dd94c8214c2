"""Room for action tokens: never an id that means something else."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vla_runtime.actions.vocabularies import byte_level, llama_like
from vla_runtime.actions.action_ids import ActionIds
from vla_runtime.actions.bin_tokenizer import BinTokenizer
from vla_runtime.actions.bins import Bins
from vla_runtime.actions.tokenizer_files import THEIRS, load_tokenizer, save_tokenizer
from vla_runtime.actions.vocabulary import action_names, count_uses, extended, least_used
from vla_runtime.errors import InvalidTokens, InvalidVocabulary

TEXT = "pick up the red cube and put it into the bowl, then stop: 12 cm"


@pytest.mark.parametrize("make", [byte_level, llama_like])
def test_new_tokens_leave_texts_as_they_were(make, tmp_path: Path) -> None:
    before = make()
    size = before.get_vocab_size()
    after, ids = extended(before, action_names(256), rows=2048)
    assert ids.ids == tuple(range(size, size + 256))
    assert before.get_vocab_size() == size
    assert after.encode(TEXT).ids == before.encode(TEXT).ids
    ids.refuse_in_text(after.encode(TEXT).ids)
    written = "".join(action_names(256)[3:6])
    assert after.encode(written, add_special_tokens=False).ids[-3:] == list(ids.ids[3:6])
    with pytest.raises(InvalidTokens, match=f"the id {ids.ids[3]}, which is an action token"):
        ids.refuse_in_text(after.encode(TEXT + action_names(256)[3]).ids)


def test_an_extended_vocabulary_is_read_by_transformers(tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    text, ids = extended(llama_like(), action_names(256), rows=2048)
    tokenizer = BinTokenizer(Bins.uniform(256, 7), ids)
    save_tokenizer(tokenizer, tmp_path / "saved", text)
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "saved" / THEIRS))
    assert theirs.convert_tokens_to_ids("<action_255>") == ids.ids[255]
    assert (
        theirs(TEXT, add_special_tokens=False)["input_ids"] == text.encode(TEXT, add_special_tokens=False).ids
    )
    assert list(load_tokenizer(tmp_path / "saved").token_ids) == list(ids.ids)


def test_no_room_taken_names_and_reserved_ids_are_refused() -> None:
    text = byte_level()
    with pytest.raises(
        InvalidVocabulary, match="no room for 256 action tokens: 259 of 300 ids are taken; expected 515"
    ):
        extended(text, action_names(256), rows=300)
    with pytest.raises(InvalidVocabulary, match="'<s>' is in the vocabulary already"):
        extended(text, ["<s>"], rows=2048)
    with pytest.raises(InvalidVocabulary, match="id 300 is taken"):
        extended(text, action_names(256), rows=2048, reserved=[300])
    once, _ = extended(text, action_names(8), rows=2048)
    with pytest.raises(InvalidVocabulary, match="'<action_0>' is in the vocabulary already"):
        extended(once, action_names(8), rows=2048)


def test_what_is_overwritten_is_rare_and_never_needed() -> None:
    text = llama_like()
    uses = count_uses(text, [TEXT] * 3)
    ids = least_used(text, 256, uses)
    assert not set(ids.ids) & set(uses)
    ids.refuse_in_text(text.encode(TEXT).ids)
    names = [text.id_to_token(number) or "" for number in ids.ids]
    assert all(len(name) > 1 and not name.startswith("<") for name in names)
    kept = ids.ids[:5]
    assert not set(kept) & set(least_used(text, 256, uses, reserved=kept).ids)


def test_without_counts_later_merges_go_first() -> None:
    ids = least_used(llama_like(), 20).ids
    assert list(ids) == sorted(ids, reverse=True)
    assert ids[0] == llama_like().get_vocab_size() - 1


def test_bytes_cannot_be_overwritten() -> None:
    with pytest.raises(InvalidVocabulary, match="no room for 256 action tokens: 0 of 259 tokens"):
        least_used(byte_level(), 256)


def test_a_text_that_uses_an_overwritten_token_is_refused() -> None:
    text = llama_like()
    ids = least_used(text, 256)
    rare = text.id_to_token(ids.ids[0])
    assert rare is not None
    with pytest.raises(InvalidTokens, match="reword"):
        ids.refuse_in_text([5, ids.ids[0]])


@given(st.integers(1, 300), st.integers(1, 40_000))
def test_last_ids_are_below_the_size_or_refused(count: int, size: int) -> None:
    if count > size:
        with pytest.raises(InvalidVocabulary, match="no room"):
            ActionIds.last(size, count)
        return
    ids = ActionIds.last(size, count)
    assert ids.ids[0] == size - 1
    assert min(ids.ids) == size - count
    assert ids.symbols(ids.of(range(count))).tolist() == list(range(count))


def test_ids_that_are_none_are_refused() -> None:
    for wrong in ((), (1, 1), (-1, 2)):
        with pytest.raises(InvalidVocabulary, match="different numbers"):
            ActionIds(wrong)
    with pytest.raises(InvalidVocabulary, match="id 31999 is taken"):
        ActionIds.last(32_000, 256, reserved=[31_999, 5])
    with pytest.raises(InvalidVocabulary, match="10 action ids for 256 bins"):
        BinTokenizer(Bins.uniform(256, 7), ActionIds.last(32_000, 10))
