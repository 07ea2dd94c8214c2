"""Room for action tokens in the vocabulary of a Hugging Face tokenizer: new ids, rarely used ones, or those of numbers.

None of these ever takes an id silently that means something else: what does not fit is refused.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from vla_runtime.actions.action_ids import ActionIds
from vla_runtime.errors import InvalidVocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer

NEEDED = re.compile(
    r"<.*>|.|\u2581.?", re.DOTALL
)  # special and byte tokens, single characters: all text needs them


def extended(
    tokenizer: "Tokenizer", names: Sequence[str], rows: int, reserved: Collection[int] = ()
) -> "tuple[Tokenizer, ActionIds]":
    """A copy of a tokenizer with new tokens after its last id, and their ids.

    Args:
        tokenizer: Stays as it is.
        names: Of the new tokens, such as "<action_0>"; none may be in the vocabulary.
        rows: Of the model's embedding; ids must be smaller.
        reserved: Ids that the model needs for something else, such as padding.

    Raises:
        InvalidVocabulary: A name that is taken, too few rows, or a reserved id among the new ones.
    """
    from tokenizers import AddedToken

    taken = [name for name in names if tokenizer.token_to_id(name) is not None]
    if taken:
        raise InvalidVocabulary(f"token {taken[0]!r} is in the vocabulary already: expected new names")
    first = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    if first + len(names) > rows:
        raise InvalidVocabulary(
            f"no room for {len(names)} action tokens: {first} of {rows} ids are taken; expected "
            f"{first + len(names)} rows, or reuse rarely used tokens"
        )
    copy = type(tokenizer).from_str(tokenizer.to_str())
    # Not normalised: a tokenizer that changes spaces first would otherwise never find them in a text.
    copy.add_tokens([AddedToken(name, normalized=False) for name in names])  # pyright: ignore[reportUnknownMemberType]
    ids = copy.encode("".join(names), add_special_tokens=False).ids
    if ids != list(range(first, first + len(names))):
        raise InvalidVocabulary(f"ids of {names[0]!r} and its like: expected {first} and on, got {ids[:3]}")
    found = ActionIds(tuple(range(first, first + len(names))))
    found.refuse_reserved(reserved)
    return copy, found


def least_used(
    tokenizer: "Tokenizer",
    count: int,
    uses: Mapping[int, int] | None = None,
    reserved: Collection[int] = (),
) -> ActionIds:
    """The tokens that texts need least, to be overwritten, as RT-2 does with PaLM-E's (arXiv:2307.15818, section 3.2).

    Special tokens, bytes and single characters are never among them, so every text can still be written.

    Args:
        tokenizer: Of the language model.
        count: How many.
        uses: How often each id occurs in texts that matter. Those that it leaves out do not occur. None: later ids are
            taken to be rarer, as they are where byte-pair merges are numbered in the order in which they were learned.
        reserved: Ids that must not be taken.

    Raises:
        InvalidVocabulary: There are not so many.
    """
    kept = set(tokenizer.get_added_tokens_decoder()) | set(reserved)
    vocabulary = tokenizer.get_vocab(with_added_tokens=False)
    free = [
        number for token, number in vocabulary.items() if number not in kept and not NEEDED.fullmatch(token)
    ]
    if len(free) < count:
        raise InvalidVocabulary(
            f"no room for {count} action tokens: {len(free)} of {len(vocabulary)} tokens may be overwritten; "
            "expected a larger vocabulary, or new tokens"
        )
    known = uses or {}
    return ActionIds(tuple(sorted(free, key=lambda number: (known.get(number, 0), -number))[:count]))


def count_uses(tokenizer: "Tokenizer", texts: Sequence[str]) -> dict[int, int]:
    """How often each id occurs in texts."""
    uses: dict[int, int] = {}
    for text in texts:
        for number in tokenizer.encode(text, add_special_tokens=False).ids:
            uses[number] = uses.get(number, 0) + 1
    return uses


def action_names(count: int) -> list[str]:
    """Names for new tokens."""
    return [f"<action_{number}>" for number in range(count)]
