"""Checkpoints of any size with random weights, in the original's layout: for tests and for timing.

Nobody trained them, and their config.json says so: a run with one says so too.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, processors
from torch import Tensor

from vla_runtime.errors import ConfigurationError
from vla_runtime.models.openvla.configuration import OpenVLAConfiguration
from vla_runtime.models.openvla.model import OpenVLA
from vla_runtime.models.openvla.shards import write_shards

SPREAD = 0.02  # standard deviation of embeddings
EMBEDDINGS = ("embed_tokens.weight", "pos_embed", "cls_token", "reg_token")
VOCABULARY, PADDED = 32_000, 32_064

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Size:
    """Dimensions: (width, depth, heads) of each tower, image side [px], and of the language model."""

    dinov2: tuple[int, int, int]
    siglip: tuple[int, int, int]
    image: int
    hidden: int
    intermediate: int
    layers: int
    heads: int


SIZES = {
    "tiny": Size((32, 3, 2), (48, 3, 4), 56, 64, 128, 2, 4),
    "small": Size((192, 6, 3), (192, 6, 3), 112, 256, 688, 4, 4),
    "1gb": Size((512, 12, 8), (576, 12, 8), 224, 1280, 3456, 20, 10),
    "7b": Size((1024, 24, 16), (1152, 27, 16), 224, 4096, 11_008, 32, 32),
}


def write_random_checkpoint(
    folder: Path,
    size: str = "tiny",
    seed: int = 0,
    dtype: torch.dtype = torch.bfloat16,
    progress: Progress | None = None,
) -> None:
    """Write a whole checkpoint.

    Args:
        folder: New or empty.
        size: One of SIZES.
        seed: Of the weights.
        dtype: Of the weights.
        progress: Told after each tensor how many are written, and of how many.

    Raises:
        ConfigurationError: Unknown size, or a folder that holds something.
    """
    if size not in SIZES:
        raise ConfigurationError(f"size={size}: known: {', '.join(SIZES)}")
    if folder.exists() and any(folder.iterdir()):
        raise ConfigurationError(f"out={folder}: not empty; expected a new or empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _descriptions(SIZES[size]).items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")
    _tokenizer().save(str(folder / "tokenizer.json"))
    with torch.device("meta"):
        shapes = {
            name: parameter.shape
            for name, parameter in OpenVLA(OpenVLAConfiguration.load(folder)).named_parameters()
        }
    write_shards(folder, _random_tensors(shapes, seed, dtype, progress))


def _random_tensors(
    shapes: dict[str, torch.Size], seed: int, dtype: torch.dtype, progress: Progress | None
) -> Iterator[tuple[str, Tensor]]:
    """Layers keep the size of what goes through them: with one spread for all widths, a narrow network hardly sees."""
    generator = torch.Generator().manual_seed(seed)
    for count, (name, shape) in enumerate(shapes.items(), start=1):
        if len(shape) == 1:
            ones = name.endswith(
                ("norm.weight", "norm1.weight", "norm2.weight", "layernorm.weight", "scale_factor")
            )
            tensor = torch.full(shape, 1.0 if ones else 0.0, dtype=dtype)
        else:
            spread = SPREAD if name.endswith(EMBEDDINGS) else shape[1:].numel() ** -0.5
            tensor = torch.randn(shape, generator=generator, dtype=torch.float32).mul_(spread).to(dtype)
        yield name, tensor
        if progress is not None:
            progress(count, len(shapes))


def _descriptions(size: Size) -> dict[str, Any]:
    """The JSON files of a checkpoint."""
    tower = {
        "image_size": size.image,
        "patch_size": 14,
        "class_token": False,
        "act": "gelu",
        "norm_eps": 1e-6,
    }
    dinov2 = {**tower, **_tower(size.dinov2), "kind": "dinov2", "class_token": True, "layer_scale": True}
    dinov2 |= {"no_embed_class": True, "num_register_tokens": 4, "mlp_ratio": 4}
    siglip = {**tower, **_tower(size.siglip), "kind": "siglip", "attn_pool": True, "mlp_ratio": 3.7362}
    text = {
        "model_type": "llama",
        "vocab_size": PADDED,
        "pad_token_id": VOCABULARY,
        "hidden_size": size.hidden,
        "intermediate_size": size.intermediate,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.heads,
    }
    limits = {"q01": [-0.05] * 3 + [-0.25] * 3 + [0.0], "q99": [0.05] * 3 + [0.25] * 3 + [1.0]}
    action = {**limits, "mask": [True] * 6 + [False]}
    return {
        "config.json": {
            "model_type": "openvla",
            "random_weights": True,
            "llm_backbone_id": "llama2-7b-pure",
            "vision_backbone_id": "dinosiglip-vit-so-224px",
            "timm_model_ids": ["random_dinov2", "random_siglip"],
            "use_fused_vision_backbone": True,
            "n_action_bins": 256,
            "pad_token_id": VOCABULARY,
            "pad_to_multiple_of": 64,
            "text_config": text,
        },
        "towers.json": [dinov2, siglip],
        "preprocessor_config.json": {
            "image_resize_strategy": "resize-naive",
            "input_sizes": [[3, size.image, size.image]] * 2,
            "interpolations": ["bicubic"] * 2,
            "means": [[0.485, 0.456, 0.406], [0.5, 0.5, 0.5]],
            "stds": [[0.229, 0.224, 0.225], [0.5, 0.5, 0.5]],
        },
        "dataset_statistics.json": {"random": {"action": action}},
    }


def _tower(dimensions: tuple[int, int, int]) -> dict[str, int]:
    width, depth, heads = dimensions
    return {"embed_dim": width, "depth": depth, "num_heads": heads}


def _tokenizer() -> Tokenizer:
    """Bytes as tokens, with Llama's special tokens and byte ids; every text can be written with it."""
    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2} | {f"<0x{byte:02X}>": 3 + byte for byte in range(256)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>", byte_fallback=True))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.decoder = decoders.ByteFallback()
    return tokenizer
