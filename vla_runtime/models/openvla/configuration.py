"""What a checkpoint's config.json says about the network.

Facts and traps: `text_config` holds only what differs from transformers' LlamaConfig defaults, so a missing
`rms_norm_eps` means 1e-6, not Llama 2's 1e-5. Tower dimensions are not in config.json: they follow from the timm id, or
from a `towers.json` beside it (small models have made-up ids).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vla_runtime.errors import InvalidCheckpoint

BARE_SPACE = 29_871  # id of Llama 2's piece "▁"


@dataclass(frozen=True)
class TowerConfiguration:
    """One vision transformer.

    Attributes:
        image_size: Side of the square input [px].
        patch_size: Side of a patch [px].
        width: Feature size.
        depth: Blocks; the output is taken before the last one.
        heads: Attention heads.
        mlp_ratio: Hidden size of the MLP over the width.
        class_token: Whether there is a class token before the patches.
        registers: Register tokens between class token and patches.
        embed_prefix: Whether the position embedding has entries for class token and registers.
        layer_scale: Whether residuals are scaled (DINOv2).
        attention_pool: Whether the checkpoint has an attention pool, which never runs (SigLIP).
        pre_norm: Whether tokens are normalised before the first block (CLIP).
        activation: "gelu" (exact) or "quick_gelu".
        stem: Channels of convolutions that halve the side each, the last one the width; empty: one linear map for each
            patch, as in the original. A small network learns to see in a fraction of the time with them (Xiao et al.
            2021, arXiv 2106.14881).
        norm_eps: Of the layer norms.
    """

    image_size: int
    patch_size: int
    width: int
    depth: int
    heads: int
    mlp_ratio: float
    class_token: bool = False
    registers: int = 0
    embed_prefix: bool = False
    layer_scale: bool = False
    attention_pool: bool = False
    pre_norm: bool = False
    activation: str = "gelu"
    stem: tuple[int, ...] = ()
    norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        """Refuse dimensions that do not fit together."""
        if self.image_size % self.patch_size or self.width % self.heads or self.depth < 2:
            raise InvalidCheckpoint(
                f"tower of image_size {self.image_size}, patch_size {self.patch_size}, width {self.width}, "
                f"heads {self.heads}, depth {self.depth}: expected whole patches, whole heads, depth of at least 2"
            )
        if self.activation not in ("gelu", "quick_gelu"):
            raise InvalidCheckpoint(f"tower activation {self.activation!r}: expected gelu or quick_gelu")
        if self.stem and (2 ** len(self.stem) != self.patch_size or self.stem[-1] != self.width):
            raise InvalidCheckpoint(
                f"tower stem {list(self.stem)}: expected {self.patch_size}-pixel patches from halvings, and the width "
                f"{self.width} at the end"
            )

    @property
    def patches(self) -> int:
        """Patch tokens of one image."""
        return (self.image_size // self.patch_size) ** 2

    @property
    def prefix_tokens(self) -> int:
        """Tokens before the patches, which the read-out leaves away."""
        return int(self.class_token) + self.registers

    @property
    def mlp_width(self) -> int:
        """Hidden size of the MLP, cut to a whole number as timm does."""
        return int(self.width * self.mlp_ratio)

    @classmethod
    def from_mapping(cls, entry: Mapping[str, Any]) -> "TowerConfiguration":
        """From an entry of towers.json, in timm's words."""
        required = ("image_size", "patch_size", "embed_dim", "depth", "num_heads")
        missing = [key for key in required if key not in entry]
        if missing:
            raise InvalidCheckpoint(f"towers.json: a tower without {', '.join(missing)}")
        return cls(
            image_size=entry["image_size"],
            patch_size=entry["patch_size"],
            width=entry["embed_dim"],
            depth=entry["depth"],
            heads=entry["num_heads"],
            mlp_ratio=entry.get("mlp_ratio", 4.0),
            class_token=bool(entry.get("class_token", False)),
            registers=entry.get("num_register_tokens", 0),
            embed_prefix=bool(entry.get("class_token", False)) and not entry.get("no_embed_class", False),
            layer_scale=bool(entry.get("layer_scale", False)),
            attention_pool=bool(entry.get("attn_pool", False)),
            pre_norm=bool(entry.get("pre_norm", False)),
            activation=str(entry.get("act", "gelu")).lower().replace("quickgelu", "quick_gelu"),
            stem=tuple(entry.get("stem", ())),
            norm_eps=entry.get("norm_eps", 1e-6),
        )


def _dinov2(width: int, depth: int, heads: int) -> TowerConfiguration:
    return TowerConfiguration(
        224, 14, width, depth, heads, 4.0, class_token=True, registers=4, layer_scale=True
    )


def _siglip(
    width: int, depth: int, heads: int, mlp_ratio: float, image_size: int = 224
) -> TowerConfiguration:
    return TowerConfiguration(image_size, 14, width, depth, heads, mlp_ratio, attention_pool=True)


KNOWN_TOWERS: dict[str, TowerConfiguration] = {
    "vit_large_patch14_reg4_dinov2.lvd142m": _dinov2(1024, 24, 16),
    "vit_so400m_patch14_siglip_224": _siglip(1152, 27, 16, 3.7362),
    "vit_so400m_patch14_siglip_384": _siglip(1152, 27, 16, 3.7362, image_size=378),
}


