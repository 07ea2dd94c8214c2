"""Prompts, and their tokens.

The instruction is lowered and nothing else: no stripping, and a full stop of its own stays before the question mark.
"""

from pathlib import Path
from typing import Literal

import torch
from tokenizers import Tokenizer
from torch import Tensor

from vla_runtime.errors import InvalidCheckpoint
from vla_runtime.models.openvla.configuration import OpenVLAConfiguration

PromptStyle = Literal["openvla", "v01"]
V01_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)


def prompt_style(llm_backbone_id: str) -> PromptStyle:
    """The style that a checkpoint was trained with: v01 sits on Vicuna."""
    return "v01" if llm_backbone_id.startswith("vicuna") else "openvla"


def write_prompt(instruction: str, style: PromptStyle) -> str:
    """The full text before the action tokens."""
    return write_question(f"What action should the robot take to {instruction.lower()}?", style)


def write_question(question: str, style: PromptStyle, *, first: bool = True) -> str:
    """Any question as the checkpoint's language model is asked it, up to where the answer begins.

    Args:
        question: As it is, nothing lowered.
        style: Of the checkpoint.
        first: Whether the conversation begins with it.
    """
    if style == "v01":
        return f"{V01_SYSTEM} USER: {question} ASSISTANT:" if first else f"USER: {question} ASSISTANT:"
    return f"In: {question}\nOut:"


class PromptTokenizer:
    """A checkpoint's text tokenizer."""

    def __init__(self, folder: Path, configuration: OpenVLAConfiguration) -> None:
        """Read tokenizer.json. Raises InvalidCheckpoint."""
        file = folder / "tokenizer.json"
        try:
            self._tokenizer: Tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:
            raise InvalidCheckpoint(f"{file}: {str(error).splitlines()[0]}") from error
        self._bos = configuration.bos_token_id
        size = self._tokenizer.get_vocab_size(with_added_tokens=False)
        if size > configuration.vocab_size:
            raise InvalidCheckpoint(
                f"{file}: {size} pieces, more than the model's {configuration.vocab_size}"
            )

    def knows(self, token_id: int) -> bool:
        """Whether an id has a piece in the vocabulary."""
        return self._tokenizer.id_to_token(token_id) is not None

    def encode_more(self, text: str) -> list[int]:
        """Ids of a text that goes on behind another: no begin-of-text token."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def encode(self, text: str) -> Tensor:
        """[1, T] ids, beginning with the begin-of-text token."""
        ids = self._tokenizer.encode(text).ids
        if not ids or ids[0] != self._bos:
            ids = [self._bos, *ids]
        return torch.tensor([ids], dtype=torch.int64)
