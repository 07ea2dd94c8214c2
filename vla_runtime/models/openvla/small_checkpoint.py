"""A small network of the original's architecture with a vocabulary of its own, to be trained from nothing.

The layout is that of any checkpoint: what runs openvla-7b runs it. Its tokenizer knows whole words, and writes others
letter by letter; the fixed parts of the prompt are one token each, so that a sentence is about as long as its words. The
last ids below the padding are action tokens, as in the original.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor

from vla_runtime.errors import ConfigurationError
from vla_runtime.models.openvla.configuration import OpenVLAConfiguration
from vla_runtime.models.openvla.model import OpenVLA
from vla_runtime.models.openvla.prompts import write_prompt
from vla_runtime.models.openvla.shards import write_shards

SPECIAL = {"<unk>": 0, "<s>": 1, "</s>": 2, "<pad>": 3, "▁": 4, "<ask>": 5, "<answer>": 6}
ASK, ANSWER = "\u2039ask\u203a", "\u2039answer\u203a"  # what the normaliser makes of the prompt's fixed parts
LETTERS = [chr(code) for code in range(33, 127)]
PADDING = 64  # ids above the action tokens, as in the original
ACTION_BINS = 256
EMBEDDING_SPREAD = 0.05  # standard deviation; small networks learn words faster than with the usual 0.02


@dataclass(frozen=True)
class SmallSize:
    """Dimensions.

    Attributes:
        image: Side of the picture [px].
        stem: Channels of the tower's convolutions; the last one is its width.
        depth, heads: Of the tower's blocks; the last block never runs, as in the original.
        hidden, intermediate, layers, text_heads: Of the language model.
        words: Ids for text.
    """

    image: int = 128
    stem: tuple[int, ...] = (24, 48, 96, 160)
    depth: int = 3
    heads: int = 4
    hidden: int = 160
    intermediate: int = 384
    layers: int = 4
    text_heads: int = 4
    words: int = 512


def write_small_checkpoint(
    folder: Path,
    words: Iterable[str],
    statistics: Mapping[str, Any],
    size: SmallSize | None = None,
    seed: int = 0,
) -> None:
    """Write a whole checkpoint with random weights in fp32.

    Args:
        folder: New or empty.
        words: Lower-case words that the tokenizer shall know.
        statistics: The content of dataset_statistics.json.
        size: Dimensions.
        seed: Of the weights.

    Raises:
        ConfigurationError: More words than ids, or a folder that holds something.
    """
    size = size or SmallSize()
    if folder.exists() and any(folder.iterdir()):
        raise ConfigurationError(f"{folder}: not empty; expected a new or empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    descriptions = {**_descriptions(size), "dataset_statistics.json": dict(statistics)}
    for name, content in descriptions.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")
    word_tokenizer(words, size.words).save(str(folder / "tokenizer.json"))
    with torch.device("meta"):
        shapes = {
            name: parameter.shape
            for name, parameter in OpenVLA(OpenVLAConfiguration.load(folder)).named_parameters()
        }
    generator = torch.Generator().manual_seed(seed)
    write_shards(folder, ((name, _initial(name, shape, generator)) for name, shape in shapes.items()))


def word_tokenizer(words: Iterable[str], room: int) -> Tokenizer:
    """Whole words; others are written letter by letter, and what is no letter of LETTERS becomes <unk>.

    Args:
        words: Lower-case words.
        room: Ids at most.

    Raises:
        ConfigurationError: More words than ids.
    """
    pieces = [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    pieces += sorted({word for word in words if len(word) > 1} - set(pieces))
    if len(pieces) > room:
        raise ConfigurationError(f"{len(pieces)} pieces for {room} ids; expected fewer words")
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    vocabulary[ASK], vocabulary[ANSWER] = vocabulary.pop("<ask>"), vocabulary.pop("<answer>")
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>", continuing_subword_prefix="##"))
    before, after = write_prompt("\x00", "openvla").split("\x00")
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Replace(before, f"{ASK} "), normalizers.Replace(after, f" {ANSWER}")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


def _initial(name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Spread one over the square root of the inputs; half of it where a layer writes into a residual."""
    if len(shape) == 1:
        norm = "norm" in name and name.endswith("weight")
        return torch.full(shape, 1.0 if norm else 0.0)
    if name.endswith(("embed_tokens.weight", "pos_embed")):
        return torch.randn(shape, generator=generator) * EMBEDDING_SPREAD
    spread = shape[1:].numel() ** -0.5
    if (
        name.endswith(("o_proj.weight", "down_proj.weight", "attn.proj.weight", "fc2.weight"))
        and "projector" not in name
    ):
        spread *= 0.5
    return torch.randn(shape, generator=generator) * spread


def _descriptions(size: SmallSize) -> dict[str, Any]:
    """The JSON files of a checkpoint, but for the statistics."""
    vocabulary = size.words + ACTION_BINS + PADDING
    tower = {
        "kind": "convolution_stem",
        "image_size": size.image,
        "patch_size": 2 ** len(size.stem),
        "embed_dim": size.stem[-1],
        "depth": size.depth,
        "num_heads": size.heads,
        "mlp_ratio": 3,
        "stem": list(size.stem),
        "act": "gelu",
        "norm_eps": 1e-6,
    }
    text = {
        "model_type": "llama",
        "vocab_size": vocabulary,
        "pad_token_id": SPECIAL["<pad>"],
        "hidden_size": size.hidden,
        "intermediate_size": size.intermediate,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.text_heads,
        "num_key_value_heads": size.text_heads,
    }
    return {
        "config.json": {
            "model_type": "openvla",
            "llm_backbone_id": "embedded",
            "vision_backbone_id": "embedded",
            "timm_model_ids": ["embedded_convolution_stem"],
            "use_fused_vision_backbone": False,
            "n_action_bins": ACTION_BINS,
            "pad_token_id": SPECIAL["<pad>"],
            "pad_to_multiple_of": PADDING,
            "bare_space_token_id": SPECIAL["▁"],
            "text_config": text,
        },
        "towers.json": [tower],
        "preprocessor_config.json": {
            "image_resize_strategy": "resize-naive",
            "input_sizes": [[3, size.image, size.image]],
            "interpolations": ["bicubic"],
            "means": [[0.5, 0.5, 0.5]],
            "stds": [[0.25, 0.25, 0.25]],
        },
    }
