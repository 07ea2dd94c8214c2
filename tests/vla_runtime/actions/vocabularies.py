"""Text tokenizers of the kinds that language models have, made here: no downloads."""

import re
from functools import cache
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from vla_runtime.models.openvla import random_checkpoint

ROOT = Path(__file__).parents[3]
PAGES = ("docs/architecture.md", "docs/conventions.md", "docs/safety.md")


@cache
def byte_level() -> Tokenizer:
    """The one of checkpoints with random weights: 256 bytes and three special tokens."""
    return random_checkpoint._tokenizer()


@cache
def llama_like() -> Tokenizer:
    """As Llama 2's: byte-pair merges over words with a leading space, single digits, bytes for the rest."""
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    words = re.findall(r"[A-Za-z]+", "\n".join((ROOT / page).read_text() for page in PAGES))
    trainer = trainers.BpeTrainer(
        vocab_size=1400,
        special_tokens=special,
        initial_alphabet=list("0123456789,.:?-\u2581\n"),
        show_progress=False,
    )
    tokenizer.train_from_iterator(words, trainer)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("\u2581", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return tokenizer


@cache
def with_numbers() -> Tokenizer:
    """As PaLI-X's in the one respect that matters: whole numbers up to 1000 have tokens of their own."""
    words = ["[UNK]", "pick", "up", "the", *(str(number) for number in range(1001))]
    tokenizer = Tokenizer(
        models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer
