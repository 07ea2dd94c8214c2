"""Image-text data for co-fine-tuning: pictures with conversations, from a folder, a JSONL file or Hugging Face `datasets`.

A conversation is a list of turns, question and answer in turn. The answers and the stop token behind each are labelled,
as in openvla/openvla, prismatic/preprocessing/datasets/datasets.py. Formats: docs/finetuning.md.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor

from vla_runtime.errors import ConfigurationError, InvalidExample
from vla_runtime.finetuning.examples import Example, Vocabulary
from vla_runtime.models.openvla.model import IGNORED
from vla_runtime.models.openvla.prompts import write_question
from vla_runtime.types import Image

ASKS, ANSWERS = ("human", "user"), ("gpt", "assistant")
CAPTION_QUESTION = "What is in the picture?"  # asked where there is only a caption
PICTURES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class PictureFile:
    """A picture that is opened when it is needed.

    Attributes:
        path: Of the file.
        where: Who names it, for errors.
    """

    path: Path
    where: str

    def __call__(self) -> Image:
        """The picture. Raises InvalidExample."""
        try:
            with PillowImage.open(self.path) as image:
                return np.array(image.convert("RGB"))
        except OSError as error:
            raise InvalidExample(f"{self.where}: image {self.path} cannot be read ({error})") from error


@dataclass(frozen=True)
class DecodedPicture:
    """A picture that Hugging Face `datasets` has opened."""

    picture: PillowImage.Image

    def __call__(self) -> Image:
        """The picture."""
        return np.array(self.picture.convert("RGB"))


@dataclass(frozen=True)
class Conversation:
    """A picture, and what is asked and answered about it.

    Attributes:
        picture: Opens it: (height, width, 3), RGB.
        turns: Questions and answers in turn.
    """

    picture: Callable[[], Image]
    turns: tuple[tuple[str, str], ...]


@final
class ConversationExamples:
    """Image-text data as examples."""

    def __init__(self, name: str, conversations: Sequence[Conversation], vocabulary: Vocabulary) -> None:
        """Args: name: in the mixture; conversations: in any order; vocabulary: of the checkpoint."""
        if not len(conversations):
            raise InvalidExample(f"{name}: no conversations; expected at least one")
        self.name, self._conversations, self._vocabulary = name, conversations, vocabulary

    def __len__(self) -> int:
        """How many conversations."""
        return len(self._conversations)

    def example(self, row: int, number: int) -> Example:
        """One conversation; nothing in it is random, so that `number` does not matter."""
        conversation = self._conversations[row]
        ids, labels = conversation_text(conversation.turns, self._vocabulary)
        return Example(ids, labels, self._vocabulary.preprocessing.pixel_values(conversation.picture())[0])


def conversation_text(turns: Sequence[tuple[str, str]], words: Vocabulary) -> tuple[Tensor, Tensor]:
    """Ids and labels [T] of a conversation: each part is tokenised for itself, answers and stop tokens are labelled."""
    ids: list[int] = []
    labels: list[int] = []
    for question, answer in turns:
        asked = write_question(question, words.style, first=not ids)
        before = words.text.encode_more(asked) if ids else words.text.encode(asked)[0].tolist()
        after = [*words.text.encode_more(answer), words.stop]
        ids += before + after
        labels += [IGNORED] * len(before) + after
    return torch.tensor(ids, dtype=torch.int64), torch.tensor(labels, dtype=torch.int64)


# -------------------------------------------------------------------------------------------------------- reading


def read_conversations(name: str, path: Path) -> list[Conversation]:
    """From a JSONL file, or a folder of pictures with a .json (conversation) or .txt (caption) beside each.

    Raises:
        InvalidExample: In one line: file, what is wrong, and what would have been right.
    """
    if path.is_dir():
        return [_beside(name, file) for file in sorted(path.rglob("*")) if file.suffix.lower() in PICTURES]
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidExample(
            f"{name}: {path}: cannot be read ({error}); expected a folder or a JSONL file"
        ) from error
    found = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            where = f"{name}: {path}, line {number}"
            entry = _json(line, where)
            if not entry.get("image"):
                raise InvalidExample(f"{where}: no image; expected a path relative to the file")
            found.append(_conversation(path.parent / str(entry["image"]), entry, where))
    return found


def read_hugging_face(name: str, path: str, split: str) -> "HuggingFaceConversations":
    """From Hugging Face `datasets`: a folder of `save_to_disk`, or a hub id; columns image and conversations."""
    try:
        import datasets
    except ImportError as error:
        raise ConfigurationError(
            f"mixture.{name} needs the package datasets: pip install 'vla-runtime[hub-data]'"
        ) from error
    try:
        table: Any = (
            datasets.load_from_disk(path) if Path(path).is_dir() else datasets.load_dataset(path, split=split)
        )
        table = table[split] if isinstance(table, Mapping) else table
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise InvalidExample(f"{name}: {path}, split {split}: {reason}") from error
    if "image" not in table.column_names:
        raise InvalidExample(f"{name}: {path}: no column image; found {', '.join(table.column_names)}")
    return HuggingFaceConversations(name, table)


@final
class HuggingFaceConversations(Sequence[Conversation]):
    """A table's rows, read as they are asked for."""

    def __init__(self, name: str, table: Any) -> None:
        """Args: name: for errors; table: a `datasets.Dataset`."""
        self._name, self._table = name, table

    def __len__(self) -> int:
        """How many rows."""
        return len(self._table)

    def __getitem__(self, row: Any) -> Any:
        """One conversation."""
        entry = self._table[row]
        picture = entry["image"]
        if picture is None:
            raise InvalidExample(f"{self._name}: row {row}: no image")
        return Conversation(DecodedPicture(picture), _turns(entry, f"{self._name}: row {row}"))