@dataclass(frozen=True)
class LlamaConfiguration:
    """The language model. Defaults are those of transformers' LlamaConfig."""

    vocab_size: int = 32_000
    hidden_size: int = 4096
    intermediate_size: int = 11_008
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int = 32
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10_000.0
    max_position_embeddings: int = 2048

    @property
    def head_size(self) -> int:
        """Of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @classmethod
    def from_mapping(cls, entry: Mapping[str, Any]) -> "LlamaConfiguration":
        """From config.json's text_config. Refuses what this forward does not do, instead of ignoring it."""
        if entry.get("model_type", "llama") != "llama":
            raise InvalidCheckpoint(f"text_config.model_type {entry['model_type']!r}: expected 'llama'")
        expected = {
            "tie_word_embeddings": False,
            "attention_bias": False,
            "mlp_bias": False,
            "hidden_act": "silu",
        }
        for key, value in {**expected, "rope_scaling": None}.items():
            if entry.get(key, value) != value:
                raise InvalidCheckpoint(f"text_config.{key} {entry[key]!r}: expected {value!r}")
        rope = entry.get("rope_parameters") or {}  # how transformers 5 writes rope_theta
        if rope.get("rope_type", "default") != "default":
            raise InvalidCheckpoint(f"text_config.rope_parameters {rope!r}: expected rope_type 'default'")
        given = {**entry, "rope_theta": rope.get("rope_theta", entry.get("rope_theta"))}
        values = {key: given[key] for key in cls.__dataclass_fields__ if given.get(key) is not None}
        values.setdefault("num_key_value_heads", values.get("num_attention_heads", cls.num_attention_heads))
        made = cls(**values)
        if made.hidden_size % made.num_attention_heads or made.num_attention_heads % made.num_key_value_heads:
            raise InvalidCheckpoint(
                f"text_config: hidden_size {made.hidden_size}, {made.num_attention_heads} heads, "
                f"{made.num_key_value_heads} key/value heads; expected whole heads and whole groups"
            )
        if entry.get("head_dim") not in (None, made.head_size):
            raise InvalidCheckpoint(f"text_config.head_dim {entry['head_dim']!r}: expected {made.head_size}")
        return made


@dataclass(frozen=True)
class OpenVLAConfiguration:
    """The whole network.

    Attributes:
        towers: One or two; with two, the first is DINOv2 and the second SigLIP, also in the image's channels.
        text: The language model, with the padded vocabulary.
        vocab_size: Without padding: one above the highest action token.
        action_bins: Number of action tokens.
        pad_token_id: Of the text tokenizer.
        bos_token_id, eos_token_id: Begin and end of a text.
        bare_space_id: The piece that stands before the first action token in training; Llama 2's "▁" by default.
        random_weights: Whether the checkpoint says of itself that nobody trained it.
    """

    towers: tuple[TowerConfiguration, ...]
    text: LlamaConfiguration
    vocab_size: int
    action_bins: int = 256
    pad_token_id: int = 32_000
    bos_token_id: int = 1
    eos_token_id: int = 2
    bare_space_id: int = BARE_SPACE
    random_weights: bool = False

    @property
    def fused(self) -> bool:
        """Whether there are two towers."""
        return len(self.towers) == 2

    @property
    def patches(self) -> int:
        """Patch tokens of one image."""
        return self.towers[0].patches

    @property
    def vision_width(self) -> int:
        """Feature size after concatenation."""
        return sum(tower.width for tower in self.towers)

    @classmethod
    def load(cls, folder: Path) -> "OpenVLAConfiguration":
        """From config.json, and towers.json where there is one. Raises InvalidCheckpoint."""
        entry = read_json(folder / "config.json")
        towers = _towers(entry, folder)
        text_entry = entry.get("text_config")
        if not isinstance(text_entry, dict):
            raise InvalidCheckpoint(f"{folder / 'config.json'}: no text_config")
        text = LlamaConfiguration.from_mapping(text_entry)
        padding = entry.get("pad_to_multiple_of", 64)
        fused = entry.get("use_fused_vision_backbone", len(towers) == 2)
        if fused != (len(towers) == 2) or len({tower.patches for tower in towers}) != 1:
            raise InvalidCheckpoint(
                f"{folder / 'config.json'}: {len(towers)} towers do not fit a fused backbone: {fused}"
            )
        return cls(
            towers=towers,
            text=text,
            vocab_size=text.vocab_size - padding,
            action_bins=entry.get("n_action_bins", 256),
            pad_token_id=entry.get("pad_token_id", 32_000),
            bos_token_id=text_entry.get("bos_token_id", 1),
            eos_token_id=text_entry.get("eos_token_id", 2),
            bare_space_id=entry.get("bare_space_token_id", BARE_SPACE),
            random_weights=bool(entry.get("random_weights", False)),
        )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises InvalidCheckpoint."""
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise InvalidCheckpoint(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise InvalidCheckpoint(f"{path}: not JSON ({error})") from error
    return content


def _towers(entry: Mapping[str, Any], folder: Path) -> tuple[TowerConfiguration, ...]:
    """From towers.json, or from the timm ids that are known."""
    if (folder / "towers.json").exists():
        listed: Any = read_json(folder / "towers.json")
        return tuple(TowerConfiguration.from_mapping(tower) for tower in listed)
    names = entry.get("timm_model_ids")
    if not names:
        raise InvalidCheckpoint(f"{folder / 'config.json'}: no timm_model_ids")
    unknown = [name for name in names if name not in KNOWN_TOWERS]
    if unknown:
        raise InvalidCheckpoint(
            f"{folder / 'config.json'}: unknown vision tower {unknown[0]!r}; known: {', '.join(KNOWN_TOWERS)}; "
            "others need a towers.json with their dimensions"
        )
    return tuple(KNOWN_TOWERS[name] for name in names)
