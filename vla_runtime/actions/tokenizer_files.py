"""Action tokenizers in folders: action_tokenizer.json, which is ours, and a Hugging Face tokenizer.json.

tokenizer.json is there for those that need one: FAST's pieces, the text tokenizer that RT-2's numbers are written with, or a
language model's tokenizer that was extended for the action tokens.
"""

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_runtime.actions.bin_tokenizer import BinTokenizer
from vla_runtime.actions.fast_tokenizer import FASTTokenizer
from vla_runtime.actions.openvla_tokenizer import OpenVLATokenizer
from vla_runtime.actions.rt2_tokenizers import RT2TextTokenizer, RT2Tokenizer
from vla_runtime.errors import ConfigurationError, InvalidVocabulary
from vla_runtime.interfaces import ActionTokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

OURS, THEIRS = "action_tokenizer.json", "tokenizer.json"
PLAIN = {kind.kind: kind for kind in (OpenVLATokenizer, BinTokenizer, RT2Tokenizer)}
WITH_TEXT = {kind.kind: kind for kind in (RT2TextTokenizer, FASTTokenizer)}


class Describable(ActionTokenizer, Protocol):
    """An action tokenizer that can say what it is made from."""

    kind: str

    def describe(self) -> dict[str, Any]:
        """Plain values."""
        ...


def save_tokenizer(tokenizer: Describable, folder: Path, text: "Tokenizer | None" = None) -> None:
    """Write a folder that `load_tokenizer` reads; it appears whole or not at all.

    Args:
        tokenizer: What to write.
        folder: New or empty.
        text: The language model's extended tokenizer, to be written beside tokenizers that have none of their own.

    Raises:
        ConfigurationError: A folder that holds something, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(f"{folder}: not empty; expected a new or empty folder")
    if isinstance(tokenizer, (RT2TextTokenizer, FASTTokenizer)):
        text = tokenizer.text if isinstance(tokenizer, RT2TextTokenizer) else tokenizer.pieces
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        content = json.dumps({"kind": tokenizer.kind, **tokenizer.describe()}, allow_nan=False)
        _write(partial / OURS, content + "\n")
        if text is not None:
            _write(partial / THEIRS, text.to_str(pretty=True))
        partial.replace(folder)
    except OSError as error:
        raise ConfigurationError(
            f"{folder}: {error.strerror}; expected a folder that can be written"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def load_tokenizer(folder: Path) -> ActionTokenizer:
    """What `save_tokenizer` wrote.

    Raises:
        InvalidVocabulary: Files that are missing, damaged, or do not fit each other.
    """
    file = folder / OURS
    try:
        entry = dict(json.loads(file.read_text()))
        kind = entry.pop("kind", None)
        if kind in PLAIN:
            return PLAIN[kind].from_description(entry)
        if kind in WITH_TEXT:
            return WITH_TEXT[kind].from_description(entry, load_text_tokenizer(folder / THEIRS))
    except OSError as error:
        raise InvalidVocabulary(f"{file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, (InvalidVocabulary, ConfigurationError)):
            raise
        raise InvalidVocabulary(f"{file}: damaged ({error!r})") from error
    raise InvalidVocabulary(f"{file}: kind {kind!r}; expected one of {', '.join([*PLAIN, *WITH_TEXT])}")


@final
class SavedTokenizer:
    """An action tokenizer from a folder, for YAML.

    Attributes:
        periods: Control periods that one sequence of tokens stands for.
        token_ids: The ids of all action tokens.
    """

    def __init__(self, folder: str) -> None:
        """Args: folder: that `save_tokenizer` wrote. Raises InvalidVocabulary."""
        self._tokenizer = load_tokenizer(Path(folder))
        self.periods, self.token_ids = self._tokenizer.periods, self._tokenizer.token_ids

    def encode(self, values: ArrayLike) -> NDArray[np.int64]:
        """As the tokenizer does."""
        return self._tokenizer.encode(values)

    def decode(self, token_ids: ArrayLike) -> NDArray[np.float64]:
        """As the tokenizer does."""
        return self._tokenizer.decode(token_ids)


def load_text_tokenizer(file: Path) -> "Tokenizer":
    """A Hugging Face tokenizer.json. Raises InvalidVocabulary in one line when it cannot be read."""
    from tokenizers import Tokenizer

    if not file.is_file():
        raise InvalidVocabulary(f"{file}: no such file; expected a Hugging Face tokenizer.json")
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing narrower
        raise InvalidVocabulary(f"{file}: {str(error).splitlines()[0]}") from error


def _write(path: Path, content: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