def _beside(name: str, picture: Path) -> Conversation:
    """The conversation or caption beside a picture in a folder."""
    told, caption = picture.with_suffix(".json"), picture.with_suffix(".txt")
    if told.exists():
        return _conversation(picture, _json(told.read_text(), f"{name}: {told}"), f"{name}: {told}")
    if caption.exists():
        return _conversation(picture, {"caption": caption.read_text().strip()}, f"{name}: {caption}")
    raise InvalidExample(f"{name}: {picture}: expected {told.name} or {caption.name} beside it")


def _conversation(picture: Path, entry: Mapping[str, Any], where: str) -> Conversation:
    if not picture.is_file():
        raise InvalidExample(f"{where}: image {picture} is missing")

    return Conversation(PictureFile(picture, where), _turns(entry, where))


def _turns(entry: Mapping[str, Any], where: str) -> tuple[tuple[str, str], ...]:
    """Questions and answers, from a conversation, a question and an answer, or a caption."""
    if entry.get("caption"):
        return ((CAPTION_QUESTION, str(entry["caption"])),)
    if entry.get("question") and entry.get("answer"):
        return ((str(entry["question"]), str(entry["answer"])),)
    told = entry.get("conversations") or entry.get("conversation") or ()
    said = [(turn.get("from", turn.get("role")), turn.get("value", turn.get("content"))) for turn in told]
    asked, answered = said[0::2], said[1::2]
    in_turn = len(asked) == len(answered) > 0 and all(
        who in ASKS and other in ANSWERS for (who, _), (other, _) in zip(asked, answered, strict=True)
    )
    if not in_turn or not all(isinstance(text, str) and text.strip() for _, text in said):
        raise InvalidExample(
            f"{where}: expected a caption, a question and an answer, or turns of "
            f"{'/'.join(ASKS)} and {'/'.join(ANSWERS)} with words in each"
        )
    words = [text.replace("<image>", "").strip() for _, text in said]
    return tuple(zip(words[0::2], words[1::2], strict=True))


def _json(text: str, where: str) -> dict[str, Any]:
    try:
        entry = json.loads(text)
    except ValueError as error:
        raise InvalidExample(f"{where}: not JSON ({error})") from error
    if not isinstance(entry, dict):
        raise InvalidExample(f"{where}: expected a JSON object")
    return entry
