"""RT-2's actions as tokens, in its two styles (arXiv:2307.15818, section 3.2).

PaLI-X: its vocabulary has a token for each whole number up to 1000, so an action is simply text. PaLM-E: 256 tokens that
texts hardly need are overwritten, one for each number.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_runtime.actions.action_ids import ActionIds
from vla_runtime.actions.rt2 import RT2Format
from vla_runtime.errors import InvalidTokens, InvalidVocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@final
class RT2Tokenizer:
    """A vocabulary id for each number: the style of PaLM-E, also with ids that were added.

    Attributes:
        style: How actions become numbers.
        ids: Of the numbers, from 0.
        periods: Control periods that one sequence of tokens stands for.
    """

    kind = "rt2_ids"
    periods = 1

    def __init__(self, style: RT2Format, ids: ActionIds) -> None:
        """Args: style: how actions become numbers; ids: one for each number. Raises InvalidVocabulary."""
        if len(ids.ids) != style.bins:
            raise InvalidVocabulary(f"{len(ids.ids)} action ids for {style.bins} numbers: expected as many")
        self.style, self.ids = style, ids

    @property
    def token_ids(self) -> Sequence[int]:
        """The ids of all action tokens."""
        return self.ids.ids

    def encode(self, values: ArrayLike, *, ends: bool = False) -> NDArray[np.int64]:
        """Token ids of a normalised action, shape (1 + axes,).

        Args:
            values: Shape (axes,); clipped to [-1, 1].
            ends: Whether the episode ends with it.
        """
        return self.ids.of(self.style.numbers(values, ends=ends))

    def decode(self, token_ids: ArrayLike) -> NDArray[np.float64]:
        """The normalised action, shape (axes,). Raises InvalidTokens for ids that are no action."""
        return self.style.values(self.ids.symbols(token_ids))

    def ends(self, token_ids: ArrayLike) -> bool:
        """Whether the episode ends with this action. Raises InvalidTokens."""
        return self.style.ends(self.ids.symbols(token_ids))

    def describe(self) -> dict[str, Any]:
        """Plain values that it can be made from again."""
        return {"style": asdict(self.style), "ids": list(self.ids.ids)}

    @classmethod
    def from_description(cls, entry: dict[str, Any]) -> "RT2Tokenizer":
        """From what `describe` gave."""
        return cls(RT2Format(**entry["style"]), ActionIds(tuple(entry["ids"])))


@final
class RT2TextTokenizer:
    """The numbers as text, by a language model's own tokenizer: the style of PaLI-X.

    Attributes:
        style: How actions become numbers.
        text: Writes them.
        periods: Control periods that one sequence of tokens stands for.
    """

    kind = "rt2_text"
    periods = 1

    def __init__(self, style: RT2Format, text: "Tokenizer", *, own_tokens: bool = True) -> None:
        """Check the vocabulary.

        Args:
            style: How actions become numbers.
            text: The language model's tokenizer.
            own_tokens: Insist on one token for each number. Without it numbers may be several tokens, digit by digit as
                in Llama 2, and actions are longer.

        Raises:
            InvalidVocabulary: A number that has no token of its own, or that is not read back as it was written.
        """
        self.style, self.text, self._own_tokens = style, text, own_tokens
        used: set[int] = set()
        for number in range(style.bins):
            written = style.write([number] * 2)
            ids = self._ids(written)
            if own_tokens and len(ids) != 2:
                raise InvalidVocabulary(
                    f"the number {number} has no token of its own in this vocabulary ({written!r} is {len(ids)} "
                    "tokens): expected one that has, own_tokens=False, or RT-2's other style"
                )
            if self._text(ids) != written:
                raise InvalidVocabulary(
                    f"{written!r} is read back as {self._text(ids)!r} by this text tokenizer"
                )
            used.update(ids)
        self._token_ids = tuple(sorted(used))

    @property
    def token_ids(self) -> Sequence[int]:
        """The ids that numbers and spaces are written with. They are text too: nothing is overwritten."""
        return self._token_ids

    def encode(self, values: ArrayLike, *, ends: bool = False) -> NDArray[np.int64]:
        """Token ids of a normalised action; 1 + axes of them where numbers have tokens of their own.

        Args:
            values: Shape (axes,); clipped to [-1, 1].
            ends: Whether the episode ends with it.
        """
        written = self.style.write(self.style.numbers(values, ends=ends))
        return np.asarray(self._ids(written), dtype=np.int64)

    def decode(self, token_ids: ArrayLike) -> NDArray[np.float64]:
        """The normalised action, shape (axes,). Raises InvalidTokens for ids that `encode` cannot have given."""
        return self.style.values(self._numbers(token_ids))

    def ends(self, token_ids: ArrayLike) -> bool:
        """Whether the episode ends with this action. Raises InvalidTokens."""
        return self.style.ends(self._numbers(token_ids))

    def describe(self) -> dict[str, Any]:
        """Plain values that it can be made from again, together with the text tokenizer."""
        return {"style": asdict(self.style), "own_tokens": self._own_tokens}

    @classmethod
    def from_description(cls, entry: dict[str, Any], text: "Tokenizer") -> "RT2TextTokenizer":
        """From what `describe` gave."""
        return cls(RT2Format(**entry["style"]), text, own_tokens=entry["own_tokens"])

    def _numbers(self, token_ids: ArrayLike) -> NDArray[np.int64]:
        ids = np.asarray(token_ids, dtype=np.int64).ravel().tolist()
        strange = [number for number in ids if number not in self._token_ids]
        if strange:
            raise InvalidTokens(f"token id {strange[0]} writes no number: expected digits and spaces only")
        written = self._text(ids)
        numbers = self.style.read(written)
        if self._ids(written) != ids:
            raise InvalidTokens(f"{written!r} in an unusual spelling of {len(ids)} tokens")
        return numbers

    def _ids(self, written: str) -> list[int]:
        return self.text.encode(written, add_special_tokens=False).ids

    def _text(self, ids: list[int]) -> str:
        return self.text.decode(ids, skip_special_tokens=False)
