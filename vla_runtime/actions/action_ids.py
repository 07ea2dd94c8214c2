"""Which ids of a language model's vocabulary are action tokens.

A tokenizer counts its symbols (bins, numbers, pieces) from 0; here each gets a vocabulary id.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_runtime.errors import InvalidTokens, InvalidVocabulary

SHOWN = 3  # ids that an error lists at most


@dataclass(frozen=True)
class ActionIds:
    """Symbol k is written with the vocabulary id ids[k].

    Attributes:
        ids: All different, none negative.
    """

    ids: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse ids that are not different whole numbers from 0."""
        if not self.ids or min(self.ids) < 0 or len(set(self.ids)) != len(self.ids):
            raise InvalidVocabulary(
                f"action ids {_some(self.ids)}: expected one or more different numbers from 0"
            )

    @classmethod
    def last(cls, vocab_size: int, count: int, reserved: Collection[int] = ()) -> "ActionIds":
        """The last ids below vocab_size, downwards: symbol 0 has the highest, as in OpenVLA.

        Args:
            vocab_size: One above the highest action id.
            count: How many symbols.
            reserved: Ids that the model needs for something else, such as padding.

        Raises:
            InvalidVocabulary: No room, or a reserved id among them.
        """
        if not 0 < count <= vocab_size:
            raise InvalidVocabulary(f"a vocabulary of {vocab_size} ids has no room for {count} action tokens")
        found = cls(tuple(range(vocab_size - 1, vocab_size - 1 - count, -1)))
        found.refuse_reserved(reserved)
        return found

    def of(self, symbols: ArrayLike) -> NDArray[np.int64]:
        """Vocabulary ids of symbols, of the same shape."""
        return np.asarray(self.ids, dtype=np.int64)[np.asarray(symbols, dtype=np.int64)]

    def symbols(self, token_ids: ArrayLike) -> NDArray[np.int64]:
        """Symbols of vocabulary ids, of the same shape. Raises InvalidTokens for an id that is no action token."""
        ids = np.asarray(token_ids, dtype=np.int64)
        order, ascending = self._ascending
        places = np.minimum(np.searchsorted(ascending, ids), len(ascending) - 1)
        strange = ids[ascending[places] != ids]
        if strange.size:
            raise InvalidTokens(f"token id {strange.flat[0]} is no action token: expected one of {self}")
        return order[places]

    def refuse_reserved(self, reserved: Collection[int]) -> None:
        """Raise InvalidVocabulary if an action id is one of these."""
        taken = sorted(set(self.ids) & set(reserved))
        if taken:
            raise InvalidVocabulary(f"id {_some(taken)} is taken; action tokens would collide with it")

    def refuse_in_text(self, text_ids: Iterable[int]) -> None:
        """Raise InvalidTokens if a text, as the model reads it, holds an action token: it would mean two things."""
        found = sorted(set(self.ids) & set(text_ids))
        if found:
            raise InvalidTokens(
                f"a text with the id {_some(found)}, which is an action token: reword the text"
            )

    def __str__(self) -> str:
        """In words."""
        return f"{len(self.ids)} ids from {min(self.ids)} to {max(self.ids)}"

    @cached_property
    def _ascending(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        ids = np.asarray(self.ids, dtype=np.int64)
        order = np.argsort(ids)
        return order.astype(np.int64), ids[order]


def _some(ids: Collection[int]) -> str:
    listed = ", ".join(str(number) for number in list(ids)[:SHOWN]) or "none"
    return f"{listed} and {len(ids) - SHOWN} more" if len(ids) > SHOWN else listed
